/* net/identify/identify_msg.c: vectors of go-libp2p, Kubo's own message, floods, forged records. */
#include "net/identify/identify_msg.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/frame.h"
#include "net/wire/pb.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEQ 1700000000000000000u

static struct identity *seeded(uint8_t byte)
{
	uint8_t seed[32];

	memset(seed, byte, sizeof seed);
	return identity_from_seed(seed);
}

static struct peer_id id_of(uint8_t byte)
{
	struct identity *identity = seeded(byte);
	struct peer_id id;

	peer_id_of_identity(&id, identity);
	identity_free(identity);
	return id;
}

static struct multiaddr addr_of(const char *text)
{
	struct multiaddr addr;

	assert_int_equal(multiaddr_from_text(&addr, text), 0);
	return addr;
}

static int on_message(void *ctx, struct buf *message)
{
	return identify_msg_merge(ctx, buf_bytes(message));
}

static int merge_framed(struct identify_msg *msg, struct bytes in)
{
	struct frame_reader reader = { 0 };
	int err = frame_reader_feed(&reader, in, IDENTIFY_MESSAGE_MAX, on_message, msg);

	frame_reader_release(&reader);
	return err;
}

static const char *const protocols[] = { "/ipfs/bitswap/1.2.0", "/ipfs/id/1.0.0",
					 "/ipfs/id/push/1.0.0", "/ipfs/kad/1.0.0",
					 "/ipfs/ping/1.0.0" };

static void check_vector(const json_t *json, const char *key, bool with_record)
{
	struct multiaddr from = addr_of("/ip4/8.8.8.8/tcp/1"),
			 observed = addr_of("/ip4/198.51.100.7/tcp/54321");
	struct identify_msg msg = { 0 };
	struct peer_id self = id_of(1);
	struct buf raw = { 0 };

	vector_hex(&raw, json, key);
	assert_int_equal(merge_framed(&msg, buf_bytes(&raw)), 0);
	assert_int_equal(msg.addr_count, 2);
	identify_msg_finish(&msg, &self, &from);
	assert_true(msg.has_key);
	assert_string_equal(msg.agent, "kubo/0.44.0-dev/abcdef");
	assert_string_equal(msg.protocol_version, "ipfs/0.1.0");
	assert_true(multiaddr_equal(&msg.observed, &observed));
	assert_int_equal(msg.protocol_count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(msg.protocols[i], protocols[i]);
	assert_true(identify_msg_speaks(&msg, "/ipfs/kad/1.0.0"));
	assert_false(identify_msg_speaks(&msg, "/ipfs/kad/1.0"));
	assert_true(msg.certified == with_record);
	if (with_record)
		assert_true(msg.record_seq == SEQ);
	identify_msg_release(&msg);
	buf_release(&raw);
}

static void decode_vectors(void **state)
{
	json_t *json = vector_json("identify.json");

	(void)state;
	check_vector(json, "single_message_with_record_framed_hex", true);
	check_vector(json, "two_message_stream_hex", true);
	check_vector(json, "without_record_framed_hex", false);
	json_decref(json);
}

/* The record's address list is what go signed: one address; the plain list has two. */
static void encode_vector(void **state)
{
	struct multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001");
	json_t *json = vector_json("envelope.json");
	struct multiaddr two[] = { addr, addr_of("/ip6/2001:db8::1/udp/4001/quic-v1") };
	struct identity *identity = seeded(1);
	struct buf out = { 0 }, want = { 0 };

	(void)state;
	identify_record_seal(&out, identity, SEQ, two, 2);
	vector_hex(&want, json_object_get(json, "peer_record"), "envelope_hex");
	assert_bytes_equal(buf_bytes(&out), buf_bytes(&want));
	identity_free(identity);
	buf_release(&out);
	buf_release(&want);
	json_decref(json);
}

static void kubo_message(void **state)
{
	json_t *json = vector_json("kubo-session.json"), *frame;
	struct multiaddr from = addr_of("/ip4/127.0.0.1/tcp/1");
	size_t i, seen = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "frames"), i, frame) {
		struct identify_msg msg = { 0 };
		struct peer_id id;
		struct buf raw = { 0 };

		vector_hex(&raw, frame, "body_hex");
		if (raw.len > 500 && !strcmp(vector_text(frame, "dir"), "<") && raw.at[0] == 0x0a &&
		    identify_msg_merge(&msg, buf_bytes(&raw)) == 0 && msg.has_key) {
			peer_id_of_key(&id, &msg.key);
			identify_msg_finish(&msg, &id, &from);
			assert_true(msg.certified);
			assert_string_equal(msg.agent, "kubo/0.44.0-dev");
			assert_string_equal(msg.protocol_version, "");
			assert_true(identify_msg_speaks(&msg, "/ipfs/bitswap/1.2.0"));
			assert_int_equal(msg.addr_count, 1);
			seen++;
		}
		identify_msg_release(&msg);
		buf_release(&raw);
	}
	assert_true(seen > 0);
	json_decref(json);
}

static struct identify_self self_of(const struct identity *identity, const struct multiaddr *addrs,
				    size_t count, const struct multiaddr *observed)
{
	return (struct identify_self){ .identity = identity,
				       .addrs = addrs,
				       .addr_count = count,
				       .protocols = protocols,
				       .protocol_count = 5,
				       .observed = observed,
				       .protocol_version = "ipfs/0.1.0",
				       .agent = "dagfs/1",
				       .seq = 7 };
}

static int count_message(void *ctx, struct buf *message)
{
	unsigned *count = ctx;

	(void)message;
	++*count;
	return 0;
}

static void round_trip(void **state)
{
	struct multiaddr addrs[60], observed = addr_of("/ip4/1.2.3.4/tcp/5");
	struct identity *identity = seeded(1);
	struct peer_id id = id_of(1);

	(void)state;
	for (size_t i = 0; i < 60; i++) {
		char text[80];

		snprintf(text, sizeof text, "/ip6/2a00::%zu/tcp/4001", i);
		addrs[i] = addr_of(text);
	}
	for (size_t count = 0; count <= 60; count += 4) {
		struct identify_self self = self_of(identity, addrs, count, &observed);
		struct identify_msg msg = { 0 };
		struct frame_reader reader = { 0 };
		unsigned messages = 0;
		struct buf out = { 0 };

		assert_int_equal(identify_msg_encode(&self, &out), 0);
		assert_true(out.len <= IDENTIFY_OWN_MAX + 4);
		frame_reader_feed(&reader, buf_bytes(&out), IDENTIFY_OWN_MAX, count_message,
				  &messages);
		assert_int_equal(messages, out.len > 2050 ? 2 : 1);
		assert_int_equal(merge_framed(&msg, buf_bytes(&out)), 0);
		identify_msg_finish(&msg, &id, &observed);
		assert_true(msg.certified && msg.has_key);
		assert_int_equal(msg.record_seq, 7);
		assert_true(msg.addr_count == count || (count > 40 && msg.addr_count > 40));
		for (size_t i = 0; i < msg.addr_count; i++)
			assert_true(multiaddr_equal(&msg.addrs[i], &addrs[i]));
		frame_reader_release(&reader);
		identify_msg_release(&msg);
		buf_release(&out);
	}
	identity_free(identity);
}

static void message_over_the_limit_is_not_encoded(void **state)
{
	struct identity *identity = seeded(1);
	struct identify_self self = self_of(identity, NULL, 0, NULL);
	char *agent = xcalloc(1, IDENTIFY_OWN_MAX + 1);
	struct buf out = { 0 };

	(void)state;
	memset(agent, 'a', IDENTIFY_OWN_MAX);
	self.agent = agent;
	assert_int_equal(identify_msg_encode(&self, &out), -EMSGSIZE);
	assert_int_equal(out.len, 0);
	free(agent);
	identity_free(identity);
}

/* Thousands of names and addresses in chunks: what is over the limit is left out. */
static void names_and_addresses_over_the_limit_are_left_out(void **state)
{
	struct identify_msg msg = { 0 };
	struct peer_id id = id_of(1);
	struct multiaddr from = addr_of("/ip4/127.0.0.1/tcp/1");

	(void)state;
	for (int n = 0; n < IDENTIFY_MESSAGES_MAX; n++) {
		struct buf raw = { 0 };

		for (int i = 0; i < 180; i++) {
			char name[64];
			uint8_t addr[] = { 4, 9, 9, (uint8_t)n, (uint8_t)i, 6, 1, 1 };

			snprintf(name, sizeof name, "/planted/%d/%d", n, i);
			pb_put_str(&raw, 3, name);
			pb_put_bytes(&raw, 2, bytes_of(addr, sizeof addr));
		}
		assert_int_equal(identify_msg_merge(&msg, buf_bytes(&raw)), 0);
		buf_release(&raw);
	}
	assert_int_equal(msg.protocol_count, IDENTIFY_PROTOCOLS_MAX);
	assert_int_equal(msg.addr_count, IDENTIFY_ADDRS_MAX);
	assert_int_equal(identify_msg_merge(&msg, (struct bytes){ 0 }), -EAGAIN);
	identify_msg_finish(&msg, &id, &from);
	assert_int_equal(msg.addr_count, IDENTIFY_ADDRS_MAX);
	identify_msg_release(&msg);
}

static void message_limit(void **state)
{
	struct identify_msg msg = { 0 };
	struct buf raw = { 0 };

	(void)state;
	pb_put_head(&raw, 15, IDENTIFY_MESSAGE_MAX - 3);
	memset(buf_reserve(&raw, IDENTIFY_MESSAGE_MAX), 0, IDENTIFY_MESSAGE_MAX);
	raw.len = IDENTIFY_MESSAGE_MAX;
	assert_int_equal(identify_msg_merge(&msg, buf_bytes(&raw)), 0);
	raw.len++;
	assert_int_equal(identify_msg_merge(&msg, buf_bytes(&raw)), -EMSGSIZE);
	identify_msg_release(&msg);
	buf_release(&raw);
}

static void bad_fields(void **state)
{
	char name[IDENTIFY_PROTOCOL_LEN_MAX + 2];
	struct identify_msg msg = { 0 };
	struct buf raw = { 0 };

	(void)state;
	memset(name, 'p', sizeof name);
	pb_put_bytes(&raw, 3, bytes_of(name, IDENTIFY_PROTOCOL_LEN_MAX));
	pb_put_bytes(&raw, 3, bytes_of(name, IDENTIFY_PROTOCOL_LEN_MAX));     /* again */
	pb_put_bytes(&raw, 3, bytes_of(name, IDENTIFY_PROTOCOL_LEN_MAX + 1)); /* too long */
	pb_put_bytes(&raw, 3, bytes_of("a\0b", 3));
	pb_put_bytes(&raw, 3, (struct bytes){ 0 });
	pb_put_bytes(&raw, 2, bytes_of("\xff\x01", 2));
	pb_put_bytes(&raw, 4, bytes_of("\x04", 1));
	pb_put_bytes(&raw, 1, bytes_of("x", 1));
	assert_int_equal(identify_msg_merge(&msg, buf_bytes(&raw)), 0);
	assert_int_equal(msg.protocol_count, 1);
	assert_int_equal(msg.addr_count, 0);
	assert_int_equal(msg.observed.len, 0);
	assert_false(msg.has_key);
	buf_add_u8(&raw, 0x0b); /* a group */
	assert_int_equal(identify_msg_merge(&msg, buf_bytes(&raw)), -EBADMSG);
	identify_msg_release(&msg);
	buf_release(&raw);
}

/* A key and a record of somebody else neither count nor replace the addresses. */
static void stranger(void **state)
{
	struct multiaddr addr = addr_of("/ip4/9.9.9.9/tcp/1"), from = addr_of("/ip4/8.8.8.8/tcp/1");
	struct multiaddr planted = addr_of("/ip4/6.6.6.6/tcp/6");
	struct identity *other = seeded(2);
	struct identify_msg msg = { 0 };
	struct peer_id id = id_of(1);
	struct buf raw = { 0 }, record = { 0 };

	(void)state;
	identify_record_seal(&record, other, SEQ, &planted, 1);
	pb_put_bytes(&raw, 1, public_key_proto(identity_public(other)));
	pb_put_bytes(&raw, 2, multiaddr_bytes(&addr));
	pb_put_bytes(&raw, 8, buf_bytes(&record));
	assert_int_equal(identify_msg_merge(&msg, buf_bytes(&raw)), 0);
	identify_msg_finish(&msg, &id, &from);
	assert_false(msg.has_key || msg.certified);
	assert_int_equal(msg.addr_count, 1);
	assert_true(multiaddr_equal(&msg.addrs[0], &addr));
	identify_msg_release(&msg);
	buf_release(&raw);
	buf_release(&record);
	identity_free(other);
}

static void forged_record(void **state)
{
	struct multiaddr addr = addr_of("/ip4/9.9.9.9/tcp/1"), got[2];
	struct identity *identity = seeded(1), *other = seeded(2);
	struct peer_id id = id_of(1), other_id = id_of(2);
	struct buf record = { 0 }, about = { 0 }, lying = { 0 };
	uint64_t seq;
	size_t count;

	(void)state;
	identify_record_seal(&record, identity, 5, &addr, 1);
	assert_int_equal(identify_record_open(buf_bytes(&record), &id, &seq, got, 2, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(seq, 5);
	assert_int_equal(identify_record_open(buf_bytes(&record), &other_id, &seq, got, 2, &count),
			 -EKEYREJECTED);
	for (size_t i = 0; i < record.len; i++) {
		record.at[i] ^= 1;
		assert_true(identify_record_open(buf_bytes(&record), &id, &seq, got, 2, &count) <
			    0);
		record.at[i] ^= 1;
		assert_true(identify_record_open(bytes_of(record.at, i), &id, &seq, got, 2,
						 &count) < 0);
	}
	pb_put_bytes(&about, 1, peer_id_bytes(&id)); /* signed by another */
	envelope_seal(&lying, other, "libp2p-peer-record", bytes_of("\x03\x01", 2),
		      buf_bytes(&about));
	assert_int_equal(identify_record_open(buf_bytes(&lying), &other_id, &seq, got, 2, &count),
			 -EKEYREJECTED);
	buf_release(&record);
	buf_release(&about);
	buf_release(&lying);
	identity_free(identity);
	identity_free(other);
}

static void only_addresses_of_use_are_kept(void **state)
{
	static const char *const all[] = { "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.1/tcp/1",
					   "/ip4/9.9.9.9/tcp/1" };
	static const size_t kept[] = { 3, 2, 1 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct multiaddr from = addr_of(all[i]);
		struct identify_msg msg = { 0 };
		struct peer_id id = id_of(1);
		struct buf raw = { 0 };

		for (size_t k = 0; k < 3; k++) {
			struct multiaddr addr = addr_of(all[k]);

			multiaddr_add_peer(&addr, &id);
			pb_put_bytes(&raw, 2, multiaddr_bytes(&addr));
		}
		identify_msg_merge(&msg, buf_bytes(&raw));
		identify_msg_finish(&msg, &id, &from);
		assert_int_equal(msg.addr_count, kept[i]);
		from = addr_of(all[2]);
		assert_true(multiaddr_equal(&msg.addrs[kept[i] - 1], &from));
		identify_msg_release(&msg);
		buf_release(&raw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_vectors),
		cmocka_unit_test(encode_vector),
		cmocka_unit_test(kubo_message),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(message_over_the_limit_is_not_encoded),
		cmocka_unit_test(names_and_addresses_over_the_limit_are_left_out),
		cmocka_unit_test(message_limit),
		cmocka_unit_test(bad_fields),
		cmocka_unit_test(stranger),
		cmocka_unit_test(forged_record),
		cmocka_unit_test(only_addresses_of_use_are_kept),
	};

	return cmocka_run_group_tests_name("net/identify_msg", tests, NULL, NULL);
}
