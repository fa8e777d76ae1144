/* The service of names, on nodes that speak over 127.0.0.1: own names are told, also late and
 * again, others are resolved, remembered and followed. */
#include "routing/names.h"

#include "net/base/alloc.h"
#include "net/base/wait.h"
#include "net/db/db.h"
#include "routing/record/ipns_write.h"
#include "tests/routing/kad_lab.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define A "/ipfs/bafkqaaa"
#define B "/ipfs/bafkqabddmfzgk"
#define C "/ipfs/bafkqabddmfzgo"
#define SECOND_MS 1000

/* A node with names, whose keys are all this one. */
struct node {
	struct lab *lab;
	struct swarm *swarm;
	struct router *router;
	struct db *db;
	struct names *names;
	struct private_key *key;
	unsigned renewals;
	bool renews; /* a new record is made when one is asked for */
	struct timer soon;
};

/* As another thread would, a moment later. */
static void make_anew(void *ctx)
{
	struct node *node = ctx;

	assert_int_equal(name_own_renew(node->db, node->key, wallclock_ns()), 0);
	names_changed(node->names);
}

static void on_renew(void *ctx, const struct peer_id *name)
{
	struct node *node = ctx;

	(void)name;
	node->renewals++;
	if (node->renews)
		timer_start(loop_timers(node->lab->loop), &node->soon, 1, make_anew, node);
}

static void node_names(struct node *node, uint64_t republish_ms)
{
	struct names_config config = {
		.republish_ms = republish_ms, .poll_min_ms = 100, .renew = on_renew, .ctx = node
	};

	node->names = names_new(node->swarm, node->router, node->db, &config);
}

static struct node node_new(struct lab *lab, uint8_t number)
{
	struct node node = { .lab = lab, .swarm = lab_swarm(lab, number, NULL, NULL) };

	assert_int_equal(db_open_temp(&node.db), 0);
	node.router = kad_lab_node(node.swarm, node.db);
	node.key = private_key_new(KEY_ED25519, 0, &(int){ 0 });
	node.renews = true;
	return node;
}

static void node_close(struct node *node)
{
	timer_stop(loop_timers(node->lab->loop), &node->soon);
	names_free(node->names);
	router_close(node->router, NULL, NULL);
	lab_close(node->lab, node->swarm);
	db_close(node->db);
	private_key_free(node->key);
}

static struct peer_id name_of(const struct node *node)
{
	struct peer_id name;

	peer_id_of_key(&name, private_key_public(node->key));
	return name;
}

static void make(struct node *node, const char *value, uint64_t ttl_ms)
{
	struct name_new new = { .value = bytes_str(value),
				.lifetime_ms = 3600 * SECOND_MS,
				.ttl_ms = ttl_ms };

	assert_int_equal(name_own_make(node->db, node->key, &new, wallclock_ns(), NULL), 0);
}

/* What came of a question, and what better() was told. */
struct told {
	bool done;
	int err;
	unsigned count, found;
	char value[64];
	uint64_t sequence;
	bool expired;
	struct names_follow *unfollow;
	struct names_query *cancel;
};

static void on_record(void *ctx, const struct name_record *record)
{
	struct told *told = ctx;

	assert_true(told->found == 0 || record->sequence >= told->sequence);
	told->found++;
	assert_in_range(record->value.len, 1, sizeof(told->value) - 1);
	memset(told->value, 0, sizeof(told->value));
	memcpy(told->value, record->value.at, record->value.len);
	told->sequence = record->sequence;
	told->expired = record->expired;
	names_unfollow(told->unfollow);
	names_cancel(told->cancel);
	told->unfollow = NULL;
	told->cancel = NULL;
}

static void on_done(void *ctx, int err, unsigned count)
{
	struct told *told = ctx;

	assert_false(told->done);
	told->done = true;
	told->err = err;
	told->count = count;
}

static struct told publish(struct node *node)
{
	struct peer_id name = name_of(node);
	struct told told = { 0 };

	assert_non_null(
		names_publish(node->names, &name, lab_deadline(node->lab, 5000), on_done, &told));
	assert_false(told.done);
	lab_until(node->lab, &told.done);
	return told;
}

static struct told resolve(struct node *node, const struct peer_id *name, bool no_cache)
{
	struct names_want want = { .no_cache = no_cache,
				   .deadline_ms = lab_deadline(node->lab, 5000) };
	struct told told = { 0 };

	assert_non_null(names_resolve(node->names, name, &want, on_record, on_done, &told));
	assert_false(told.done);
	lab_until(node->lab, &told.done);
	return told;
}

/* Until `what` is so: for at most five seconds. */
#define await(lab, what)                                                                           \
	do {                                                                                       \
		for (int i_ = 0; !(what) && i_ < 500; i_++)                                        \
			lab_run(lab, 10);                                                          \
		assert_true(what);                                                                 \
	} while (0)

static struct names_stats stats_of(const struct node *node)
{
	struct names_stats stats;

	names_stats(node->names, &stats);
	return stats;
}

/* a publishes, b keeps, c asks: all connected to b alone. */
struct three {
	struct lab *lab;
	struct node a, b, c;
};

static void join(struct node *node, struct node *to)
{
	assert_int_equal(lab_connect(node->lab, node->swarm, to->swarm), 0);
	kad_lab_peers(node->lab, node->router, 1);
}

static void three_new(struct three *t)
{
	t->lab = lab_new();
	t->a = node_new(t->lab, 1);
	t->b = node_new(t->lab, 2);
	t->c = node_new(t->lab, 3);
	node_names(&t->a, 0);
	node_names(&t->b, 0);
	node_names(&t->c, 0);
	join(&t->a, &t->b);
	join(&t->c, &t->b);
}

static void three_free(struct three *t)
{
	node_close(&t->a);
	node_close(&t->b);
	node_close(&t->c);
	lab_free(t->lab);
}

static void published_name_is_resolved_by_others(void **state)
{
	struct peer_id name;
	struct three t = { 0 };
	struct told told;

	(void)state;
	three_new(&t);
	name = name_of(&t.a);
	make(&t.a, A, 3600 * SECOND_MS);
	told = publish(&t.a);
	assert_int_equal(told.err, 0);
	assert_int_not_equal(told.count, 0);
	told = resolve(&t.c, &name, false);
	assert_int_equal(told.err, 0);
	assert_string_equal(told.value, A);
	/* It is remembered as long as it says, unless the asker wants none of that. */
	make(&t.a, B, 3600 * SECOND_MS);
	assert_int_equal(publish(&t.a).err, 0);
	assert_string_equal(resolve(&t.c, &name, false).value, A);
	assert_int_equal(stats_of(&t.c).cached, 1);
	told = resolve(&t.c, &name, true);
	assert_string_equal(told.value, B);
	assert_int_equal(told.sequence, 1);
	assert_string_equal(resolve(&t.c, &name, false).value, B);
	/* The publisher knows it anyway, alone too. */
	assert_string_equal(resolve(&t.a, &name, false).value, B);
	assert_int_equal(publish(&t.a).err, 0);
	three_free(&t);
}

static void unknown_name_is_not_found(void **state)
{
	struct three t = { 0 };
	struct peer_id name;

	(void)state;
	three_new(&t);
	name = name_of(&t.a);
	assert_int_equal(resolve(&t.c, &name, false).err, -ENOENT);
	three_free(&t);
}

static void name_published_offline_is_told_when_a_peer_comes(void **state)
{
	struct lab *lab = lab_new();
	struct node a = node_new(lab, 1), b = node_new(lab, 2);
	struct peer_id name = name_of(&a);
	struct told told;

	(void)state;
	make(&a, A, SECOND_MS); /* as another process, before the service starts */
	node_names(&a, 0);
	node_names(&b, 0);
	told = publish(&a);
	assert_int_equal(told.err, -EHOSTUNREACH);
	assert_int_equal(stats_of(&a).untold, 1);
	assert_string_equal(resolve(&a, &name, false).value, A);
	join(&b, &a);
	await(lab, stats_of(&a).untold == 0);
	assert_string_equal(resolve(&b, &name, true).value, A);
	node_close(&a);
	node_close(&b);
	lab_free(lab);
}

static void record_is_made_anew_and_told_again(void **state)
{
	struct lab *lab = lab_new();
	struct node a = node_new(lab, 1), b = node_new(lab, 2);
	struct names_stats stats;

	(void)state;
	join(&a, &b);
	make(&a, A, SECOND_MS);
	node_names(&a, 200);
	node_names(&b, 0);
	await(lab, stats_of(&a).told >= 3);
	assert_in_range(a.renewals, 2, 5);
	/* After a restart it is not told before its time. */
	assert_int_equal(db_flush(a.db), 0);
	names_free(a.names);
	node_names(&a, 3600 * SECOND_MS);
	lab_run(lab, 300);
	stats = stats_of(&a);
	assert_int_equal(stats.own, 1);
	assert_int_equal(stats.untold, 0);
	assert_int_equal(stats.told, 0);
	/* If no key is there, what there is is told again. */
	names_free(a.names);
	a.renews = false;
	node_names(&a, 1);
	lab_run(lab, 100);
	assert_int_not_equal(a.renewals, 0);
	node_close(&a);
	node_close(&b);
	lab_free(lab);
}

/* The key was used elsewhere: what is told goes on from there. */
static void better_record_in_the_network_is_gone_on_from(void **state)
{
	struct ipns_content content = { .value = bytes_str(C), .sequence = 20 };
	struct three t = { 0 };
	struct buf record = { 0 };
	struct peer_id name;
	struct told told = { 0 };

	(void)state;
	three_new(&t);
	name = name_of(&t.a);
	content.eol = eol_of_ns(wallclock_ns() + 3600ull * 1000000000);
	assert_int_equal(ipns_write(&content, t.a.key, &record), 0);
	assert_non_null(names_put(t.c.names, &name, buf_bytes(&record), lab_deadline(t.lab, 5000),
				  on_done, &told));
	lab_until(t.lab, &told.done);
	assert_int_equal(told.err, 0);
	make(&t.a, A, SECOND_MS);
	assert_int_equal(publish(&t.a).err, 0);
	told = resolve(&t.b, &name, true);
	assert_string_equal(told.value, A);
	assert_int_equal(told.sequence, 21);
	buf_release(&record);
	three_free(&t);
}

static void record_that_is_not_good_is_not_put(void **state)
{
	struct ipns_content content = { .value = bytes_str(C) };
	struct three t = { 0 };
	struct buf record = { 0 };
	struct peer_id name;
	struct told told = { 0 };

	(void)state;
	three_new(&t);
	content.eol = eol_of_ns(wallclock_ns() - 1);
	assert_int_equal(ipns_write(&content, t.a.key, &record), 0);
	name = name_of(&t.a);
	names_put(t.c.names, &name, buf_bytes(&record), lab_deadline(t.lab, 5000), on_done, &told);
	lab_until(t.lab, &told.done);
	assert_int_equal(told.err, -ETIME);
	told.done = false;
	name = name_of(&t.b);
	names_put(t.c.names, &name, buf_bytes(&record), lab_deadline(t.lab, 5000), on_done, &told);
	lab_until(t.lab, &told.done);
	assert_int_equal(told.err, -EKEYREJECTED);
	buf_release(&record);
	three_free(&t);
}

static void follower_learns_of_each_newer_record_in_order(void **state)
{
	struct told first = { 0 }, second = { 0 };
	struct three t = { 0 };
	struct names_follow *follow;
	struct peer_id name;

	(void)state;
	three_new(&t);
	name = name_of(&t.a);
	assert_non_null(names_follow(t.c.names, &name, on_record, &first));
	follow = names_follow(t.c.names, &name, on_record, &second);
	lab_run(t.lab, 50);
	assert_int_equal(first.found, 0);
	make(&t.a, A, 1);
	assert_int_equal(publish(&t.a).err, 0);
	await(t.lab, first.found == 1 && second.found == 1);
	assert_string_equal(first.value, A);
	second.unfollow = follow;
	make(&t.a, B, 1);
	assert_int_equal(publish(&t.a).err, 0);
	await(t.lab, first.found == 2 && second.found == 2);
	make(&t.a, C, 1);
	assert_int_equal(publish(&t.a).err, 0);
	await(t.lab, first.found == 3);
	assert_string_equal(first.value, C);
	assert_int_equal(first.sequence, 2);
	assert_int_equal(second.found, 2);
	/* The same again is nothing new. */
	lab_run(t.lab, 300);
	assert_int_equal(first.found, 3);
	assert_in_range(stats_of(&t.c).polls, 3, 100);
	three_free(&t);
}

static void follower_keeps_the_last_record_over_restarts_and_alone(void **state)
{
	struct told told = { 0 };
	struct three t = { 0 };
	struct peer_id name;

	(void)state;
	three_new(&t);
	name = name_of(&t.a);
	make(&t.a, A, 1);
	make(&t.a, B, 1);
	assert_int_equal(publish(&t.a).err, 0);
	assert_non_null(names_follow(t.c.names, &name, on_record, &told));
	await(t.lab, told.found == 1);
	assert_int_equal(db_flush(t.c.db), 0);
	names_free(t.c.names);
	swarm_disconnect(t.c.swarm, swarm_self(t.b.swarm));
	lab_run(t.lab, 50);
	node_names(&t.c, 0);
	told = (struct told){ 0 };
	assert_non_null(names_follow(t.c.names, &name, on_record, &told));
	await(t.lab, told.found == 1);
	assert_string_equal(told.value, B);
	assert_string_equal(resolve(&t.c, &name, true).value, B);
	three_free(&t);
}

/* The owner's own followers hear of it without any network. */
static void own_name_is_followed_at_once(void **state)
{
	struct lab *lab = lab_new();
	struct node a = node_new(lab, 1);
	struct peer_id name = name_of(&a);
	struct told told = { 0 };

	(void)state;
	node_names(&a, 0);
	assert_non_null(names_follow(a.names, &name, on_record, &told));
	lab_run(lab, 20);
	make(&a, A, SECOND_MS);
	names_changed(a.names);
	await(lab, told.found == 1);
	make(&a, B, SECOND_MS);
	names_publish(a.names, &name, lab_deadline(lab, 1), NULL, NULL);
	await(lab, told.found == 2);
	assert_string_equal(told.value, B);
	node_close(&a);
	lab_free(lab);
}

static void cancelled_query_tells_nothing_more(void **state)
{
	struct names_want want = { .no_cache = true };
	struct three t = { 0 };
	struct peer_id name;
	struct told told = { 0 };

	(void)state;
	three_new(&t);
	name = name_of(&t.a);
	make(&t.a, A, SECOND_MS);
	assert_int_equal(publish(&t.a).err, 0);
	want.deadline_ms = lab_deadline(t.lab, 5000);
	names_cancel(names_resolve(t.c.names, &name, &want, on_record, on_done, &told));
	/* From inside found(), too. */
	told.cancel = names_resolve(t.c.names, &name, &want, on_record, on_done, &told);
	await(t.lab, told.found == 1);
	lab_run(t.lab, 100);
	assert_false(told.done);
	assert_int_equal(told.found, 1);
	/* What runs at the end is dropped. */
	names_resolve(t.c.names, &name, &want, on_record, on_done, &told);
	names_publish(t.a.names, &name, lab_deadline(t.lab, 5000), on_done, &told);
	names_free(t.a.names);
	names_free(t.c.names);
	t.a.names = t.c.names = NULL;
	three_free(&t);
	assert_false(told.done);
}

static void queries_and_follows_are_limited(void **state)
{
	struct names_want want = { 0 };
	struct three t = { 0 };
	struct peer_id name;
	struct told told[NAMES_QUERIES_MAX] = { 0 };

	(void)state;
	three_new(&t);
	name = name_of(&t.a);
	want.deadline_ms = lab_deadline(t.lab, 5000);
	for (size_t i = 0; i < NAMES_QUERIES_MAX; i++)
		assert_non_null(
			names_resolve(t.c.names, &name, &want, on_record, on_done, &told[i]));
	assert_null(names_resolve(t.c.names, &name, &want, on_record, on_done, &told[0]));
	for (size_t i = 0; i < NAMES_QUERIES_MAX; i++)
		lab_until(t.lab, &told[i].done);
	for (size_t i = 0; i < NAMES_FOLLOWS_MAX; i++)
		assert_non_null(names_follow(t.c.names, &name, on_record, &told[0]));
	assert_null(names_follow(t.c.names, &name, on_record, &told[0]));
	three_free(&t);
}

static void cache_has_room_for_so_many(void **state)
{
	struct names_config config = { .cache_max = 2 };
	struct three t = { 0 };
	struct peer_id names[3];

	(void)state;
	three_new(&t);
	names_free(t.c.names);
	t.c.names = names_new(t.c.swarm, t.c.router, t.c.db, &config);
	for (size_t i = 0; i < 3; i++) {
		make(&t.a, A, 3600 * SECOND_MS);
		assert_int_equal(publish(&t.a).err, 0);
		names[i] = name_of(&t.a);
		assert_int_equal(resolve(&t.c, &names[i], false).err, 0);
		private_key_free(t.a.key);
		t.a.key = private_key_new(KEY_ED25519, 0, &(int){ 0 });
	}
	assert_int_equal(stats_of(&t.c).cached, 2);
	three_free(&t);
}

static void without_a_router_only_what_is_here_is_known(void **state)
{
	struct lab *lab = lab_new();
	struct node a = node_new(lab, 1), b = node_new(lab, 2);
	struct peer_id name = name_of(&a), other = name_of(&b);
	struct names_config config = { 0 };

	(void)state;
	make(&a, A, SECOND_MS);
	a.names = names_new(a.swarm, NULL, a.db, &config);
	node_names(&b, 0);
	assert_string_equal(resolve(&a, &name, true).value, A);
	assert_int_equal(resolve(&a, &other, true).err, -ENOTSUP);
	assert_int_equal(publish(&a).err, -ENOTSUP);
	node_close(&a);
	node_close(&b);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_name_is_resolved_by_others),
		cmocka_unit_test(unknown_name_is_not_found),
		cmocka_unit_test(name_published_offline_is_told_when_a_peer_comes),
		cmocka_unit_test(record_is_made_anew_and_told_again),
		cmocka_unit_test(better_record_in_the_network_is_gone_on_from),
		cmocka_unit_test(record_that_is_not_good_is_not_put),
		cmocka_unit_test(follower_learns_of_each_newer_record_in_order),
		cmocka_unit_test(follower_keeps_the_last_record_over_restarts_and_alone),
		cmocka_unit_test(own_name_is_followed_at_once),
		cmocka_unit_test(cancelled_query_tells_nothing_more),
		cmocka_unit_test(queries_and_follows_are_limited),
		cmocka_unit_test(cache_has_room_for_so_many),
		cmocka_unit_test(without_a_router_only_what_is_here_is_known),
	};

	return cmocka_run_group_tests_name("routing/names", tests, NULL, NULL);
}
