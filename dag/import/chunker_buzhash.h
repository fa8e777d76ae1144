/* The "buzhash" chunker: cuts where a rolling hash of 32 bytes ends in 17 zero bits. Pure; any
 * thread. */
#ifndef DAG_CHUNKER_BUZHASH_H
#define DAG_CHUNKER_BUZHASH_H

#include "net/base/bytes.h"

#define BUZHASH_MIN 131072
#define BUZHASH_MAX 524288

/* What each byte value contributes: fixed random numbers, part of the format. */
extern const uint32_t buzhash_table[256];

/* As chunker_cut(), with BUZHASH_MAX. */
size_t buzhash_cut(struct bytes data);

#endif
