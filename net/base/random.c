/* The two sources of randomness: the kernel's getrandom() for production, and xoshiro256** with a
 * seed for tests and the simulator. Callers take a struct random and do not know which it is. Any
 * thread; a seeded one belongs to one thread. */
#include "net/base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void system_fill(struct random *random, void *at, size_t len)
{
	uint8_t *out = at;

	(void)random;
	while (len) {
		ssize_t got = getrandom(out, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort(); /* without randomness there are no keys to be had */
		out += got;
		len -= (size_t)got;
	}
}

struct random random_system(void)
{
	return (struct random){ .fill = system_fill };
}

static uint64_t rotate_left(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

/* xoshiro256** 1.0 */
static uint64_t seeded_next(uint64_t s[4])
{
	uint64_t out = rotate_left(s[1] * 5, 7) * 9;
	uint64_t shifted = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate_left(s[3], 45);
	return out;
}

/* Little-endian on every machine, so that a seed means the same everywhere. */
static void seeded_fill(struct random *random, void *at, size_t len)
{
	uint8_t *out = at;

	for (size_t i = 0; i < len;) {
		uint64_t value = seeded_next(random->state);

		for (int n = 0; n < 8 && i < len; n++, i++)
			out[i] = (uint8_t)(value >> (8 * n));
	}
}

struct random random_seeded(uint64_t seed)
{
	struct random random = { .fill = seeded_fill };

	for (int i = 0; i < 4; i++) { /* splitmix64 */
		uint64_t z = seed += 0x9e3779b97f4a7c15;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		random.state[i] = z ^ (z >> 31);
	}
	return random;
}

void random_fill(struct random *random, void *at, size_t len)
{
	random->fill(random, at, len);
}

uint64_t random_u64(struct random *random)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	random_fill(random, bytes, sizeof bytes);
	for (int i = 7; i >= 0; i--)
		value = value << 8 | bytes[i];
	return value;
}

uint64_t random_below(struct random *random, uint64_t limit)
{
	assert(limit > 0);
	/* 2^64 mod limit values at the bottom are drawn again: the rest divides evenly. */
	uint64_t uneven = -limit % limit;
	uint64_t value;

	do
		value = random_u64(random);
	while (value < uneven);
	return value % limit;
}
