/* Randomness as a parameter: the system's in production, seeded in tests and the simulator. */
#ifndef NET_BASE_RANDOM_H
#define NET_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
	void (*fill)(struct random *random, void *at, size_t len);
	uint64_t state[4];
};

/* The kernel's generator. Any thread. */
struct random random_system(void);
/* A replayable stream (xoshiro256** from splitmix64); never for keys in production. One thread. */
struct random random_seeded(uint64_t seed);

void random_fill(struct random *random, void *at, size_t len);
uint64_t random_u64(struct random *random);
/* Uniform below limit (> 0). */
uint64_t random_below(struct random *random, uint64_t limit);

#endif
