#include "routing/kad/msg.h"

#include "net/base/alloc.h"
#include "net/wire/frame.h"
#include "net/wire/pb.h"
#include "routing/place.h"
#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void ids_agree_with_the_vectors(void **state)
{
	json_t *vectors = vector_json("kad.json"), *one;
	struct place ids[2];
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(vectors, "keys"), i, one) {
		struct buf key = { 0 }, id = { 0 };
		struct place is;

		vector_hex(&key, one, "key_hex");
		vector_hex(&id, one, "kad_id_hex");
		is = place_of_key(buf_bytes(&key));
		assert_bytes_equal(bytes_of(is.bytes, sizeof(is.bytes)), buf_bytes(&id));
		if (i == 1 || i == 2)
			ids[i - 1] = is;
		buf_release(&key);
		buf_release(&id);
	}
	struct place zero = { 0 }, far = { { 0x80 } };

	assert_int_equal(place_common(&ids[0], &ids[1]), 1);
	assert_int_equal(place_common(&zero, &zero), PLACE_BITS);
	assert_int_equal(place_common(&zero, &far), 0);
	assert_true(place_closer(&ids[0], &ids[0], &ids[1]) < 0);
	assert_true(place_closer(&ids[0], &ids[1], &ids[0]) > 0);
	assert_int_equal(place_closer(&zero, &far, &far), 0);
	json_decref(vectors);
}

/* Write again what was read. */
struct copy {
	struct buf *out;
	enum kad_field field;
};

static int copy_peer(void *ctx, const struct kad_msg_peer *peer)
{
	struct copy *copy = ctx;

	assert_true(kad_msg_peer(copy->out, copy->field, &peer->id, peer->addrs, peer->addr_count,
				 peer->connection, KAD_OWN_MAX));
	return 0;
}

static void encode_again(struct buf *out, const struct kad_msg *msg, struct bytes in)
{
	struct copy copy = { out, KAD_CLOSER };

	kad_msg_begin(out, (enum kad_type)msg->type, msg->key);
	if (msg->has_record)
		kad_msg_record(out, &msg->record);
	kad_msg_peers(in, KAD_CLOSER, copy_peer, &copy);
	copy.field = KAD_PROVIDERS;
	kad_msg_peers(in, KAD_PROVIDERS, copy_peer, &copy);
	kad_msg_end(out);
}

static void messages_are_the_vectors_both_ways(void **state)
{
	json_t *vectors = vector_json("kad.json"), *one;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(vectors, "messages"), i, one) {
		struct buf in = { 0 }, framed = { 0 }, out = { 0 }, out_framed = { 0 };
		struct kad_msg msg;

		vector_hex(&in, one, "protobuf_hex");
		vector_hex(&framed, one, "framed_hex");
		assert_int_equal(kad_msg_decode(&msg, buf_bytes(&in)), 0);
		assert_in_range(msg.type, KAD_PUT_VALUE, KAD_PING);
		encode_again(&out, &msg, buf_bytes(&in));
		assert_bytes_equal(buf_bytes(&out), buf_bytes(&in));
		frame_add(&out_framed, buf_bytes(&out));
		assert_bytes_equal(buf_bytes(&out_framed), buf_bytes(&framed));
		buf_release(&in);
		buf_release(&framed);
		buf_release(&out);
		buf_release(&out_framed);
	}
	json_decref(vectors);
}

/* Truncated anywhere it is refused or, cut between fields, a shorter message; never read past its
 * end. */
static void truncations_are_safe(void **state)
{
	json_t *vectors = vector_json("kad.json"), *one;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(vectors, "messages"), i, one) {
		struct buf in = { 0 };

		vector_hex(&in, one, "protobuf_hex");
		for (size_t len = 0; len <= in.len; len++) {
			uint8_t *part = malloc(len + 1);
			struct buf out = { 0 };
			struct kad_msg msg;

			memcpy(part, in.at, len);
			if (kad_msg_decode(&msg, bytes_of(part, len)) == 0)
				encode_again(&out, &msg, bytes_of(part, len));
			buf_release(&out);
			free(part);
		}
		buf_release(&in);
	}
	json_decref(vectors);
}

static struct peer_id some_peer(uint8_t number)
{
	uint8_t seed[32] = { number };
	struct identity *identity = identity_from_seed(seed);
	struct peer_id id;

	peer_id_of_identity(&id, identity);
	identity_free(identity);
	return id;
}

static int keep_peer(void *ctx, const struct kad_msg_peer *peer)
{
	struct kad_msg_peer *kept = ctx;

	*kept = *peer;
	return 1;
}

static void bad_addresses_are_dropped_one_by_one(void **state)
{
	struct peer_id id = some_peer(1), other = some_peer(2);
	struct kad_msg_peer *kept = xnew(struct kad_msg_peer);
	struct buf inner = { 0 }, out = { 0 };
	struct multiaddr addr;
	struct kad_msg msg;

	(void)state;
	/* The addresses stand before the id: garbage, a good one, the same with our /p2p, one of
	 * another. */
	pb_put_bytes(&inner, 2, bytes_str("\xff\xff"));
	pb_put_bytes(&inner, 2, bytes_of(NULL, 0));
	multiaddr_from_text(&addr, "/ip4/1.2.3.4/tcp/1");
	pb_put_bytes(&inner, 2, multiaddr_bytes(&addr));
	multiaddr_add_peer(&addr, &id);
	pb_put_bytes(&inner, 2, multiaddr_bytes(&addr));
	multiaddr_from_text(&addr, "/ip4/1.2.3.5/tcp/1");
	multiaddr_add_peer(&addr, &other);
	pb_put_bytes(&inner, 2, multiaddr_bytes(&addr));
	pb_put_bytes(&inner, 1, peer_id_bytes(&id));
	kad_msg_begin(&out, KAD_FIND_NODE, bytes_of(NULL, 0));
	pb_put_bytes(&out, KAD_CLOSER, bytes_str("\x0a\x02xx")); /* an entry whose id is none */
	pb_put_bytes(&out, KAD_CLOSER, buf_bytes(&inner));
	assert_int_equal(kad_msg_decode(&msg, buf_bytes(&out)), 0);
	assert_int_equal(msg.closer, 2);
	kad_msg_peers(buf_bytes(&out), KAD_CLOSER, keep_peer, kept);
	assert_true(peer_id_equal(&kept->id, &id));
	assert_int_equal(kept->addr_count, 1);
	buf_release(&inner);
	buf_release(&out);
	free(kept);
}

static void limits_hold_at_their_edges(void **state)
{
	struct peer_id id = some_peer(1);
	struct kad_msg_peer *kept = xnew(struct kad_msg_peer);
	struct multiaddr *addrs = xcalloc(1000, sizeof(*addrs));
	struct buf out = { 0 }, exact = { 0 };
	struct kad_msg msg;
	char text[64];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "/ip4/1.2.3.4/tcp/%u", i + 1);
		multiaddr_from_text(&addrs[i], text);
	}
	assert_true(kad_msg_peer(&out, KAD_CLOSER, &id, addrs, 1000, KAD_CONNECTED, 1 << 20));
	assert_in_range(out.len, KAD_PEER_BYTES_MAX - 20, KAD_PEER_BYTES_MAX + 4);
	kad_msg_peers(buf_bytes(&out), KAD_CLOSER, keep_peer, kept);
	assert_int_equal(kept->addr_count, KAD_PEER_ADDRS_MAX);
	/* An entry that just fits, and one byte less room. */
	assert_true(kad_msg_peer(&exact, KAD_CLOSER, &id, addrs, 1, KAD_NOT_CONNECTED, 1000));
	size_t len = exact.len;

	buf_clear(&exact);
	assert_false(kad_msg_peer(&exact, KAD_CLOSER, &id, addrs, 1, KAD_NOT_CONNECTED, len + 1));
	assert_int_equal(exact.len, 0);
	assert_true(kad_msg_peer(&exact, KAD_CLOSER, &id, addrs, 1, KAD_NOT_CONNECTED, len + 2));
	/* As many entries as are visited, and one more. */
	buf_clear(&out);
	for (unsigned i = 0; i < KAD_PEERS_MAX; i++)
		pb_put_bytes(&out, KAD_PROVIDERS, bytes_of(NULL, 0));
	assert_int_equal(kad_msg_decode(&msg, buf_bytes(&out)), 0);
	pb_put_bytes(&out, KAD_CLOSER, bytes_of(NULL, 0));
	assert_int_equal(kad_msg_decode(&msg, buf_bytes(&out)), -EMSGSIZE);
	buf_release(&out);
	buf_release(&exact);
	free(addrs);
	free(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_agree_with_the_vectors),
		cmocka_unit_test(messages_are_the_vectors_both_ways),
		cmocka_unit_test(truncations_are_safe),
		cmocka_unit_test(bad_addresses_are_dropped_one_by_one),
		cmocka_unit_test(limits_hold_at_their_edges),
	};

	return cmocka_run_group_tests_name("routing/msg", tests, NULL, NULL);
}
