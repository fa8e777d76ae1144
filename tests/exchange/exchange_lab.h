/* Exchanges over real swarms on 127.0.0.1, for tests. */
#ifndef TESTS_EXCHANGE_EXCHANGE_LAB_H
#define TESTS_EXCHANGE_EXCHANGE_LAB_H

#include "exchange/exchange.h"

#include "exchange/bitswap/msg.h"
#include "exchange/store/store_private.h"
#include "tests/exchange/store_helper.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <pthread.h>

#define NODES_MAX 3
struct node {
	struct swarm *swarm;
	struct store *store;
	struct exchange *exchange;
};

struct fixture {
	struct lab *lab;
	struct node nodes[NODES_MAX];
	unsigned got, failed;
	int err;
	uint64_t bytes;
};

static inline void node_start(struct fixture *f, unsigned i, struct router *router,
			      const struct exchange_config *config)
{
	f->nodes[i].swarm = lab_swarm(f->lab, (uint8_t)(i + 1), NULL, NULL);
	f->nodes[i].store = store_new_memory();
	f->nodes[i].exchange = exchange_new(f->nodes[i].swarm, router, f->nodes[i].store, config);
}

static inline struct fixture *start(unsigned count)
{
	struct fixture *f = xnew(struct fixture);

	f->lab = lab_new();
	for (unsigned i = 0; i < count; i++)
		node_start(f, i, NULL, NULL);
	return f;
}

static inline void stop(struct fixture *f)
{
	for (unsigned i = 0; i < NODES_MAX; i++)
		exchange_free(f->nodes[i].exchange);
	lab_free(f->lab);
	for (unsigned i = 0; i < NODES_MAX; i++)
		store_close(f->nodes[i].store);
	free(f);
}

static inline void put(struct node *node, struct block *block)
{
	assert_int_equal(store_put(node->store, block, STORE_WAIT, NULL, NULL), 0);
}

static inline void on_got(void *ctx, int err, struct block *block)
{
	struct fixture *f = ctx;

	if (err) {
		f->failed++;
		f->err = err;
		return;
	}
	assert_int_equal(cid_verify(&block->cid, block->data), 0);
	f->got++;
	f->bytes += block->data.len;
	block_unref(block);
}

/* Until at least so many gets ended. */
static inline void until(struct fixture *f, unsigned ended)
{
	uint64_t end = lab_deadline(f->lab, 3 * LAB_WAIT_MS);

	while (f->got + f->failed < ended && lab_deadline(f->lab, 0) < end)
		loop_run_for(f->lab->loop, 5);
	assert_true(f->got + f->failed >= ended);
}

static inline struct exchange_get *get(struct fixture *f, struct exchange_session *session,
				       const struct cid *cid)
{
	return exchange_get(session, cid, lab_deadline(f->lab, 25000), on_got, f);
}

static inline struct exchange_stats stats(struct node *node)
{
	struct exchange_stats out;

	exchange_stats(node->exchange, &out);
	return out;
}

/* ---- a peer made of messages ---- */

struct raw {
	struct stream *stream;
	bool opened, closed;
	int err;
};

static inline void raw_on_close(void *ctx, struct stream *stream, int err)
{
	struct raw *raw = ctx;

	(void)stream;
	(void)err;
	raw->closed = true;
	raw->stream = NULL;
}

static inline void raw_on_open(void *ctx, int err, struct stream *stream, const char *protocol)
{
	static const struct stream_events events = { .on_close = raw_on_close };
	struct raw *raw = ctx;

	(void)protocol;
	raw->opened = true;
	raw->err = err;
	raw->stream = stream;
	if (!err)
		stream_accept(stream, &events, raw);
}

static inline void raw_open(struct fixture *f, unsigned from, unsigned to, struct raw *raw,
			    const char *protocol)
{
	*raw = (struct raw){ 0 };
	swarm_open_stream(f->nodes[from].swarm, swarm_self(f->nodes[to].swarm), &protocol, 1,
			  lab_deadline(f->lab, 5000), raw_on_open, raw);
	lab_until(f->lab, &raw->opened);
	assert_int_equal(raw->err, 0);
}

#endif
