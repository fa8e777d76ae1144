/* Bitswap message codec against what boxo and Kubo wrote. */
#include "exchange/bitswap/msg.h"
#include "net/wire/frame.h"
#include "net/wire/pb.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *vectors(const char *name)
{
	char path[128];
	json_error_t why;

	snprintf(path, sizeof(path), "tests/vectors/%s", name);
	json_t *json = json_load_file(path, 0, &why);

	assert_non_null(json);
	return json;
}

static struct buf unhex(const char *hex)
{
	struct buf out = { 0 };
	unsigned byte;

	for (; *hex; hex += 2) {
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		buf_add_u8(&out, (uint8_t)byte);
	}
	return out;
}

/* Everything a walk sees, as one line of text. */
static void see_entry(void *ctx, const struct bitswap_entry *entry)
{
	char text[CID_TEXT_MAX];

	buf_printf(ctx, "entry %s priority=%d%s%s%s\n", cid_text(&entry->cid, text),
		   entry->priority, entry->cancel ? " cancel" : "", entry->have ? " have" : "",
		   entry->send_dont_have ? " send" : "");
}

static void see_block(void *ctx, const struct bitswap_prefix *prefix, struct bytes data)
{
	char text[CID_TEXT_MAX];
	struct cid cid;

	if (bitswap_msg_name(prefix, data, &cid) == 0)
		buf_printf(ctx, "block %s %zu\n", cid_text(&cid, text), data.len);
	else
		buf_printf(ctx, "block ? %zu\n", data.len);
}

static void see_presence(void *ctx, const struct cid *cid, bool have)
{
	char text[CID_TEXT_MAX];

	buf_printf(ctx, "%s %s\n", have ? "have" : "dont", cid_text(cid, text));
}

static const struct bitswap_visitor seer = { see_entry, see_block, see_presence };

static void assert_sees(const char *hex, const char *expected)
{
	struct buf message = unhex(hex), seen = { 0 };
	struct bitswap_summary summary;

	assert_int_equal(bitswap_msg_check(buf_bytes(&message), &summary), 0);
	bitswap_msg_walk(buf_bytes(&message), &seer, &seen);
	char *text = buf_take_text(&seen);

	assert_string_equal(text, expected);
	free(text);
	buf_release(&message);
}

#define HELLO "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
#define HELLO_V0 "QmaozNR7DZHQK1ZcU9p7QdrshMvXqWK6gpu5rmrkPdT3L4"
#define EMPTY_DIR "bafykbzacebugfutjir6qie7apo5shpry32ruwfi762uytd5g3u2gk7tpscndq"

static void decodes_what_boxo_wrote(void **state)
{
	(void)state;
	static const char *const expected[] = {
		"entry " HELLO " priority=1 send\n",
		"entry " HELLO_V0 " priority=2147483647 have\n",
		"entry " HELLO " priority=0 cancel\n",
		"block " HELLO_V0 " 11\n",
		"block " HELLO " 11\n",
		"block " EMPTY_DIR " 4\n",
		"have " HELLO "\n",
		"dont " HELLO "\n",
		"",
	};
	json_t *json = vectors("bitswap.json"), *vector;
	size_t i;

	json_array_foreach(json_object_get(json, "vectors"), i, vector)
		assert_sees(json_string_value(json_object_get(vector, "v1_protobuf_hex")),
			    expected[i]);
	assert_int_equal(i, sizeof(expected) / sizeof(expected[0]));
	/* 1.0: any block is a v0 */
	vector = json_array_get(json_object_get(json, "vectors"), 4);
	assert_sees(json_string_value(json_object_get(vector, "v0_protobuf_hex")), expected[3]);
	json_decref(json);
}

static void refuses_what_boxo_refuses(void **state)
{
	(void)state;
	json_t *json = vectors("bitswap.json"), *edge;
	struct bitswap_summary summary;
	size_t i;

	json_array_foreach(json_object_get(json, "decode_edge"), i, edge) {
		struct buf message =
			unhex(json_string_value(json_object_get(edge, "protobuf_hex")));
		const char *go = json_string_value(json_object_get(edge, "go_error"));
		int err = bitswap_msg_check(buf_bytes(&message), &summary);

		assert_int_equal(err, strcmp(go, "ACCEPTED") == 0 ? 0 : -EBADMSG);
		buf_release(&message);
	}
	json_decref(json);
}

static void reads_what_kubo_asks(void **state)
{
	(void)state;
	json_t *json = vectors("kubo-bitswap-client.json"), *message;
	const char *cid = json_string_value(json_object_get(json, "cid"));
	static const char *const tails[] = { "priority=2147483647 have", "priority=2147483646 send",
					     "priority=0 cancel" };
	char line[256];
	size_t i;

	json_array_foreach(json_object_get(json, "messages_from_kubo"), i, message) {
		snprintf(line, sizeof(line), "entry %s %s\n", cid, tails[i]);
		assert_sees(json_string_value(json_array_get(message, 2)), line);
	}
	json_decref(json);
}

static void assert_bytes_hex(struct buf *got, const char *hex)
{
	struct buf expected = unhex(hex);

	assert_int_equal(got->len, expected.len);
	assert_memory_equal(got->at, expected.at, got->len);
	buf_release(&expected);
	buf_release(got);
}

static const char *framed(json_t *json, size_t i)
{
	return json_string_value(json_object_get(
		json_array_get(json_object_get(json, "vectors"), i), "v1_framed_hex"));
}

static void writes_what_boxo_writes(void **state)
{
	(void)state;
	json_t *json = vectors("bitswap.json");
	struct bitswap_entry entry = { .priority = 1, .send_dont_have = true };
	struct buf parts = { 0 }, out = { 0 };
	struct bytes hello = bytes_str("hello world");
	struct cid v0, v1;

	assert_int_equal(cid_from_text(&v1, HELLO), 0);
	assert_int_equal(cid_from_text(&v0, HELLO_V0), 0);

	entry.cid = v1;
	bitswap_msg_add_entry(&parts, &entry);
	bitswap_msg_add_wantlist(&out, buf_bytes(&parts), false);
	assert_bytes_hex(&out, framed(json, 0));

	buf_clear(&parts);
	entry = (struct bitswap_entry){ .cid = v0, .priority = INT32_MAX, .have = true };
	bitswap_msg_add_entry(&parts, &entry);
	bitswap_msg_add_wantlist(&out, buf_bytes(&parts), true);
	assert_bytes_hex(&out, framed(json, 1));

	buf_clear(&parts);
	entry = (struct bitswap_entry){ .cid = v1, .priority = 7, .cancel = true };
	bitswap_msg_add_entry(&parts, &entry);
	bitswap_msg_add_wantlist(&out, buf_bytes(&parts), false);
	assert_bytes_hex(&out, framed(json, 2));

	bitswap_msg_add_response(&out, BITSWAP_1_2, bytes_of(NULL, 0), 0,
				 bitswap_msg_block_len(BITSWAP_1_2, &v0, hello.len));
	bitswap_msg_add_block(&out, BITSWAP_1_2, &v0, hello);
	assert_bytes_hex(&out, framed(json, 3));

	buf_clear(&parts);
	bitswap_msg_add_presence(&parts, &v1, true);
	bitswap_msg_add_response(&out, BITSWAP_1_2, buf_bytes(&parts), 0, 0);
	assert_bytes_hex(&out, framed(json, 6));

	buf_clear(&parts);
	bitswap_msg_add_presence(&parts, &v1, false);
	bitswap_msg_add_response(&out, BITSWAP_1_2, buf_bytes(&parts), 0, 0);
	assert_bytes_hex(&out, framed(json, 7));

	bitswap_msg_add_wantlist(&out, bytes_of(NULL, 0), true);
	assert_bytes_hex(&out, framed(json, 8));

	/* 1.0 carries nothing but the bytes. */
	bitswap_msg_add_response(&out, BITSWAP_1_0, buf_bytes(&parts), 5,
				 bitswap_msg_block_len(BITSWAP_1_0, &v0, hello.len));
	bitswap_msg_add_block(&out, BITSWAP_1_0, &v0, hello);
	assert_bytes_hex(&out, "0f0a00120b68656c6c6f20776f726c64");
	buf_release(&parts);
	json_decref(json);
}

/* The receiver of response() sees all three parts, pendingBytes among them. */
static void response_round_trips(void **state)
{
	(void)state;
	struct buf presences = { 0 }, out = { 0 }, seen = { 0 };
	struct bytes hello = bytes_str("hello world"), message;
	struct bitswap_summary summary;
	struct cid v1;

	assert_int_equal(cid_from_text(&v1, HELLO), 0);
	bitswap_msg_add_presence(&presences, &v1, false);
	bitswap_msg_add_response(&out, BITSWAP_1_2, buf_bytes(&presences), 12345,
				 2 * bitswap_msg_block_len(BITSWAP_1_2, &v1, hello.len));
	bitswap_msg_add_block(&out, BITSWAP_1_2, &v1, hello);
	bitswap_msg_add_block(&out, BITSWAP_1_2, &v1, hello);
	/* one byte of length */
	message = bytes_skip(buf_bytes(&out), 1);
	assert_int_equal(out.at[0], message.len);
	assert_int_equal(bitswap_msg_check(message, &summary), 0);
	assert_int_equal(summary.blocks, 2);
	assert_int_equal(summary.presences, 1);
	assert_int_equal(summary.pending_bytes, 12345);
	bitswap_msg_walk(message, &seer, &seen);
	char *text = buf_take_text(&seen);

	assert_string_equal(text, "dont " HELLO "\nblock " HELLO " 11\nblock " HELLO " 11\n");
	free(text);
	/* Every truncation is refused or means less; none is read past its end. */
	for (size_t len = 0; len < message.len; len++)
		bitswap_msg_check(bytes_of(message.at, len), &summary);
	buf_release(&presences);
	buf_release(&out);
}

static int keep(void *ctx, struct buf *message)
{
	bitswap_msg_walk(buf_bytes(message), &seer, ctx);
	return 0;
}

static void split_feed_changes_nothing(void **state)
{
	(void)state;
	json_t *json = vectors("bitswap.json"), *vector;
	struct buf stream = { 0 };
	char *whole = NULL;
	size_t i;

	json_array_foreach(json_object_get(json, "vectors"), i, vector) {
		struct buf one = unhex(framed(json, i));

		buf_add(&stream, buf_bytes(&one));
		buf_release(&one);
	}
	for (size_t cut = 0; cut <= stream.len; cut++) {
		struct frame_reader reader = { 0 };
		struct buf seen = { 0 };

		assert_int_equal(frame_reader_feed(&reader, bytes_of(stream.at, cut),
						   BITSWAP_MESSAGE_MAX, keep, &seen),
				 0);
		assert_int_equal(frame_reader_feed(&reader, bytes_skip(buf_bytes(&stream), cut),
						   BITSWAP_MESSAGE_MAX, keep, &seen),
				 0);
		assert_true(frame_reader_idle(&reader));
		char *text = buf_take_text(&seen);

		if (whole)
			assert_string_equal(text, whole);
		else
			whole = strdup(text);
		free(text);
		frame_reader_release(&reader);
	}
	free(whole);
	buf_release(&stream);
	json_decref(json);
}

/* A CID one byte over the limit is passed over and spoils nothing; one at the limit counts. */
static void long_cids_are_passed_over(void **state)
{
	(void)state;
	for (size_t digest = MULTIHASH_DIGEST_MAX; digest <= MULTIHASH_DIGEST_MAX + 1; digest++) {
		struct buf name = { 0 }, entry = { 0 }, list = { 0 }, message = { 0 };
		struct bitswap_summary summary;
		static const uint8_t zeros[256];

		buf_add(&name, bytes_of("\x01\x55\x12", 3));
		buf_add_u8(&name, (uint8_t)(0x80 | (digest & 0x7f)));
		buf_add_u8(&name, (uint8_t)(digest >> 7));
		buf_add(&name, bytes_of(zeros, digest));
		pb_put_bytes(&entry, 1, buf_bytes(&name));
		pb_put_bytes(&list, 1, buf_bytes(&entry));
		pb_put_bytes(&message, 1, buf_bytes(&list));
		assert_int_equal(bitswap_msg_check(buf_bytes(&message), &summary), 0);
		assert_int_equal(summary.wants, digest == MULTIHASH_DIGEST_MAX ? 1 : 0);
		buf_release(&name);
		buf_release(&entry);
		buf_release(&list);
		buf_release(&message);
	}
}

static void versions_have_names(void **state)
{
	(void)state;
	assert_int_equal(bitswap_msg_version("/ipfs/bitswap/1.2.0"), BITSWAP_1_2);
	assert_int_equal(bitswap_msg_version("/ipfs/bitswap/1.1.0"), BITSWAP_1_1);
	assert_int_equal(bitswap_msg_version("/ipfs/bitswap/1.0.0"), BITSWAP_1_0);
	assert_int_equal(bitswap_msg_version("/ipfs/bitswap"), BITSWAP_1_0);
	assert_int_equal(bitswap_msg_version("/ipfs/bitswap/1.3.0"), BITSWAP_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_what_boxo_wrote),
		cmocka_unit_test(refuses_what_boxo_refuses),
		cmocka_unit_test(reads_what_kubo_asks),
		cmocka_unit_test(writes_what_boxo_writes),
		cmocka_unit_test(response_round_trips),
		cmocka_unit_test(split_feed_changes_nothing),
		cmocka_unit_test(long_cids_are_passed_over),
		cmocka_unit_test(versions_have_names),
	};

	return cmocka_run_group_tests_name("exchange/bitswap_msg", tests, NULL, NULL);
}
