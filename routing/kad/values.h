/* Value records (/pk, /ipns...) that we keep for others: checked, the better one of two, for 48
 * hours after they were last told, in memory and over restarts in a db table. Only namespaces with
 * rules are stored at all, and a peer can make the store neither grow nor write without end.
 * Those that we put ourselves come due for being told again.
 *
 * When it is full, what is past its end goes first, then what is farthest from our own id: for that
 * there are others. What we put ourselves stays, as does all that is nearer than the newcomer; one
 * peer has KAD_VALUES_PEER_MAX places, for which it displaces at most as many of others.
 *
 * Signatures are checked on this thread: once a record, when it has a place already, and of others'
 * records no more in a second than check_rate.h lets pass, with what was read from the db.
 *
 * Loop thread only; now is a wall clock. */
#ifndef ROUTING_KAD_VALUES_H
#define ROUTING_KAD_VALUES_H

#include "net/base/map.h"
#include "net/wire/key.h"
#include "routing/kad/check_rate.h"
#include "routing/place.h"
#include "routing/routing.h"

#define KAD_VALUES_MAX 2048
#define KAD_VALUES_BYTES_MAX (8u << 20)
#define KAD_VALUES_PEER_MAX 64 /* of one peer */
#define KAD_VALUE_TTL_MS (48ull * 3600 * 1000)
#define KAD_VALUE_SETTLED_MS                                                                       \
	(10ull * 60 * 1000)			/* the same put again within it changes nothing    \
						 */
#define KAD_VALUE_AGAIN_MS (4ull * 3600 * 1000) /* our own are told again, as Kubo's are */
#define KAD_VALUE_RETRY_MS (5ull * 60 * 1000)	/* again, if no peer took it */
#define KAD_RULES_MAX 8

struct db;

struct kad_value {
	struct buf value;
	uint64_t distance; /* of its key from our id: place_distance() */
	uint64_t told_ms;
	uint64_t expires_ns; /* its own end of life, once checked */
	uint64_t due_ms;     /* ours: when it is told again */
	struct peer_id from;
	bool checked; /* by its rules; not yet when it came from the db */
	bool own;     /* this key was put by us, even if a peer told of the record last */
};

/* Zeroed, then kad_values_init(). */
struct kad_values {
	struct db *db;
	char table[32];
	struct peer_id self;
	struct place place; /* of self */
	size_t bytes;	    /* of all values */
	struct record_rules rules[KAD_RULES_MAX];
	size_t rules_count;
	struct map keys;  /* key -> struct kad_value */
	struct map peers; /* peer id -> how many values, as a number */
	struct kad_check_rate rate;
};

/* Adds "pk" and "ipns" to the rules; the caller's come first. What self tells is ours. Reads the
 * table; what it holds is checked when it is asked for. */
void kad_values_init(struct kad_values *store, struct db *db, const char *table,
		     const struct peer_id *self, const struct record_rules *rules, size_t count,
		     uint64_t now_ns);
void kad_values_release(struct kad_values *store);
/* The rules of key's namespace ("/ipns/..." -> "ipns"); NULL when we have none. */
const struct record_rules *kad_values_rules(const struct kad_values *store, struct bytes key);
/* 0 or why value is not a good record of key; -EKEYREJECTED for a namespace without rules. */
int kad_values_check(const struct kad_values *store, struct bytes key, struct bytes value,
		     uint64_t now_ns);
/* Keeps a record. Errors as kad_values_check(); -ESTALE: a better one is stored; -EAGAIN: its peer
 * has too many, the store is full of nearer ones, or too many are being checked. */
int kad_values_put(struct kad_values *store, struct bytes key, struct bytes value,
		   const struct peer_id *from, uint64_t now_ns);
/* The record of key if it is still valid; else NULL, also if it must be checked first and too many
 * are being checked. Borrowed until the next call. */
const struct kad_value *kad_values_get(struct kad_values *store, struct bytes key, uint64_t now_ns);
/* Appends to key the key of a value of ours that is due, which then comes due again after
 * KAD_VALUE_RETRY_MS. False: none is due. */
bool kad_values_due(struct kad_values *store, uint64_t now_ns, struct buf *key);
/* A peer has taken our record of key: it comes due again after KAD_VALUE_AGAIN_MS. */
void kad_values_told(struct kad_values *store, struct bytes key, uint64_t now_ns);
/* Drops records that are too old or expired. Those read from the db are not verified here;
 * kad_values_get() does that. */
void kad_values_sweep(struct kad_values *store, uint64_t now_ns);

#endif
