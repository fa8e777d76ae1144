/* Value records (/pk, /ipns...) that we keep for others: checked, the better one of two, for 48
 * hours, in memory and over restarts in a db table. Only namespaces with rules are stored at all.
 * Loop thread only; now is a wall clock. */
#ifndef ROUTING_KAD_VALUES_H
#define ROUTING_KAD_VALUES_H

#include "net/base/map.h"
#include "net/wire/key.h"
#include "routing/routing.h"

#define KAD_VALUES_MAX 2048
#define KAD_VALUES_PEER_MAX 64 /* of one peer */
#define KAD_VALUE_TTL_MS (48ull * 3600 * 1000)
#define KAD_RULES_MAX 8

struct db;

struct kad_value {
	struct buf value;
	uint64_t told_ms;
	struct peer_id from;
};

/* Zeroed, then kad_values_init(). */
struct kad_values {
	struct db *db;
	char table[32];
	struct record_rules rules[KAD_RULES_MAX];
	size_t rules_count;
	struct map keys;  /* key -> struct kad_value */
	struct map peers; /* peer id -> how many values, as a number */
};

/* Adds "pk" to the rules. Reads the table; what it holds is checked when it is asked for. */
void kad_values_init(struct kad_values *store, struct db *db, const char *table,
		     const struct record_rules *rules, size_t count, uint64_t now_ns);
void kad_values_release(struct kad_values *store);
/* The rules of key's namespace ("/ipns/..." -> "ipns"); NULL when we have none. */
const struct record_rules *kad_values_rules(const struct kad_values *store, struct bytes key);
/* 0 or why value is not a good record of key; -EKEYREJECTED for a namespace without rules. */
int kad_values_check(const struct kad_values *store, struct bytes key, struct bytes value,
		     uint64_t now_ns);
/* Keep it. As kad_values_check(); -ESTALE when a better one is here; -EAGAIN when a limit is
 * reached. */
int kad_values_put(struct kad_values *store, struct bytes key, struct bytes value,
		   const struct peer_id *from, uint64_t now_ns);
/* The record of key when it is still good, else NULL. Borrowed until the next call. */
const struct kad_value *kad_values_get(struct kad_values *store, struct bytes key, uint64_t now_ns);
/* Drops what is too old; signatures are left to kad_values_get(). */
void kad_values_sweep(struct kad_values *store, uint64_t now_ns);

#endif
