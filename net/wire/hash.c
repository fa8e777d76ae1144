/* Every hash function that a CID may name, in one table: OpenSSL, libsodium, BLAKE3 and
 * MurmurHash3 behind one call. SHA-256 has a path of its own, because every block goes through
 * it. Any thread. */
#include "net/wire/multihash.h"

#include "net/base/alloc.h"
#include "net/wire/blake3.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SHA256_LEN 32
#define BLAKE2B_BASE 0xb200
#define BLAKE2B_LEN_MAX 64

struct function {
	uint32_t code;
	uint16_t len; /* of the whole digest */
	const char *name;
	const char *openssl; /* its name there, NULL when computed here */
};

/* clang-format off */
static const struct function functions[] = {
	{ HASH_IDENTITY, MULTIHASH_DIGEST_MAX, "identity", NULL },
	{ HASH_SHA1, 20, "sha1", "SHA1" },
	{ HASH_SHA2_256, SHA256_LEN, "sha2-256", NULL },
	{ HASH_SHA2_512, 64, "sha2-512", "SHA512" },
	{ HASH_SHA3_512, 64, "sha3-512", "SHA3-512" },
	{ HASH_SHA3_384, 48, "sha3-384", "SHA3-384" },
	{ HASH_SHA3_256, 32, "sha3-256", "SHA3-256" },
	{ HASH_SHA3_224, 28, "sha3-224", "SHA3-224" },
	{ HASH_BLAKE3, BLAKE3_LEN, "blake3", NULL },
	{ HASH_MURMUR3_X64_64, 8, "murmur3-x64-64", NULL },
	{ HASH_DBL_SHA2_256, SHA256_LEN, "dbl-sha2-256", NULL },
	{ HASH_BLAKE2S_256, 32, "blake2s-256", "BLAKE2S-256" },
};
/* clang-format on */

/* Of 1..64 bytes. */
static const char *const blake2b_names[BLAKE2B_LEN_MAX] = {
	"blake2b-8",   "blake2b-16",  "blake2b-24",  "blake2b-32",  "blake2b-40",  "blake2b-48",
	"blake2b-56",  "blake2b-64",  "blake2b-72",  "blake2b-80",  "blake2b-88",  "blake2b-96",
	"blake2b-104", "blake2b-112", "blake2b-120", "blake2b-128", "blake2b-136", "blake2b-144",
	"blake2b-152", "blake2b-160", "blake2b-168", "blake2b-176", "blake2b-184", "blake2b-192",
	"blake2b-200", "blake2b-208", "blake2b-216", "blake2b-224", "blake2b-232", "blake2b-240",
	"blake2b-248", "blake2b-256", "blake2b-264", "blake2b-272", "blake2b-280", "blake2b-288",
	"blake2b-296", "blake2b-304", "blake2b-312", "blake2b-320", "blake2b-328", "blake2b-336",
	"blake2b-344", "blake2b-352", "blake2b-360", "blake2b-368", "blake2b-376", "blake2b-384",
	"blake2b-392", "blake2b-400", "blake2b-408", "blake2b-416", "blake2b-424", "blake2b-432",
	"blake2b-440", "blake2b-448", "blake2b-456", "blake2b-464", "blake2b-472", "blake2b-480",
	"blake2b-488", "blake2b-496", "blake2b-504", "blake2b-512",
};

/* Fetching SHA-256 from OpenSSL costs more than hashing a small block (560 against 250 ns for 64
 * bytes), so it is fetched once. Written once and only read from then on: no state one could see.
 */
static EVP_MD *sha256_md;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
}

void sha256(uint8_t out[static SHA256_LEN], struct bytes data)
{
	pthread_once(&sha256_once, fetch_sha256);
	/* Without it no block can be checked and no caller could go on. */
	if (!EVP_Digest(data.at, data.len, out, NULL, sha256_md, NULL))
		out_of_memory();
}

static bool is_blake2b(uint64_t code)
{
	return code > BLAKE2B_BASE && code <= BLAKE2B_BASE + BLAKE2B_LEN_MAX;
}

static const struct function *function_find(uint64_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(functions); i++)
		if (functions[i].code == code)
			return &functions[i];
	return NULL;
}

const char *hash_name(uint64_t code)
{
	const struct function *function = function_find(code);

	if (is_blake2b(code))
		return blake2b_names[code - BLAKE2B_BASE - 1];
	return function ? function->name : NULL;
}

int64_t hash_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(functions); i++)
		if (strcmp(functions[i].name, name) == 0)
			return functions[i].code;
	for (size_t i = 0; i < BLAKE2B_LEN_MAX; i++)
		if (strcmp(blake2b_names[i], name) == 0)
			return (int64_t)(BLAKE2B_BASE + 1 + i);
	return -ENOENT;
}

ssize_t hash_native_len(uint64_t code)
{
	const struct function *function = function_find(code);

	if (is_blake2b(code))
		return (ssize_t)(code - BLAKE2B_BASE);
	return function ? function->len : -ENOTSUP;
}

static ssize_t identity(struct bytes data, uint8_t *out, size_t digest_len)
{
	if (digest_len > data.len || digest_len > MULTIHASH_DIGEST_MAX)
		return -EINVAL;
	if (digest_len > 0)
		memcpy(out, data.at, digest_len);
	return (ssize_t)data.len;
}

static void murmur3(uint8_t out[static 8], struct bytes data)
{
	uint64_t value = murmur3_x64_64(data);

	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* The whole digest; false when OpenSSL was built without the function. */
static bool compute(uint64_t code, struct bytes data, uint8_t *full, size_t len)
{
	const struct function *function = function_find(code);
	EVP_MD *md;
	bool done;

	if (is_blake2b(code))
		return crypto_generichash_blake2b(full, len, data.at, data.len, NULL, 0) == 0;
	assert(function);
	switch (code) {
	case HASH_SHA2_256:
		sha256(full, data);
		return true;
	case HASH_DBL_SHA2_256:
		sha256(full, data);
		sha256(full, bytes_of(full, SHA256_LEN));
		return true;
	case HASH_BLAKE3:
		blake3_hash(full, data);
		return true;
	case HASH_MURMUR3_X64_64:
		murmur3(full, data);
		return true;
	}
	md = EVP_MD_fetch(NULL, function->openssl, NULL);
	done = md && EVP_Digest(data.at, data.len, full, NULL, md, NULL);
	EVP_MD_free(md);
	return done;
}

ssize_t hash_digest(uint64_t code, struct bytes data, uint8_t out[static MULTIHASH_DIGEST_MAX],
		    size_t digest_len)
{
	uint8_t full[EVP_MAX_MD_SIZE];
	ssize_t native = hash_native_len(code);

	if (native < 0)
		return native;
	if (code == HASH_IDENTITY)
		return identity(data, out, digest_len);
	if (digest_len > (size_t)native)
		return -EINVAL;
	if (!compute(code, data, full, (size_t)native))
		return -ENOTSUP;
	memcpy(out, full, digest_len);
	return native;
}
