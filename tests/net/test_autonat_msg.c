/* The messages of AutoNAT: vectors, what is left out, limits. */
#include "net/nat/autonat/autonat_msg.h"
#include "net/wire/frame.h"
#include "net/wire/pb.h"
#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NONCE 0x1122334455667788

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

/* The vector of that description; *out is its whole frame. */
static void frame(struct buf *out, const char *desc)
{
	json_t *json = vector_json("nat.json"), *vector;
	size_t i;

	buf_clear(out);
	json_array_foreach(json_object_get(json, "vectors"), i, vector)
		if (strcmp(vector_text(vector, "desc"), desc) == 0)
			vector_hex(out, vector, "framed_hex");
	json_decref(json);
	assert_true(out->len > 0);
}

/* Without its length, of one byte. */
static struct bytes body(const struct buf *framed)
{
	assert_int_equal(framed->at[0], framed->len - 1);
	return bytes_skip(buf_bytes(framed), 1);
}

static void version_2_is_as_go_writes_it(void **state)
{
	struct multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001");
	struct buf want = { 0 }, got = { 0 };
	struct autonat_msg msg;
	uint64_t nonce;

	(void)state;
	frame(&want, "autonat v2 DialRequest nonce 0x1122334455667788");
	autonat_msg_put_request(&got, &addr, 1, NONCE);
	assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
	assert_int_equal(autonat_msg_decode(&msg, body(&want)), 0);
	assert_int_equal(msg.kind, AUTONAT_REQUEST);
	assert_int_equal(msg.addr_count, 1);
	assert_bytes_equal(msg.addrs[0], multiaddr_bytes(&addr));
	assert_true(msg.nonce == NONCE);

	buf_clear(&got);
	frame(&want, "autonat v2 DialDataRequest idx 0 bytes 40000");
	autonat_msg_put_want_data(&got, 0, 40000);
	assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
	assert_int_equal(autonat_msg_decode(&msg, body(&want)), 0);
	assert_int_equal(msg.kind, AUTONAT_WANT_DATA);
	assert_int_equal(msg.want, 40000);

	buf_clear(&got);
	frame(&want, "autonat v2 DialResponse OK/OK");
	autonat_msg_put_response(&got, AUTONAT_OK, 0, AUTONAT_DIAL_OK);
	assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
	assert_int_equal(autonat_msg_decode(&msg, body(&want)), 0);
	assert_int_equal(msg.kind, AUTONAT_RESPONSE);
	assert_int_equal(msg.status, AUTONAT_OK);
	assert_int_equal(msg.dial_status, AUTONAT_DIAL_OK);

	buf_clear(&got);
	frame(&want, "autonat v2 DialBack nonce");
	autonat_msg_put_back(&got, NONCE);
	assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
	assert_int_equal(autonat_msg_decode_back(&nonce, body(&want)), 0);
	assert_true(nonce == NONCE);

	buf_clear(&got);
	frame(&want, "autonat v2 DialBackResponse OK");
	autonat_msg_put_back_answer(&got);
	assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
	buf_release(&want);
	buf_release(&got);
}

static void version_1_is_as_go_writes_it(void **state)
{
	struct multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001");
	struct buf want = { 0 }, got = { 0 };
	uint8_t seed[32];
	struct identity *identity;
	struct autonat_v1_msg msg;
	struct peer_id id;

	(void)state;
	memset(seed, 1, sizeof(seed));
	identity = identity_from_seed(seed);
	peer_id_of_identity(&id, identity);
	identity_free(identity);
	frame(&want, "autonat v1 DIAL");
	autonat_msg_put_v1_dial(&got, &id, &addr, 1);
	assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
	assert_int_equal(autonat_msg_decode_v1(&msg, body(&want)), 0);
	assert_true(msg.dial);
	assert_bytes_equal(msg.id, peer_id_bytes(&id));
	assert_int_equal(msg.addr_count, 1);
	assert_bytes_equal(msg.addrs[0], multiaddr_bytes(&addr));

	buf_clear(&got);
	frame(&want, "autonat v1 response OK");
	autonat_msg_put_v1_response(&got, AUTONAT_V1_OK, &addr);
	assert_bytes_equal(buf_bytes(&got), buf_bytes(&want));
	assert_int_equal(autonat_msg_decode_v1(&msg, body(&want)), 0);
	assert_false(msg.dial);
	assert_int_equal(msg.status, AUTONAT_V1_OK);
	assert_bytes_equal(msg.addr, multiaddr_bytes(&addr));
	buf_release(&want);
	buf_release(&got);
}

/* A message cut short is bad, or a shorter good one where a field had ended: never read past. */
static void truncated_messages_are_never_read_past_their_end(void **state)
{
	static const char *const descs[] = {
		"autonat v2 DialRequest nonce 0x1122334455667788",
		"autonat v2 DialDataRequest idx 0 bytes 40000",
		"autonat v2 DialResponse OK/OK",
		"autonat v2 DialBack nonce",
		"autonat v1 DIAL",
		"autonat v1 response OK",
	};
	struct autonat_v1_msg v1;
	struct autonat_msg msg;
	uint64_t nonce;

	(void)state;
	for (size_t i = 0; i < sizeof(descs) / sizeof(descs[0]); i++) {
		struct buf want = { 0 };

		frame(&want, descs[i]);
		for (size_t len = 1; len < want.len - 1; len++) {
			uint8_t *cut = malloc(len);

			memcpy(cut, want.at + 1, len);
			autonat_msg_decode_back(&nonce, bytes_of(cut, len));
			if (i < 3)
				assert_int_equal(autonat_msg_decode(&msg, bytes_of(cut, len)),
						 -EBADMSG);
			if (i > 3)
				assert_int_equal(autonat_msg_decode_v1(&v1, bytes_of(cut, len)),
						 -EBADMSG);
			free(cut);
		}
		buf_release(&want);
	}
}

static void addresses_over_the_limit_are_left_out(void **state)
{
	struct multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001");
	struct buf part = { 0 }, message = { 0 }, peer = { 0 };
	struct autonat_v1_msg v1;
	struct autonat_msg msg;

	(void)state;
	for (size_t i = 0; i < AUTONAT_ADDRS_MAX + 1; i++)
		pb_put_bytes(&part, 1, multiaddr_bytes(&addr));
	pb_put_bytes(&message, 1, buf_bytes(&part));
	assert_int_equal(autonat_msg_decode(&msg, buf_bytes(&message)), 0);
	assert_int_equal(msg.addr_count, AUTONAT_ADDRS_MAX);
	/* Of version 1. */
	buf_clear(&message);
	buf_clear(&part);
	for (size_t i = 0; i < AUTONAT_V1_ADDRS_MAX + 1; i++)
		pb_put_bytes(&peer, 2, multiaddr_bytes(&addr));
	pb_put_bytes(&part, 1, buf_bytes(&peer));
	pb_put_u64(&message, 1, 0);
	pb_put_bytes(&message, 2, buf_bytes(&part));
	assert_int_equal(autonat_msg_decode_v1(&v1, buf_bytes(&message)), 0);
	assert_int_equal(v1.addr_count, AUTONAT_V1_ADDRS_MAX);
	buf_release(&part);
	buf_release(&message);
	buf_release(&peer);
}

/* An empty good part, then an unknown field that fills the message up to len (tag, length of two).
 */
static void fill(struct buf *message, const char *good, size_t len)
{
	static const uint8_t zeros[AUTONAT_MESSAGE_MAX];

	buf_clear(message);
	hex_decode(message, good);
	pb_put_bytes(message, 15, bytes_of(zeros, len - message->len - 3));
	assert_int_equal(message->len, len);
}

static void messages_over_the_limit_are_refused(void **state)
{
	struct buf message = { 0 };

	(void)state;
	for (size_t over = 0; over < 2; over++) {
		int want = over ? -EMSGSIZE : 0;
		struct autonat_v1_msg v1;
		struct autonat_msg msg;
		uint64_t nonce;

		fill(&message, "1a00", AUTONAT_MESSAGE_MAX + over);
		assert_int_equal(autonat_msg_decode(&msg, buf_bytes(&message)), want);
		fill(&message, "", AUTONAT_BACK_MAX + over);
		assert_int_equal(autonat_msg_decode_back(&nonce, buf_bytes(&message)), want);
		fill(&message, "08011a00", AUTONAT_V1_MESSAGE_MAX + over);
		assert_int_equal(autonat_msg_decode_v1(&v1, buf_bytes(&message)), want);
	}
	buf_release(&message);
}

struct pieces {
	size_t count, sum;
};

static int on_piece(void *ctx, struct buf *message)
{
	struct pieces *pieces = ctx;
	struct autonat_msg msg;

	assert_int_equal(autonat_msg_decode(&msg, buf_bytes(message)), 0);
	assert_int_equal(msg.kind, AUTONAT_DATA);
	assert_in_range(msg.data_len, 1, AUTONAT_PIECE_MAX);
	pieces->count++;
	pieces->sum += msg.data_len;
	return 0;
}

/* Fed byte by byte, as any stream may bring it. */
static void data_comes_in_pieces(void **state)
{
	struct frame_reader reader = { 0 };
	struct pieces pieces = { 0 };
	struct buf out = { 0 };

	(void)state;
	autonat_msg_put_data(&out, AUTONAT_DATA_MAX);
	for (size_t i = 0; i < out.len; i++)
		assert_int_equal(frame_reader_feed(&reader, bytes_of(out.at + i, 1),
						   AUTONAT_MESSAGE_MAX, on_piece, &pieces),
				 0);
	assert_true(frame_reader_idle(&reader));
	assert_int_equal(pieces.sum, AUTONAT_DATA_MAX);
	assert_int_equal(pieces.count, AUTONAT_DATA_MAX / AUTONAT_PIECE_MAX + 1);
	frame_reader_release(&reader);
	buf_release(&out);
}

static void last_of_two_messages_in_one_counts(void **state)
{
	struct autonat_msg msg;
	struct buf both = { 0 };

	(void)state;
	hex_decode(&both, "1a04 10c0b802 1206 08c80118c801");
	assert_int_equal(autonat_msg_decode(&msg, buf_bytes(&both)), 0);
	assert_int_equal(msg.kind, AUTONAT_RESPONSE);
	assert_int_equal(msg.want, 0);
	/* A nonce of another type, and version 1 with another type's part. */
	buf_clear(&both);
	hex_decode(&both, "0a02 1005");
	assert_int_equal(autonat_msg_decode(&msg, buf_bytes(&both)), -EBADMSG);
	buf_clear(&both);
	hex_decode(&both, "0801 1200");
	assert_int_equal(autonat_msg_decode_v1(&(struct autonat_v1_msg){ 0 }, buf_bytes(&both)),
			 -EBADMSG);
	buf_release(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2_is_as_go_writes_it),
		cmocka_unit_test(version_1_is_as_go_writes_it),
		cmocka_unit_test(truncated_messages_are_never_read_past_their_end),
		cmocka_unit_test(addresses_over_the_limit_are_left_out),
		cmocka_unit_test(messages_over_the_limit_are_refused),
		cmocka_unit_test(data_comes_in_pieces),
		cmocka_unit_test(last_of_two_messages_in_one_counts),
	};

	return cmocka_run_group_tests_name("net/autonat_msg", tests, NULL, NULL);
}
