/* Where a file is cut into chunks (wire/dag section 3, "Chunkers"). Every cut depends only on the
 * bytes since the one before. Pure; any thread may use one struct chunker. */
#ifndef DAG_CHUNKER_H
#define DAG_CHUNKER_H

#include "net/base/bytes.h"

#define CHUNK_MAX                                                                                  \
	(2u * 1024 * 1024 - 256) /* Kubo's limit: a chunk with its wrapping is a block             \
				  */

enum chunker_kind { CHUNKER_SIZE, CHUNKER_BUZHASH, CHUNKER_RABIN };

struct chunker {
	enum chunker_kind kind;
	size_t min, max;	     /* no chunk is longer than max */
	uint64_t mask;		     /* rabin: cut where the fingerprint's bits under it are zero */
	uint64_t out[256], mod[256]; /* rabin: what a leaving and an overflowing byte contribute */
};

/* text as for `ipfs add --chunker`: size-N, buzhash, rabin, rabin-AVG, rabin-MIN-AVG-MAX. 0, or
 * -EINVAL with the reason in *why (static text). */
int chunker_init(struct chunker *chunker, const char *text, const char **why);

/* Length of the first chunk of data, which holds all bytes that are left or at least chunker->max
 * of them, and is not empty. */
size_t chunker_cut(const struct chunker *chunker, struct bytes data);

#endif
