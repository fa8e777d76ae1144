/* net/noise*.c: vectors of flynn/noise (libp2p payloads), snow and cacophony; identities, limits,
 * bad tags. */
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/security/noise/noise_private.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static const char *const yamux[] = { "/yamux/1.0.0" };
static const struct peer_id anyone;

/* Gives the static secret, then the ephemeral one. */
static void fill_fixed(struct random *random, void *at, size_t len)
{
	memset(at, (int)random->state[random->state[2]++], len);
}

static struct random fixed(uint8_t s, uint8_t e)
{
	return (struct random){ .fill = fill_fixed, .state = { s, e, 0, 0 } };
}

static struct identity *seeded(uint8_t byte)
{
	uint8_t seed[32];

	memset(seed, byte, sizeof seed);
	return identity_from_seed(seed);
}

struct pair {
	struct identity *id[2];
	struct noise *noise[2];
	struct buf wire[2]; /* from side i */
};

static void pair_init(struct pair *pair, const struct peer_id *expected, const char *const *muxers,
		      size_t count)
{
	struct random i = fixed(0x11, 0x33), r = fixed(0x22, 0x44);

	*pair = (struct pair){ .id = { seeded(1), seeded(2) } };
	pair->noise[0] = noise_new(true, pair->id[0], expected, yamux, 1, &i);
	pair->noise[1] = noise_new(false, pair->id[1], &anyone, muxers, count, &r);
}

static void pair_release(struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		noise_free(pair->noise[i]);
		identity_free(pair->id[i]);
		buf_release(&pair->wire[i]);
	}
}

/* Handshake, feeding step bytes at a time; the error of the first side that fails. */
static int pair_shake(struct pair *pair, size_t step)
{
	struct buf held[2] = { 0 };
	int done[2] = { 0 }, err = 0;

	noise_start(pair->noise[0], &pair->wire[0]);
	for (int side = 1; err >= 0 && !(done[0] && done[1]); side = !side) {
		struct buf *in = &pair->wire[!side];

		assert_true(in->len > 0 || held[side].len > 0);
		while (in->len && err >= 0 && !done[side]) {
			size_t len = in->len < step ? in->len : step, used;

			buf_add(&held[side], bytes_of(in->at, len));
			buf_consume(in, len);
			err = noise_handshake(pair->noise[side], buf_bytes(&held[side]), &used,
					      &pair->wire[side]);
			buf_consume(&held[side], used);
			done[side] = err == 1;
		}
	}
	buf_release(&held[0]);
	buf_release(&held[1]);
	return err < 0 ? err : 0;
}

static void pair_ready(struct pair *pair)
{
	struct peer_id expected;
	struct identity *id = seeded(2);

	peer_id_of_identity(&expected, id);
	identity_free(id);
	pair_init(pair, &expected, yamux, 1);
	assert_int_equal(pair_shake(pair, 1000), 0);
}

static struct buf hex_of(const json_t *row, const char *key)
{
	struct buf raw = { 0 };

	vector_hex(&raw, row, key);
	return raw;
}

static void hex_is(struct bytes got, const json_t *row, const char *key)
{
	struct buf raw = hex_of(row, key);

	assert_bytes_equal(got, buf_bytes(&raw));
	buf_release(&raw);
}

static void messages_of_libp2p(void **state)
{
	json_t *v = vector_json("noise-libp2p.json");
	struct pair pair;
	size_t used;

	(void)state;
	pair_init(&pair, &anyone, yamux, 1);
	noise_start(pair.noise[0], &pair.wire[0]);
	hex_is(buf_bytes(&pair.wire[0]), v, "msg1_frame");
	assert_int_equal(
		noise_handshake(pair.noise[1], buf_bytes(&pair.wire[0]), &used, &pair.wire[1]), 0);
	hex_is(buf_bytes(&pair.wire[1]), v, "msg2_frame");
	buf_clear(&pair.wire[0]);
	assert_int_equal(
		noise_handshake(pair.noise[0], buf_bytes(&pair.wire[1]), &used, &pair.wire[0]), 1);
	hex_is(buf_bytes(&pair.wire[0]), v, "msg3_frame");
	assert_int_equal(
		noise_handshake(pair.noise[1], buf_bytes(&pair.wire[0]), &used, &pair.wire[1]), 1);
	for (int i = 0; i < 2; i++) {
		struct peer_id other;

		peer_id_of_identity(&other, pair.id[!i]);
		assert_true(peer_id_equal(noise_peer(pair.noise[i]), &other));
		assert_string_equal(noise_muxer(pair.noise[i]), "/yamux/1.0.0");
	}
	pair_release(&pair);
	json_decref(v);
}

static void frames_of_libp2p(void **state)
{
	json_t *v = vector_json("noise-libp2p.json"), *row;
	size_t i;
	struct pair pair;

	(void)state;
	pair_ready(&pair);
	json_array_foreach(json_object_get(v, "transport"), i, row) {
		bool forward = json_string_value(json_object_get(row, "dir"))[0] == 'i';
		const char *text = json_string_value(json_object_get(row, "plaintext_utf8"));
		struct buf plain = { 0 }, out = { 0 };
		struct bytes got;

		if (text) {
			buf_add_str(&plain, text);
		} else {
			memset(buf_reserve(&plain, NOISE_PLAIN_MAX), 0xab, NOISE_PLAIN_MAX);
			plain.len = NOISE_PLAIN_MAX;
		}
		struct bytes whole = buf_bytes(&plain);

		if (plain.len) {
			assert_int_equal(noise_seal(pair.noise[!forward], &whole, 1, &out), 0);
		} else { /* we never send an empty frame, but read it */
			vector_hex(&out, row, "frame_hex");
			noise_cipher_of(pair.noise[!forward], true)->nonce++;
		}
		if (text) {
			hex_is(buf_bytes(&out), row, "frame_hex");
		} else {
			uint8_t hash[32];

			crypto_hash_sha256(hash, out.at + 2, out.len - 2);
			hex_is(bytes_of(hash, 32), row, "ciphertext_sha256");
		}
		for (size_t len = 0; len < out.len; len += 1 + out.len / 40)
			assert_int_equal(noise_open(pair.noise[forward], out.at, len, &got), 0);
		assert_int_equal(noise_open(pair.noise[forward], out.at, out.len, &got), out.len);
		assert_true(bytes_equal(got, buf_bytes(&plain)));
		buf_release(&plain);
		buf_release(&out);
	}
	pair_release(&pair);
	json_decref(v);
}

/* One row of snow's or cacophony's file: three handshake messages, then transport in turns. */
static void xx_row(json_t *row)
{
	struct noise_xx xx[2];
	struct noise_cipher send[2], recv[2];
	struct buf prologue = hex_of(row, "init_prologue");
	json_t *message;
	size_t n;

	for (int i = 0; i < 2; i++) {
		struct buf s = hex_of(row, i ? "resp_static" : "init_static");
		struct buf e = hex_of(row, i ? "resp_ephemeral" : "init_ephemeral");

		noise_xx_init(&xx[i], i == 0, buf_bytes(&prologue), s.at, e.at);
		buf_release(&s);
		buf_release(&e);
	}
	json_array_foreach(json_object_get(row, "messages"), n, message) {
		int from = n & 1;
		struct buf plain = hex_of(message, "payload");
		struct buf out = { 0 }, got = { 0 };

		if (n == 3)
			for (int i = 0; i < 2; i++) {
				uint8_t k[2][NOISE_KEY_LEN];

				noise_xx_split(&xx[i], k[0], k[1]);
				noise_cipher_init(&send[i], true, k[0]);
				noise_cipher_init(&recv[i], false, k[1]);
			}
		if (n < 3) {
			assert_int_equal(noise_xx_write(&xx[from], buf_bytes(&plain), &out), 0);
			assert_int_equal(noise_xx_read(&xx[!from], buf_bytes(&out), &got), 0);
		} else {
			uint8_t *at = buf_reserve(&out, plain.len + NOISE_TAG_LEN);

			noise_cipher_begin(&send[from]);
			noise_cipher_add(&send[from], at, buf_bytes(&plain));
			noise_cipher_end(&send[from], at + plain.len);
			out.len = plain.len + NOISE_TAG_LEN;
			buf_add(&got, buf_bytes(&out));
			assert_int_equal(noise_cipher_open(&recv[!from], got.at, plain.len), 0);
			got.len = plain.len;
		}
		hex_is(buf_bytes(&out), message, "ciphertext");
		assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&plain)));
		buf_release(&plain);
		buf_release(&out);
		buf_release(&got);
	}
	if (json_object_get(row, "handshake_hash"))
		hex_is(bytes_of(xx[0].hash, NOISE_KEY_LEN), row, "handshake_hash");
	assert_memory_equal(xx[0].hash, xx[1].hash, NOISE_KEY_LEN);
	for (int i = 0; i < 2; i++) {
		noise_cipher_release(&send[i]);
		noise_cipher_release(&recv[i]);
	}
	buf_release(&prologue);
}

static void xx_vectors(void **state)
{
	static const char *const files[] = { "noise-snow.json", "noise-cacophony.json" };

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		json_t *v = vector_json(files[f]), *row;
		size_t i;

		json_array_foreach(json_object_get(v, "vectors"), i, row)
			xx_row(row);
		json_decref(v);
	}
}

static void handshake_works_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t step = 1; step < 260; step++) {
		struct pair pair;

		pair_init(&pair, &anyone, yamux, 1);
		assert_int_equal(pair_shake(&pair, step), 0);
		pair_release(&pair);
	}
}

static void muxer_left_open(void **state)
{
	static const char *const other[] = { "/mplex/6.7.0" };
	struct pair pair;

	(void)state;
	for (size_t count = 0; count < 2; count++) {
		pair_init(&pair, &anyone, other, count);
		assert_int_equal(pair_shake(&pair, 1000), 0);
		assert_null(noise_muxer(pair.noise[0]));
		assert_null(noise_muxer(pair.noise[1]));
		pair_release(&pair);
	}
}

static void muxers_max(void **state)
{
	const char *many[NOISE_MUXERS_MAX + 1];
	struct pair pair;

	(void)state;
	for (size_t i = 0; i <= NOISE_MUXERS_MAX; i++)
		many[i] = "/x";
	many[0] = yamux[0];
	for (size_t over = 0; over < 2; over++) {
		pair_init(&pair, &anyone, many, NOISE_MUXERS_MAX + over);
		assert_int_equal(pair_shake(&pair, 100), 0);
		assert_true((noise_muxer(pair.noise[0]) == NULL) == (over == 1));
		pair_release(&pair);
	}
}

static void unexpected_identity_is_rejected(void **state)
{
	struct identity *id = seeded(9);
	struct peer_id expected;
	struct pair pair;

	(void)state;
	peer_id_of_identity(&expected, id);
	pair_init(&pair, &expected, yamux, 1);
	assert_int_equal(pair_shake(&pair, 1000), -EKEYREJECTED);
	pair_release(&pair);
	identity_free(id);
}

/* A responder whose payload is ours to forge. */
static int forged(void (*forge)(struct buf *payload, const uint8_t *static_key))
{
	struct random r = fixed(0x11, 0x33);
	struct identity *id = seeded(1);
	struct noise *noise = noise_new(true, id, &anyone, yamux, 1, &r);
	struct buf one = { 0 }, two = { 0 }, payload = { 0 }, got = { 0 }, out = { 0 };
	uint8_t s[32], e[32];
	struct noise_xx xx;
	size_t used;

	memset(s, 0x22, 32);
	memset(e, 0x44, 32);
	noise_xx_init(&xx, false, (struct bytes){ 0 }, s, e);
	noise_start(noise, &one);
	assert_int_equal(noise_xx_read(&xx, bytes_skip(buf_bytes(&one), 2), &got), 0);
	forge(&payload, xx.s_pub);
	buf_add_be16(&two, 0);
	noise_xx_write(&xx, buf_bytes(&payload), &two);
	two.at[0] = (uint8_t)((two.len - 2) >> 8);
	two.at[1] = (uint8_t)(two.len - 2);
	int err = noise_handshake(noise, buf_bytes(&two), &used, &out);

	if (err < 0) {
		assert_int_equal(out.len, 0);
		assert_int_equal(noise_handshake(noise, buf_bytes(&two), &used, &out), -EBADMSG);
	}
	noise_free(noise);
	identity_free(id);
	buf_release(&one);
	buf_release(&two);
	buf_release(&payload);
	buf_release(&got);
	buf_release(&out);
	return err;
}

static void payload_for(struct buf *out, const uint8_t *key, size_t flip, size_t extra)
{
	struct identity *id = seeded(2);
	struct buf text = { 0 };
	uint8_t signature[64];

	buf_add_str(&text, "noise-libp2p-static-key:");
	buf_add(&text, bytes_of(key, 32));
	identity_sign(id, buf_bytes(&text), signature);
	if (flip < 64)
		signature[flip] ^= 1;
	struct bytes proto = public_key_proto(identity_public(id));

	buf_add_u8(out, 0x0a);
	buf_add_u8(out, (uint8_t)proto.len);
	buf_add(out, proto);
	buf_add(out, bytes_of("\x12\x40", 2));
	buf_add(out, bytes_of(signature, 64));
	if (extra) { /* an unknown field fills the payload up */
		size_t body = extra - out->len - 3;

		buf_add_u8(out, 0x7a);
		buf_add_u8(out, (uint8_t)(body | 0x80));
		buf_add_u8(out, (uint8_t)(body >> 7));
		memset(buf_reserve(out, body), 0, body);
		out->len += body;
	}
	buf_release(&text);
	identity_free(id);
}

static void forge_good(struct buf *out, const uint8_t *key)
{
	payload_for(out, key, 64, 0);
}

static void forge_signature(struct buf *out, const uint8_t *key)
{
	payload_for(out, key, 3, 0);
}

static void forge_static(struct buf *out, const uint8_t *key)
{
	uint8_t other[32];

	memcpy(other, key, 32);
	other[31] ^= 0x40;
	payload_for(out, other, 64, 0);
}

static void forge_none(struct buf *out, const uint8_t *key)
{
	(void)out;
	(void)key;
}

static void forge_garbage(struct buf *out, const uint8_t *key)
{
	(void)key;
	buf_add(out, bytes_of("\x0a\x50xx", 4));
}

static void forge_largest(struct buf *out, const uint8_t *key)
{
	payload_for(out, key, 64, NOISE_PAYLOAD_MAX);
}

static void forge_too_large(struct buf *out, const uint8_t *key)
{
	payload_for(out, key, 64, NOISE_PAYLOAD_MAX + 1);
}

static void forged_payloads(void **state)
{
	(void)state;
	assert_int_equal(forged(forge_good), 1);
	assert_int_equal(forged(forge_signature), -EKEYREJECTED);
	assert_int_equal(forged(forge_static), -EKEYREJECTED);
	assert_int_equal(forged(forge_none), -EKEYREJECTED);
	assert_int_equal(forged(forge_garbage), -EBADMSG);
	assert_int_equal(forged(forge_largest), 1);
	assert_int_equal(forged(forge_too_large), -EBADMSG);
}

static void handshake_garbage(void **state)
{
	struct random random = random_seeded(3);
	struct identity *id = seeded(1);
	uint8_t frame[2 + 32] = { 0, 32 };
	static const struct {
		size_t len;
		int err;
	} rows[] = { { 0, -EBADMSG }, { 31, -EBADMSG }, { 32, -EBADMSG }, { 65535, -EBADMSG } };

	(void)state; /* 32 zero bytes are a key of small order */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct noise *noise = noise_new(false, id, &anyone, yamux, 1, &random);
		struct buf out = { 0 };
		size_t used;

		frame[0] = (uint8_t)(rows[i].len >> 8);
		frame[1] = (uint8_t)rows[i].len;
		assert_int_equal(noise_handshake(noise, bytes_of(frame, sizeof frame), &used, &out),
				 rows[i].err);
		noise_free(noise);
		buf_release(&out);
	}
	identity_free(id);
}

static void bad_tag_changes_nothing(void **state)
{
	struct bytes hello = bytes_str("hello"), plain;

	(void)state;
	for (size_t bit = 16; bit < (2 + 5 + 16) * 8; bit++) {
		struct buf out = { 0 };
		struct pair pair;

		pair_ready(&pair);
		noise_seal(pair.noise[0], &hello, 1, &out);
		out.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(noise_open(pair.noise[1], out.at, out.len, &plain), -EBADMSG);
		assert_int_equal(noise_cipher_of(pair.noise[1], false)->nonce, 0);
		assert_int_equal(noise_open(pair.noise[1], out.at, out.len, &plain), -EBADMSG);
		buf_release(&out);
		pair_release(&pair);
	}
}

static void short_frames(void **state)
{
	(void)state;
	for (uint8_t len = 0; len < 16; len++) {
		uint8_t frame[18] = { 0, len };
		struct bytes plain;
		struct pair pair;

		pair_ready(&pair);
		assert_int_equal(noise_open(pair.noise[0], frame, 2, &plain), -EBADMSG);
		pair_release(&pair);
	}
}

static void nonce_end(void **state)
{
	struct buf big = { 0 }, out = { 0 };
	struct bytes plain;
	struct pair pair;

	(void)state;
	pair_ready(&pair);
	memset(buf_reserve(&big, NOISE_PLAIN_MAX + 1), 1, NOISE_PLAIN_MAX + 1);
	big.len = NOISE_PLAIN_MAX + 1;
	plain = buf_bytes(&big);
	noise_cipher_of(pair.noise[0], true)->nonce = UINT64_MAX - 1;
	noise_cipher_of(pair.noise[1], false)->nonce = UINT64_MAX - 1;
	assert_int_equal(noise_seal(pair.noise[0], &plain, 1, &out), -EOVERFLOW);
	assert_int_equal(out.len, 0);
	plain.len = 1;
	assert_int_equal(noise_seal(pair.noise[0], &plain, 1, &out), 0);
	assert_int_equal(noise_seal(pair.noise[0], &plain, 1, &out), -EOVERFLOW);
	assert_int_equal(noise_open(pair.noise[1], out.at, out.len, &plain), out.len);
	assert_int_equal(noise_open(pair.noise[1], out.at, out.len, &plain), -EBADMSG);
	buf_release(&big);
	buf_release(&out);
	pair_release(&pair);
}

/* Parts of any size come out as one text, in as few frames as fit. */
static void parts_of_any_size_come_out_as_one_text(void **state)
{
	struct random random = random_seeded(8);
	struct buf text = { 0 };
	struct pair pair;

	(void)state;
	pair_ready(&pair);
	random_fill(&random, buf_reserve(&text, 300000), 300000);
	for (int round = 0; round < 30; round++) {
		struct bytes list[40], plain;
		struct buf out = { 0 }, back = { 0 };
		size_t at = 0, count = 1 + random_below(&random, 40), frames = 0;

		for (size_t i = 0; i < count; i++) {
			size_t len = random_below(&random, 3) ? random_below(&random, 7000) : 0;

			list[i] = bytes_of(text.at + at, len);
			at += len;
		}
		assert_int_equal(noise_seal(pair.noise[0], list, count, &out), 0);
		for (size_t used = 0; used < out.len; frames++) {
			ssize_t n =
				noise_open(pair.noise[1], out.at + used, out.len - used, &plain);

			assert_true(n > 0);
			buf_add(&back, plain);
			used += (size_t)n;
		}
		assert_true(bytes_equal(buf_bytes(&back), bytes_of(text.at, at)));
		assert_int_equal(frames, (at + NOISE_PLAIN_MAX - 1) / NOISE_PLAIN_MAX);
		buf_release(&out);
		buf_release(&back);
	}
	buf_release(&text);
	pair_release(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_libp2p),
		cmocka_unit_test(frames_of_libp2p),
		cmocka_unit_test(xx_vectors),
		cmocka_unit_test(handshake_works_however_it_is_cut),
		cmocka_unit_test(muxer_left_open),
		cmocka_unit_test(muxers_max),
		cmocka_unit_test(unexpected_identity_is_rejected),
		cmocka_unit_test(forged_payloads),
		cmocka_unit_test(handshake_garbage),
		cmocka_unit_test(bad_tag_changes_nothing),
		cmocka_unit_test(short_frames),
		cmocka_unit_test(nonce_end),
		cmocka_unit_test(parts_of_any_size_come_out_as_one_text),
	};

	return cmocka_run_group_tests_name("net/noise", tests, NULL, NULL);
}
