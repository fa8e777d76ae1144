/* net/wire/{multihash,hash,blake3,murmur3}.c: vectors of go-multihash and the multihash project. */
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/multihash.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The hash of input is what the multihash says, in any of its truncations. */
static void check(struct bytes input, struct bytes raw)
{
	struct multihash hash;
	struct buf again = { 0 };
	char wrong[1024] = { 0 };

	assert_int_equal(multihash_decode(&hash, raw), raw.len);
	assert_int_equal(multihash_verify(&hash, input), 0);
	assert_true(input.len < sizeof(wrong));
	if (input.len > 0)
		memcpy(wrong, input.at, input.len);
	assert_int_equal(multihash_verify(&hash, bytes_of(wrong, input.len + 1)), -EBADMSG);
	multihash_encode(&again, hash.code, hash.digest);
	assert_bytes_equal(buf_bytes(&again), raw);
	for (size_t len = 0; len < raw.len; len++)
		assert_int_equal(multihash_decode(&hash, bytes_of(raw.at, len)), 0);
	buf_release(&again);
}

static void go_vectors(void **state)
{
	json_t *json = vector_json("formats.json"), *vector;
	size_t i, seen = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "multihash"), i, vector) {
		const char *name = vector_text(vector, "name");
		struct buf raw = { 0 };
		struct multihash hash;

		vector_hex(&raw, vector, "multihash_hex");
		assert_true(multihash_decode(&hash, buf_bytes(&raw)) > 0);
		if (hash_name(hash.code)) {
			check(bytes_str(vector_text(vector, "input_utf8")), buf_bytes(&raw));
			assert_memory_equal(name, hash_name(hash.code),
					    strlen(hash_name(hash.code)));
			assert_true(hash_by_name(hash_name(hash.code)) == (int64_t)hash.code);
			seen++;
		} else {
			assert_int_equal(multihash_allowed(&hash), -EBADMSG);
			assert_int_equal(multihash_verify(&hash, (struct bytes){ 0 }), -ENOTSUP);
		}
		buf_release(&raw);
	}
	assert_int_equal(seen, 15);
	json_decref(json);
}

static void project_vectors(void **state)
{
	struct buf file = { 0 }, raw = { 0 };
	unsigned seen = 0;
	char *text, *line, *save;

	(void)state;
	vector_load(&file, "multihash.csv");
	text = buf_take_text(&file);
	strtok_r(text, "\r\n", &save);
	while ((line = strtok_r(NULL, "\r\n", &save))) {
		char *second = strchr(strchr(line, ',') + 1, ',') + 1, *third = strchr(second, ',');

		*third++ = 0;
		buf_clear(&raw);
		hex_decode(&raw, third);
		/* The input looks like hex but is meant as it stands. */
		check(bytes_str(second), buf_bytes(&raw));
		seen++;
	}
	assert_int_equal(seen, 260);
	free(text);
	buf_release(&raw);
}

/* The published vectors of BLAKE3: input byte i is i % 251. */
static void blake3(void **state)
{
	static const struct {
		size_t len;
		const char *hex;
	} vectors[] = {
		{ 0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" },
		{ 1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213" },
		{ 1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7" },
		{ 1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444" },
		{ 2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a" },
		{ 31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47" },
		{ 102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085" },
	};
	uint8_t *input = malloc(102400), out[MULTIHASH_DIGEST_MAX];

	(void)state;
	for (size_t i = 0; i < 102400; i++)
		input[i] = (uint8_t)(i % 251);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct buf expected = { 0 };

		hex_decode(&expected, vectors[i].hex);
		assert_int_equal(hash_digest(HASH_BLAKE3, bytes_of(input, vectors[i].len), out, 32),
				 32);
		assert_bytes_equal(bytes_of(out, 32), buf_bytes(&expected));
		buf_release(&expected);
	}
	free(input);
}

static void murmur3(void **state)
{
	(void)state;
	assert_true(murmur3_x64_64((struct bytes){ 0 }) == 0);
	assert_true(murmur3_x64_64(bytes_str("foo")) == UINT64_C(0xe271865701f54561));
	assert_true(murmur3_x64_64(bytes_str("hello")) == UINT64_C(0xcbd8a7b341bd9b02));
	assert_true(murmur3_x64_64(bytes_str("The quick brown fox jumps over the lazy dog")) ==
		    UINT64_C(0xe34bbc7bbc071b6c));
}

static void decode_limits(void **state)
{
	uint8_t raw[200] = { 0x00, 0x80, 0x01 }; /* identity, 128 */
	struct multihash hash;

	(void)state;
	assert_int_equal(multihash_decode(&hash, bytes_of(raw, sizeof(raw))), 131);
	assert_int_equal(hash.digest.len, MULTIHASH_DIGEST_MAX);
	raw[1] = 0x81;
	assert_int_equal(multihash_decode(&hash, bytes_of(raw, sizeof(raw))), -EBADMSG);
	/* Known from the length alone. */
	assert_int_equal(multihash_decode(&hash, bytes_of(raw, 3)), -EBADMSG);
	assert_int_equal(multihash_decode(&hash, bytes_of("\x92\x00\x00", 3)), -EBADMSG);
}

static int allowed(uint64_t code, size_t len)
{
	static const uint8_t digest[256];
	struct multihash hash = { .code = code, .digest = bytes_of(digest, len) };

	return multihash_allowed(&hash);
}

static void allow_list(void **state)
{
	(void)state;
	assert_int_equal(allowed(HASH_IDENTITY, 0), 0);
	assert_int_equal(allowed(HASH_IDENTITY, 128), 0);
	assert_int_equal(allowed(HASH_IDENTITY, 129), -EBADMSG);
	assert_int_equal(allowed(HASH_SHA2_256, 19), -EBADMSG);
	assert_int_equal(allowed(HASH_SHA2_256, 20), 0);
	assert_int_equal(allowed(HASH_SHA2_256, 32), 0);
	assert_int_equal(allowed(HASH_SHA2_256, 33), -EBADMSG);
	assert_int_equal(allowed(HASH_SHA1, 20), 0);
	assert_int_equal(allowed(HASH_MURMUR3_X64_64, 8), -EBADMSG);
	assert_int_equal(allowed(HASH_BLAKE2B_MIN + 18, 19), -EBADMSG);
	assert_int_equal(allowed(HASH_BLAKE2B_MIN + 19, 20), 0);
	assert_int_equal(allowed(0xd5, 32), -EBADMSG); /* md5 */
	assert_int_equal(allowed(0x1015, 32), -EBADMSG);
}

static void digest_limits(void **state)
{
	uint8_t out[MULTIHASH_DIGEST_MAX], data[MULTIHASH_DIGEST_MAX + 1] = { 7 };

	(void)state;
	assert_int_equal(hash_digest(0xd5, bytes_str("x"), out, 16), -ENOTSUP);
	assert_int_equal(hash_digest(HASH_SHA2_256, bytes_str("x"), out, 33), -EINVAL);
	assert_int_equal(hash_digest(HASH_IDENTITY, bytes_of(data, 128), out, 128), 128);
	assert_memory_equal(out, data, 128);
	assert_int_equal(hash_digest(HASH_IDENTITY, bytes_of(data, 129), out, 129), -EINVAL);
	assert_int_equal(hash_digest(HASH_IDENTITY, bytes_of(data, 3), out, 4), -EINVAL);
	assert_int_equal(hash_native_len(HASH_BLAKE2B_256), 32);
	assert_int_equal(hash_native_len(0xb200), -ENOTSUP);
	assert_int_equal(hash_native_len(0xb241), -ENOTSUP);
	assert_string_equal(hash_name(0xb240), "blake2b-512");
	assert_true(hash_by_name("blake2b-8") == HASH_BLAKE2B_MIN);
	assert_true(hash_by_name("nonsense") == -ENOENT);
	assert_null(hash_name(0xb241));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(go_vectors),	 cmocka_unit_test(project_vectors),
		cmocka_unit_test(blake3),	 cmocka_unit_test(murmur3),
		cmocka_unit_test(decode_limits), cmocka_unit_test(allow_list),
		cmocka_unit_test(digest_limits),
	};

	return cmocka_run_group_tests_name("net/multihash", tests, NULL, NULL);
}
