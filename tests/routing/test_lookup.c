/* The state machine alone: scripted cases, then 200 nodes on virtual time. */
#include "routing/kad/lookup.h"

#include "net/base/random.h"
#include "routing/kad/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALPHA 10
#define BETA 3
#define K 20

static struct peer_id peer_of(uint32_t number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20 } };

	memcpy(id.bytes + 2, &number, sizeof(number));
	return id;
}

static struct place place_of_number(uint32_t number)
{
	struct peer_id peer = peer_of(number);

	return place_of_key(peer_id_bytes(&peer));
}

static void start(struct kad_lookup *lookup)
{
	struct place target = place_of_number(123456);
	struct peer_id self = peer_of(0);

	kad_lookup_init(lookup, &target, &self, ALPHA, BETA, K);
}

static void a_tiny_network_ends_at_once(void **state)
{
	struct kad_lookup lookup;
	struct peer_id peer, one = peer_of(1), two = peer_of(2);
	struct kad_lookup_news news[3] = { { .peer = peer_of(0) },
					   { .peer = two },
					   { .peer = one } };

	(void)state;
	start(&lookup);
	assert_true(kad_lookup_done(&lookup));
	assert_false(kad_lookup_next(&lookup, 0, &peer));
	kad_lookup_release(&lookup);

	start(&lookup);
	kad_lookup_seed(&lookup, &one);
	assert_false(kad_lookup_done(&lookup));
	assert_true(kad_lookup_next(&lookup, 0, &peer));
	assert_false(kad_lookup_next(&lookup, 0, &peer));
	assert_false(kad_lookup_done(&lookup));
	kad_lookup_answered(&lookup, &one, news, 3);
	assert_true(kad_lookup_next(&lookup, 0, &peer));
	assert_true(peer_id_equal(&peer, &two));
	kad_lookup_failed(&lookup, &two);
	assert_true(kad_lookup_done(&lookup));
	assert_int_equal(kad_lookup_closest(&lookup, &peer, 1), 1);
	assert_true(kad_lookup_reach(&lookup) == UINT64_MAX); /* fewer than k */
	assert_true(peer_id_equal(&peer, &one));
	kad_lookup_release(&lookup);
}

static void slow_questions_do_not_count_against_alpha(void **state)
{
	struct kad_lookup lookup;
	struct peer_id peer;
	unsigned asked = 0;

	(void)state;
	start(&lookup);
	for (uint32_t i = 1; i <= 40; i++) {
		peer = peer_of(i);
		kad_lookup_seed(&lookup, &peer);
	}
	while (kad_lookup_next(&lookup, 100, &peer))
		asked++;
	assert_int_equal(asked, ALPHA);
	assert_int_equal(kad_lookup_due_ms(&lookup, 100), 100 + KAD_LOOKUP_SLOW_MS);
	while (kad_lookup_next(&lookup, 100 + KAD_LOOKUP_SLOW_MS, &peer))
		asked++;
	assert_int_equal(asked, 2 * ALPHA);
	kad_lookup_release(&lookup);
}

static void lookup_ends_with_beta_answers_and_a_follow_up(void **state)
{
	struct kad_lookup lookup;
	struct peer_id asked[KAD_LOOKUP_FLIGHT_MAX], peer;
	unsigned count = 0;

	(void)state;
	start(&lookup);
	for (uint32_t i = 1; i <= 100; i++) {
		peer = peer_of(i);
		kad_lookup_seed(&lookup, &peer);
	}
	while (kad_lookup_next(&lookup, 0, &asked[count]))
		count++;
	assert_int_equal(count, ALPHA);
	/* The nearest but one fails: then the beta nearest are 0, 2 and 3. */
	kad_lookup_answered(&lookup, &asked[0], NULL, 0);
	kad_lookup_failed(&lookup, &asked[1]);
	kad_lookup_answered(&lookup, &asked[2], NULL, 0);
	assert_false(lookup.follow_up);
	kad_lookup_answered(&lookup, &asked[3], NULL, 0);
	assert_false(kad_lookup_done(&lookup));
	assert_true(lookup.follow_up);
	while (kad_lookup_next(&lookup, 0, &asked[count]))
		count++;
	assert_int_equal(count, K + 1);
	for (unsigned i = 4; i < count; i++)
		kad_lookup_answered(&lookup, &asked[i], NULL, 0);
	assert_true(kad_lookup_done(&lookup));
	assert_int_equal(kad_lookup_answerers(&lookup, asked, K), K);
	kad_lookup_release(&lookup);
}

static void answers_are_bounded(void **state)
{
	struct kad_lookup lookup;
	struct peer_id peer, first = peer_of(1);
	struct kad_lookup_news news[KAD_LOOKUP_TAKE_MAX + 1];

	(void)state;
	start(&lookup);
	kad_lookup_seed(&lookup, &first);
	assert_true(kad_lookup_next(&lookup, 0, &peer));
	for (uint32_t i = 0; i < KAD_LOOKUP_TAKE_MAX + 1; i++)
		news[i] = (struct kad_lookup_news){ .peer = peer_of(100 + i),
						    .group = i < 10 ? 5 : 0 };
	kad_lookup_answered(&lookup, &first, news, KAD_LOOKUP_TAKE_MAX + 1);
	assert_int_equal(lookup.count, 1 + KAD_LOOKUP_TAKE_MAX - (10 - KAD_LOOKUP_GROUP_MAX));
	/* Nobody unasked says anything. */
	peer = peer_of(101);
	kad_lookup_answered(&lookup, &peer, news, 1);
	for (uint32_t i = 1000; i < 1000 + 2 * KAD_LOOKUP_PEERS_MAX; i++) {
		peer = peer_of(i);
		kad_lookup_seed(&lookup, &peer);
	}
	assert_int_equal(lookup.count, KAD_LOOKUP_PEERS_MAX);
	for (size_t i = 1; i < lookup.count; i++)
		assert_true(place_closer(&lookup.target, &lookup.peers[i - 1].id,
					 &lookup.peers[i].id) < 0);
	kad_lookup_release(&lookup);
}

/* ---- a network on virtual time ---- */

#define NODES 200
#define DEAD_EVERY 7 /* each so many-th node never answers */

struct network {
	struct kad_buckets tables[NODES];
	struct random random;
};

static void network_init(struct network *net, uint64_t seed)
{
	net->random = random_seeded(seed);
	for (uint32_t i = 0; i < NODES; i++) {
		struct peer_id self = peer_of(i);

		kad_bucket_init(&net->tables[i], &self, K);
		for (unsigned n = 0; n < 120; n++) {
			struct peer_id other = peer_of((uint32_t)random_below(&net->random, NODES));

			kad_bucket_add(&net->tables[i], &other, 0, 1, NULL);
		}
	}
}

static uint32_t number_of(const struct peer_id *peer)
{
	uint32_t number;

	memcpy(&number, peer->bytes + 2, sizeof(number));
	return number;
}

struct flight {
	struct peer_id peer;
	uint64_t at_ms;
};

/* Runs a lookup from node 0; returns the questions it took. */
static unsigned run(struct network *net, struct kad_lookup *lookup, uint64_t *took_ms)
{
	struct flight flights[KAD_LOOKUP_FLIGHT_MAX];
	unsigned count = 0, asked = 0;
	uint64_t now = 0;

	while (!kad_lookup_done(lookup)) {
		struct peer_id peer, near[K];
		unsigned next = 0;

		while (kad_lookup_next(lookup, now, &peer)) {
			bool dead = number_of(&peer) % DEAD_EVERY == 0;
			uint64_t delay = dead ? 5000 : 10 + random_below(&net->random, 200);

			flights[count++] = (struct flight){ peer, now + delay };
			asked++;
		}
		assert_true(count > 0);
		for (unsigned i = 1; i < count; i++)
			if (flights[i].at_ms < flights[next].at_ms)
				next = i;
		uint64_t due = kad_lookup_due_ms(lookup, now);

		if (due < flights[next].at_ms) {
			now = due;
			continue;
		}
		peer = flights[next].peer;
		now = flights[next].at_ms;
		flights[next] = flights[--count];
		if (number_of(&peer) % DEAD_EVERY == 0) {
			kad_lookup_failed(lookup, &peer);
			continue;
		}
		struct kad_lookup_news news[K];
		size_t n = kad_bucket_closest(&net->tables[number_of(&peer)], &lookup->target, NULL,
					      near, K);

		for (size_t i = 0; i < n; i++)
			news[i] = (struct kad_lookup_news){ .peer = near[i] };
		kad_lookup_answered(lookup, &peer, news, n);
	}
	*took_ms = now;
	return asked;
}

/* How many living nodes but ourselves are nearer than this one. */
static unsigned rank_of(const struct place *target, const struct place *id)
{
	unsigned rank = 0;

	for (uint32_t i = 1; i < NODES; i++) {
		struct place other = place_of_number(i);

		rank += i % DEAD_EVERY != 0 && place_closer(target, &other, id) < 0;
	}
	return rank;
}

static void two_hundred_nodes_find_the_nearest(void **state)
{
	struct network *net = calloc(1, sizeof(*net));
	unsigned right = 0, sought = 0;

	(void)state;
	network_init(net, 20261121);
	for (uint32_t t = 0; t < 20; t++) {
		struct place target = place_of_number(1000000 + t);
		struct peer_id self = peer_of(0), near[K];
		struct kad_lookup lookup;
		struct place id;
		uint64_t took_ms;
		size_t n;

		kad_lookup_init(&lookup, &target, &self, ALPHA, BETA, K);
		n = kad_bucket_closest(&net->tables[0], &target, NULL, near, K);
		for (size_t i = 0; i < n; i++)
			kad_lookup_seed(&lookup, &near[i]);
		assert_in_range(run(net, &lookup, &took_ms), K, NODES / 2);
		assert_true(took_ms < 15000);
		n = kad_lookup_closest(&lookup, near, K);
		assert_int_equal(n, K);
		id = place_of_key(peer_id_bytes(&near[K - 1]));
		assert_true(kad_lookup_reach(&lookup) == place_distance(&target, &id));
		for (size_t i = 0; i < n; i++) {
			id = place_of_key(peer_id_bytes(&near[i]));
			assert_true(number_of(&near[i]) % DEAD_EVERY != 0);
			right += rank_of(&target, &id) < K;
			sought++;
		}
		kad_lookup_release(&lookup);
	}
	/* Nearly all of the 20 nearest of each target. */
	assert_true(right * 100 >= sought * 95);
	for (uint32_t i = 0; i < NODES; i++)
		kad_bucket_release(&net->tables[i]);
	free(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tiny_network_ends_at_once),
		cmocka_unit_test(slow_questions_do_not_count_against_alpha),
		cmocka_unit_test(lookup_ends_with_beta_answers_and_a_follow_up),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(two_hundred_nodes_find_the_nearest),
	};

	return cmocka_run_group_tests_name("routing/lookup", tests, NULL, NULL);
}
