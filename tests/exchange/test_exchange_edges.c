/* The exchange between its neighbours: routing that finds providers, a store that is full or slow.
 */
#include "tests/exchange/exchange_lab.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- routing ---- */

/* Knows one provider, and says so a moment later. */
struct one_router {
	struct router router;
	struct fixture *f;
	unsigned provider;	     /* NODES_MAX: none */
	const struct peer_info *lie; /* or NULL */
	const char *protocol;	     /* by which it says that the provider is reached; or NULL */
	struct routing_query query;
	struct timer timer;
	routing_provider_fn *found;
	routing_done_fn *done;
	void *ctx;
};

static void one_answer(void *ctx)
{
	struct one_router *one = ctx;
	unsigned count = one->lie || one->provider < NODES_MAX;

	if (one->lie) {
		one->found(one->ctx, one->lie);
	} else if (count) {
		struct swarm *swarm = one->f->nodes[one->provider].swarm;
		struct multiaddr addr = lab_addr(swarm);
		struct peer_info info = { .id = *swarm_self(swarm),
					  .addrs = &addr,
					  .addr_count = 1,
					  .protocols = &one->protocol,
					  .protocol_count = one->protocol ? 1 : 0 };

		one->found(one->ctx, &info);
	}
	one->done(one->ctx, 0, count);
}

static struct one_router *one_of(struct routing_query *query)
{
	return container_of(query, struct one_router, query);
}

static void one_cancel(struct routing_query *query)
{
	timer_stop(loop_timers(one_of(query)->f->lab->loop), &one_of(query)->timer);
}

static struct routing_query *one_find(struct router *router, struct bytes multihash,
				      unsigned count_max, uint64_t deadline_ms,
				      routing_provider_fn *found, routing_done_fn *done, void *ctx)
{
	struct one_router *one = container_of(router, struct one_router, router);

	(void)multihash;
	(void)count_max;
	(void)deadline_ms;
	one->found = found;
	one->done = done;
	one->ctx = ctx;
	one->query.cancel = one_cancel;
	timer_start(loop_timers(one->f->lab->loop), &one->timer, 1, one_answer, one);
	return &one->query;
}

static const struct router_ops one_ops = { .find_providers = one_find };

static void routing_finds_the_provider(void **state)
{
	(void)state;
	struct fixture *f = start(2);
	struct one_router one = { .router = { &one_ops, "one" }, .f = f, .provider = 0 };
	struct block *block = numbered(3, 30000);

	node_start(f, 2, &one.router, NULL);
	put(&f->nodes[0], block);
	struct exchange_session *session = exchange_session_new(f->nodes[2].exchange);

	get(f, session, &block->cid); /* no peer at all: at once */
	until(f, 1);
	assert_int_equal(f->got, 1);
	assert_int_equal(stats(&f->nodes[2]).provider_searches, 1);

	one.provider = NODES_MAX;
	swarm_disconnect(f->nodes[2].swarm, swarm_self(f->nodes[0].swarm));
	while (swarm_is_connected(f->nodes[2].swarm, swarm_self(f->nodes[0].swarm)))
		loop_run_for(f->lab->loop, 5);
	struct block *other = numbered(4, 10);

	assert_non_null(exchange_get(session, &other->cid, lab_deadline(f->lab, 2500), on_got, f));
	until(f, 2);
	assert_int_equal(f->err, -ETIMEDOUT);
	assert_true(stats(&f->nodes[2]).provider_searches >= 3); /* and again */
	block_unref(block);
	block_unref(other);
	stop(f);
}

/* Connections that wait at a listener; they are closed. */
static unsigned visitors(int listener)
{
	unsigned count = 0;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		close(fd);
		count++;
	}
	return count;
}

static void provider_is_asked_only_if_it_may_be_reached_by_bitswap(void **state)
{
	(void)state;
	struct fixture *f = start(1);
	struct one_router one = { .router = { &one_ops, "one" },
				  .f = f,
				  .protocol = "transport-ipfs-gateway-http" };
	struct block *block = numbered(21, 3000);

	put(&f->nodes[0], block);
	node_start(f, 1, &one.router, NULL);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	exchange_get(session, &block->cid, lab_deadline(f->lab, 500), on_got, f);
	until(f, 1);
	assert_int_equal(f->failed, 1);
	assert_true(stats(&f->nodes[1]).provider_searches >= 1);
	assert_false(swarm_is_connected(f->nodes[1].swarm, swarm_self(f->nodes[0].swarm)));
	one.protocol = ROUTING_BITSWAP;
	get(f, session, &block->cid);
	until(f, 2);
	assert_int_equal(f->got, 1);
	block_unref(block);
	stop(f);
}

/* A false record, found again by every search, does not have us dial its victim each time. */
static void address_in_a_false_provider_record_is_not_dialled_again(void **state)
{
	(void)state;
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int victim = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct fixture *f = start(1);
	struct multiaddr addr;
	struct peer_info lie = { .id = *swarm_self(f->nodes[0].swarm),
				 .addrs = &addr,
				 .addr_count = 1 };
	struct one_router one = { .router = { &one_ops, "one" }, .f = f, .lie = &lie };
	unsigned seen = 0;

	assert_int_equal(bind(victim, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(victim, 16), 0);
	assert_int_equal(getsockname(victim, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(multiaddr_from_sockaddr(&addr, (struct sockaddr *)&in), 0);
	node_start(f, 2, &one.router, NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct exchange_session *session = exchange_session_new(f->nodes[2].exchange);
		struct block *block = numbered(10 + i, 10);

		exchange_get(session, &block->cid, lab_deadline(f->lab, 500), on_got, f);
		while (f->failed <= i) {
			loop_run_for(f->lab->loop, 5);
			seen += visitors(victim);
		}
		exchange_session_free(session);
		block_unref(block);
	}
	/* Once, or on a machine so busy that a back-off ends meanwhile, twice. */
	assert_true(stats(&f->nodes[2]).provider_searches >= 3);
	assert_in_range(seen, 1, stats(&f->nodes[2]).provider_searches - 1);
	close(victim);
	stop(f);
}

static void silent_peers_make_a_session_ask_routing(void **state)
{
	(void)state;
	struct exchange_config config = { .provider_delay_ms = 30 };
	struct fixture *f = start(2);
	struct one_router one = { .router = { &one_ops, "one" }, .f = f, .provider = 0 };
	struct block *block = numbered(3, 30000);

	node_start(f, 2, &one.router, &config);
	put(&f->nodes[0], block);
	assert_int_equal(lab_connect(f->lab, f->nodes[2].swarm, f->nodes[1].swarm), 0);
	struct exchange_session *session = exchange_session_new(f->nodes[2].exchange);

	get(f, session, &block->cid);
	until(f, 1);
	assert_int_equal(f->got, 1);
	block_unref(block);
	stop(f);
}

/* ---- a disk that cannot keep up ---- */

/* Over a memory store: of every four puts three find the queue full, until room is told of. */
struct tight {
	struct store store;
	struct store *inner;
	unsigned puts, refused;
	pthread_t thread;
	bool started;
	void (*room)(void *ctx);
	void *ctx;
	atomic_bool hold; /* the writer is busy */
};

static void *tight_writer(void *ctx)
{
	struct tight *tight = ctx;
	struct timespec nap = { .tv_nsec = 1000000 };

	do
		nanosleep(&nap, NULL);
	while (atomic_load(&tight->hold));
	tight->room(tight->ctx);
	return NULL;
}

static int tight_put(struct store *store, struct block *block, unsigned flags,
		     store_verified_fn *verified, void *ctx)
{
	struct tight *tight = (struct tight *)store;

	if (tight->puts++ % 2) {
		tight->refused++;
		return -EAGAIN;
	}
	return store_put(tight->inner, block, flags, verified, ctx);
}

static void tight_when_room(struct store *store, void (*room)(void *ctx), void *ctx)
{
	struct tight *tight = (struct tight *)store;

	if (tight->started)
		pthread_join(tight->thread, NULL);
	tight->room = room;
	tight->ctx = ctx;
	tight->started = pthread_create(&tight->thread, NULL, tight_writer, tight) == 0;
}

static int tight_size(struct store *store, struct bytes multihash, size_t *size)
{
	return store_size(((struct tight *)store)->inner, multihash, size);
}

static void tight_close(struct store *store)
{
	struct tight *tight = (struct tight *)store;

	if (tight->started)
		pthread_join(tight->thread, NULL);
	store_close(tight->inner);
}

static const struct store_ops tight_ops = {
	.close = tight_close,
	.put = tight_put,
	.when_room = tight_when_room,
	.size = tight_size,
};

/* Everything arrives and everything is stored, however often the store has no room. */
static void full_store_pauses_reading_and_loses_nothing(void **state)
{
	(void)state;
	struct tight tight = { .store = { &tight_ops }, .inner = store_new_memory() };
	struct fixture *f = start(1);
	unsigned count = 100, stored = 0;

	f->nodes[1].swarm = lab_swarm(f->lab, 2, NULL, NULL);
	f->nodes[1].store = &tight.store;
	f->nodes[1].exchange = exchange_new(f->nodes[1].swarm, NULL, &tight.store, NULL);
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	for (unsigned i = 0; i < count; i++) {
		struct block *block = numbered(i, 50000 + i);

		put(&f->nodes[0], block);
		get(f, session, &block->cid);
		block_unref(block);
	}
	until(f, count);
	assert_int_equal(f->got, count);
	uint64_t end = lab_deadline(f->lab, LAB_WAIT_MS);

	while (stored < count && lab_deadline(f->lab, 0) < end) {
		loop_run_for(f->lab->loop, 5);
		stored = 0;
		for (unsigned i = 0; i < count; i++) {
			struct block *block = numbered(i, 50000 + i);

			stored += store_has(&tight.store, cid_hash_bytes(&block->cid));
			block_unref(block);
		}
	}
	assert_int_equal(stored, count);
	assert_true(tight.refused > 0);
	stop(f);
}

/* While the writer is busy the peer cannot push on without end; and to end then is safe. */
static void busy_writer_bounds_what_is_held(void **state)
{
	(void)state;
	struct tight tight = { .store = { &tight_ops }, .inner = store_new_memory(), .puts = 1 };
	struct fixture *f = start(1);
	unsigned count = 100;

	atomic_store(&tight.hold, true);
	f->nodes[1].swarm = lab_swarm(f->lab, 2, NULL, NULL);
	f->nodes[1].store = &tight.store;
	f->nodes[1].exchange = exchange_new(f->nodes[1].swarm, NULL, &tight.store, NULL);
	assert_int_equal(lab_connect(f->lab, f->nodes[1].swarm, f->nodes[0].swarm), 0);
	struct exchange_session *session = exchange_session_new(f->nodes[1].exchange);

	for (unsigned i = 0; i < count; i++) {
		struct block *block = numbered(i, 1 << 20);

		put(&f->nodes[0], block);
		get(f, session, &block->cid);
		block_unref(block);
	}
	uint64_t end = lab_deadline(f->lab, LAB_WAIT_MS);

	while (!stats(&f->nodes[1]).blocks_received && lab_deadline(f->lab, 0) < end)
		loop_run_for(f->lab->loop, 5);
	lab_run(f->lab, 300);
	assert_in_range(stats(&f->nodes[1]).blocks_received, 1, 40);
	atomic_store(&tight.hold, false);
	exchange_free(f->nodes[1].exchange);
	f->nodes[1].exchange = NULL;
	assert_int_equal(f->got + f->failed, count);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routing_finds_the_provider),
		cmocka_unit_test(provider_is_asked_only_if_it_may_be_reached_by_bitswap),
		cmocka_unit_test(address_in_a_false_provider_record_is_not_dialled_again),
		cmocka_unit_test(silent_peers_make_a_session_ask_routing),
		cmocka_unit_test(full_store_pauses_reading_and_loses_nothing),
		cmocka_unit_test(busy_writer_bounds_what_is_held),
	};

	return cmocka_run_group_tests_name("exchange/exchange_edges", tests, NULL, NULL);
}
