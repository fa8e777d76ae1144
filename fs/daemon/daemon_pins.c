/* The thread: a round over all wanted pins, a pause, and again when a peer came or long after.
 *
 *	start -> round -> pause (at least PAUSE_MIN_MS; doubled by each round in vain that a peer
 *	           ^         started, up to PAUSE_MAX_MS) -> a peer came, or PAUSE_MAX_MS passed -+
 *	           +------------------------------------------------------------------------------+
 */
#include "fs/daemon/daemon_pins.h"
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WANTED_MAX 1024 /* pins a round; more wait for the next */
#define BLOCK_TIMEOUT_MS 60000
#define PAUSE_MIN_MS 10000
#define PAUSE_MAX_MS 300000

struct daemon_pins {
	struct daemon *daemon;
	struct swarm_watch watch;
	struct wait wait;      /* the thread's; cancelled to end it */
	atomic_bool connected; /* a peer came since the last round began */
	atomic_bool provide_posted;
	struct inbox_item provide, ended;
	pthread_t thread;
};

/* ---- the thread ---- */

struct wanted {
	struct cid *cids;
	size_t count;
};

static int add_wanted(void *ctx, const struct pin *pin)
{
	struct wanted *wanted = ctx;

	if (pin->state != PIN_WANTED)
		return 0;
	wanted->cids[wanted->count++] = pin->cid;
	return wanted->count == WANTED_MAX ? 1 : 0;
}

static void on_provide(struct inbox_item *item)
{
	struct daemon_pins *pins = container_of(item, struct daemon_pins, provide);

	atomic_store(&pins->provide_posted, false);
	if (!pins->daemon->stopping)
		daemon_provide_changed(pins->daemon);
}

/* As `pin add` does at its end. */
static void pins_announce(struct daemon_pins *pins, const struct cid *cid)
{
	int err = repo_provide(pins->daemon->repo, cid, true);

	if (err)
		log_warn("pins", "cannot record what is provided err=%s", err_text(err));
	else if (!atomic_exchange(&pins->provide_posted, true))
		loop_post(pins->daemon->loop, &pins->provide);
}

/* Completes one pin that is wanted, as far as peers have its blocks. */
static int go_on(struct daemon_pins *pins, const struct cid *cid)
{
	struct daemon *daemon = pins->daemon;
	char text[CID_TEXT_MAX], why[WAIT_TEXT_MAX];
	struct blocks *blocks;
	struct pin pin;
	int err;

	blocks = blocks_new(daemon->repo->store, daemon->fetcher);
	err = pin_go_on(daemon->repo->db, blocks, cid, &pins->wait, BLOCK_TIMEOUT_MS, &pin);
	blocks_free(blocks);
	if (err == -EINTR || err == -ENOENT)
		return err;
	if (!err)
		log_info("pins", "completed cid=%s blocks=%llu bytes=%llu", cid_text(cid, text),
			 (unsigned long long)pin.blocks, (unsigned long long)pin.bytes);
	else
		log_info("pins", "given up until later cid=%s blocks=%llu err=\"%s\"",
			 cid_text(cid, text), (unsigned long long)pin.blocks,
			 wait_err_text(&pins->wait, err, why));
	if (!err)
		pins_announce(pins, cid);
	return err;
}

/* *helped: some pin was completed. -EINTR only when the thread is to end. */
static int round_over_all(struct daemon_pins *pins, bool *helped)
{
	struct wanted wanted = { .cids = xcalloc(WANTED_MAX, sizeof(*wanted.cids)) };
	int err;

	*helped = false;
	atomic_store(&pins->connected, false);
	err = pin_each(pins->daemon->repo->db, add_wanted, &wanted);
	if (err < 0)
		log_warn("pins", "cannot read the pins err=%s", err_text(err));
	err = wait_check(&pins->wait) == -EINTR ? -EINTR : 0;
	for (size_t i = 0; i < wanted.count && err != -EINTR; i++) {
		err = go_on(pins, &wanted.cids[i]);
		*helped |= !err;
	}
	free(wanted.cids);
	return err == -EINTR ? err : 0;
}

/* -EINTR, else 0. */
static int sleep_until(struct daemon_pins *pins, uint64_t deadline_ms, bool or_connected)
{
	int err = 0;

	/* Not wait_start(), which would forget that the thread is to end. */
	pins->wait.deadline_ms = deadline_ms;
	while (!err && !(or_connected && atomic_load(&pins->connected)))
		err = wait_sleep(&pins->wait);
	return err == -ETIMEDOUT ? 0 : err;
}

static void on_ended(struct inbox_item *item)
{
	struct daemon_pins *pins = container_of(item, struct daemon_pins, ended);
	struct daemon *daemon = pins->daemon;

	pthread_join(pins->thread, NULL);
	wait_release(&pins->wait);
	free(pins);
	daemon->pins = NULL;
	daemon_part_gone(daemon);
}

/* The thread: goes through all wanted pins, then sleeps until a new peer, or time, makes another
 * round worth it. */
static void *pins_run(void *ctx)
{
	struct daemon_pins *pins = ctx;
	uint64_t pause_ms = PAUSE_MIN_MS;
	bool by_peer = false, helped;

	while (!round_over_all(pins, &helped)) {
		uint64_t ended_ms = monotonic_ms();

		if (helped)
			pause_ms = PAUSE_MIN_MS;
		else if (by_peer)
			pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
		if (sleep_until(pins, ended_ms + pause_ms, false) ||
		    sleep_until(pins, ended_ms + PAUSE_MAX_MS, true))
			break;
		by_peer = atomic_load(&pins->connected);
	}
	loop_post(pins->daemon->loop, &pins->ended);
	return NULL;
}

/* ---- the loop ---- */

static void on_connected(void *ctx, const struct peer_id *peer)
{
	struct daemon_pins *pins = ctx;

	(void)peer;
	atomic_store(&pins->connected, true);
	wait_wake(&pins->wait);
}

void daemon_pins_start(struct daemon *daemon)
{
	struct daemon_pins *pins = xnew(struct daemon_pins);
	int err = wait_init(&pins->wait);

	pins->daemon = daemon;
	pins->provide.run = on_provide;
	pins->ended.run = on_ended;
	pins->watch = (struct swarm_watch){ .on_connected = on_connected, .ctx = pins };
	if (!err) {
		wait_start(&pins->wait, 0);
		err = thread_start(&pins->thread, pins_run, pins);
		if (err)
			wait_release(&pins->wait);
	}
	if (err) {
		log_error("pins", "interrupted pins do not go on err=%s", err_text(err));
		free(pins);
		return;
	}
	swarm_watch(daemon->swarm, &pins->watch);
	daemon->pins = pins;
}

void daemon_pins_stop(struct daemon *daemon)
{
	if (!daemon->pins)
		return;
	swarm_unwatch(daemon->swarm, &daemon->pins->watch);
	wait_cancel(&daemon->pins->wait);
}
