/* MurmurHash3_x64_128 with seed 0, of which HAMT directories take the first 64 bits. It is never
 * used to name content. Pure; any thread. */
#include "net/wire/multihash.h"

#define C1 UINT64_C(0x87c37b91114253d5)
#define C2 UINT64_C(0x4cf5ad432745937f)

static uint64_t murmur3_rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

/* Little-endian, short reads padded with zeros. */
static uint64_t murmur3_load(const uint8_t *at, size_t len)
{
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)at[i] << (8 * i);
	return word;
}

static uint64_t murmur3_finish(uint64_t k)
{
	k ^= k >> 33;
	k *= UINT64_C(0xff51afd7ed558ccd);
	k ^= k >> 33;
	k *= UINT64_C(0xc4ceb9fe1a85ec53);
	return k ^ k >> 33;
}

uint64_t murmur3_x64_64(struct bytes data)
{
	uint64_t h1 = 0, h2 = 0, total = data.len;

	for (; data.len >= 16; data = bytes_of(data.at + 16, data.len - 16)) {
		h1 ^= murmur3_rotate(murmur3_load(data.at, 8) * C1, 31) * C2;
		h1 = (murmur3_rotate(h1, 27) + h2) * 5 + 0x52dce729;
		h2 ^= murmur3_rotate(murmur3_load(data.at + 8, 8) * C2, 33) * C1;
		h2 = (murmur3_rotate(h2, 31) + h1) * 5 + 0x38495ab5;
	}
	if (data.len > 8)
		h2 ^= murmur3_rotate(murmur3_load(data.at + 8, data.len - 8) * C2, 33) * C1;
	if (data.len > 0)
		h1 ^= murmur3_rotate(murmur3_load(data.at, data.len > 8 ? 8 : data.len) * C1, 31) *
		      C2;

	h1 ^= total;
	h2 ^= total;
	h1 += h2;
	h2 += h1;
	return murmur3_finish(h1) + murmur3_finish(h2);
}
