/* Swarms in one process over 127.0.0.1, for tests of net (and of what is above it). */
#ifndef TESTS_NET_SWARM_LAB_H
#define TESTS_NET_SWARM_LAB_H

#include "net/base/alloc.h"
#include "net/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LAB_SWARMS_MAX 40
#define LAB_WAIT_MS 10000

struct lab {
	struct loop *loop;
	struct random random;
	struct swarm *swarms[LAB_SWARMS_MAX];
	struct identity *identities[LAB_SWARMS_MAX];
	size_t count;
};

/* A loop of its own. */
static inline struct lab *lab_new(void)
{
	struct lab *lab = xnew(struct lab);

	lab->loop = loop_new();
	lab->random = random_system();
	return lab;
}

static inline void lab_set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

/* Run the loop until *flag; fails the test after LAB_WAIT_MS. */
static inline void lab_until(struct lab *lab, const bool *flag)
{
	uint64_t end = timers_now(loop_timers(lab->loop)) + LAB_WAIT_MS;

	while (!*flag && timers_now(loop_timers(lab->loop)) < end)
		loop_run_for(lab->loop, 5);
	assert_true(*flag);
}

/* Run the loop for a while. */
static inline void lab_run(struct lab *lab, uint64_t ms)
{
	bool over = false;
	struct timer timer = { 0 };

	timer_start(loop_timers(lab->loop), &timer, ms, lab_set_flag, &over);
	lab_until(lab, &over);
}

static inline void lab_close_one(struct lab *lab, size_t i)
{
	bool closed = false;

	swarm_close(lab->swarms[i], lab_set_flag, &closed);
	lab_until(lab, &closed);
	swarm_free(lab->swarms[i]);
	identity_free(lab->identities[i]);
	lab->swarms[i] = NULL;
}

/* Close one before its time. */
static inline void lab_close(struct lab *lab, struct swarm *swarm)
{
	for (size_t i = 0; i < lab->count; i++)
		if (lab->swarms[i] == swarm)
			lab_close_one(lab, i);
}

/* Closes every swarm; loop_free() asserts that no handle leaked. */
static inline void lab_free(struct lab *lab)
{
	for (size_t i = 0; i < lab->count; i++)
		if (lab->swarms[i])
			lab_close_one(lab, i);
	loop_free(lab->loop);
	free(lab);
}

static inline struct loop *lab_loop(struct lab *lab)
{
	return lab->loop;
}

/* A swarm on 127.0.0.1; identity from the number. config and db may be NULL. */
static inline struct swarm *lab_swarm(struct lab *lab, uint8_t number,
				      const struct swarm_config *config, struct db *db)
{
	uint8_t seed[32] = { number };
	struct multiaddr addr;

	assert_true(lab->count < LAB_SWARMS_MAX);
	lab->identities[lab->count] = identity_from_seed(seed);
	lab->swarms[lab->count] =
		swarm_new(lab->loop, &lab->random, lab->identities[lab->count], db, config);
	assert_int_equal(multiaddr_from_text(&addr, "/ip4/127.0.0.1/tcp/0"), 0);
	assert_int_equal(swarm_listen(lab->swarms[lab->count], &addr), 0);
	return lab->swarms[lab->count++];
}

/* Where it listens. */
static inline struct multiaddr lab_addr(struct swarm *swarm)
{
	struct multiaddr addr;

	assert_int_equal(swarm_listen_addrs(swarm, &addr, 1), 1);
	return addr;
}

static inline uint64_t lab_deadline(struct lab *lab, uint64_t ms)
{
	return timers_now(loop_timers(lab->loop)) + ms;
}

struct lab_outcome {
	bool done;
	int err;
};

static inline void lab_on_done(void *ctx, int err)
{
	struct lab_outcome *outcome = ctx;

	outcome->done = true;
	outcome->err = err;
}

/* from connects to to; the error of swarm_connect(). */
static inline int lab_connect(struct lab *lab, struct swarm *from, struct swarm *to)
{
	struct lab_outcome outcome = { 0 };
	struct multiaddr addr = lab_addr(to);

	swarm_connect(from, swarm_self(to), &addr, 1, lab_deadline(lab, 5000), lab_on_done,
		      &outcome);
	lab_until(lab, &outcome.done);
	return outcome.err;
}

#endif
