/* HAMT shards: in what decodes every link is found in its bucket. */
#include "dag/hamt.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct hamt_shard shard;

	if (hamt_shard_decode(&shard, bytes_of(at, len)))
		return 0;
	for (size_t i = 0; i < shard.node.link_count; i++) {
		struct dagpb_link link;

		hamt_shard_link(&shard, i, &link);
		assert(hamt_shard_find(&shard, shard.index[i]) == (int)i);
		assert(hamt_index(&shard.shape, hamt_hash(link.name), 0) >= 0);
	}
	hamt_shard_release(&shard);
	return 0;
}
