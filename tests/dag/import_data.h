/* The bytes that the vectors of chunkers.json and unixfs-files.json are made of. */
#ifndef TESTS_DAG_IMPORT_DATA_H
#define TESTS_DAG_IMPORT_DATA_H

#include "net/base/bytes.h"

#include <assert.h>
#include <string.h>

static inline void import_data(struct buf *out, const char *kind, size_t size)
{
	uint8_t *at = buf_reserve(out, size + 8);
	uint64_t state = 42;

	if (strcmp(kind, "zero") == 0) {
		memset(at, 0, size);
	} else if (strcmp(kind, "mod251") == 0) {
		for (size_t i = 0; i < size; i++)
			at[i] = (uint8_t)(i % 251);
	} else {
		assert(strcmp(kind, "splitmix64") == 0);
		for (size_t i = 0; i < size; i += 8) {
			uint64_t z = state += 0x9e3779b97f4a7c15u;

			z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
			z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
			z ^= z >> 31;
			for (unsigned b = 0; b < 8; b++)
				at[i + b] = (uint8_t)(z >> 8 * b);
		}
	}
	out->len += size;
}

#endif
