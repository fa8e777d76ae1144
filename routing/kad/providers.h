/* Provider records: which peer said that it has which block, each with an end of life. In memory,
 * and kept over restarts in a db table. The addresses of providers are the peerstore's. Loop thread
 * only; now is a wall clock in ms, so that records age while the node is down. Expired records are
 * never given out.
 *
 * One peer may have a quarter of all: in a small network one server holds what one provider has,
 * and a flood of one peer costs about 8 MB. When the store is full, a record of a peer that has
 * more gives way to that of one that has less.
 */
#ifndef ROUTING_KAD_PROVIDERS_H
#define ROUTING_KAD_PROVIDERS_H

#include "net/base/map.h"
#include "net/wire/key.h"

#define KAD_PROVIDERS_TOTAL_MAX 131072
#define KAD_PROVIDERS_PEER_MAX (KAD_PROVIDERS_TOTAL_MAX / 4) /* of one peer */
#define KAD_PROVIDERS_KEY_MAX 1000			     /* of one key */

struct db;
struct kad_provider_key;

/* Zeroed, then kad_providers_init(). */
struct kad_providers {
	struct db *db; /* NULL: memory only */
	char table[32];
	uint64_t ttl_ms;
	struct map keys;  /* key -> struct kad_provider_key */
	struct map peers; /* peer id -> its count of records */
	size_t count;	  /* records */
	size_t hand;	  /* of keys: from here on room is looked for */
	uint64_t refused,
		displaced; /* records not taken; living ones that gave way, since the start */
};

/* Reads what the table holds, and drops from it what is expired or malformed. */
void kad_providers_init(struct kad_providers *store, struct db *db, const char *table,
			uint64_t ttl_ms, uint64_t now_ms);
void kad_providers_release(struct kad_providers *store);
/* Adds or renews a record. -EAGAIN: a limit is reached, and no peer has more records than this one.
 * -EINVAL: the key is not 1..80 bytes. */
int kad_providers_add(struct kad_providers *store, struct bytes key, const struct peer_id *peer,
		      uint64_t now_ms);
void kad_providers_remove(struct kad_providers *store, struct bytes key,
			  const struct peer_id *peer);
/* The providers of key, youngest first; returns how many were filled in. */
size_t kad_providers_get(const struct kad_providers *store, struct bytes key, uint64_t now_ms,
			 struct peer_id *out, size_t max);
/* Drops what is expired. */
void kad_providers_sweep(struct kad_providers *store, uint64_t now_ms);
size_t kad_providers_keys(const struct kad_providers *store);

#endif
