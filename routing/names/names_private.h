/* Between the files of this room. Loop thread only. */
#ifndef ROUTING_NAMES_PRIVATE_H
#define ROUTING_NAMES_PRIVATE_H

#include "net/base/list.h"
#include "net/base/map.h"
#include "net/base/timer.h"
#include "routing/names.h"
#include "routing/names/own.h"

#define NAMES_NS_PER_MS 1000000ull
#define NAMES_ASK_MS 10000     /* one search before our own record is told */
#define NAMES_TELL_MS 60000    /* one telling */
#define NAMES_RETRY_MS 1000    /* after a first failure; doubled by each */
#define NAMES_TELLS_AT_ONCE 40 /* records of one name that are told without a pause, */
#define NAMES_TELLS_MS 1000    /* and then one in so long */
#define NAMES_RETRY_MAX_MS (5 * 60 * 1000)
#define NAMES_HASTE_MS 5000  /* a peer that comes makes no try sooner after the last */
#define NAMES_RENEW_MS 30000 /* the longest that config.renew is waited for */

struct names_own;
struct names_watched;

struct names {
	struct swarm *swarm;
	struct router *router; /* or NULL */
	struct db *db;
	struct timers *timers;
	struct names_config config; /* no zero fields but renew */
	struct swarm_watch watch;
	struct router_watch ready;
	struct timer peers; /* after peers came */
	struct map own;	    /* name -> struct names_own */
	struct map watched; /* name -> struct names_watched */
	struct map cache;   /* name -> struct names_cached */
	uint64_t cache_uses;
	struct list queries;
	unsigned query_count, follow_count, active; /* active: own names being asked for or told */
	uint64_t looked_ms;			    /* when own names were read last */
	uint64_t told, polls;
};

/* A search, a telling of somebody's record, or one who waits for the telling of our own. */
struct names_query {
	struct list node; /* in names->queries, or among those who wait for a names_own */
	struct names *names;
	struct peer_id name;
	struct names_want want;
	struct timer soon, deadline;
	struct routing_query *query;
	struct buf best; /* the best that was found; what is to be told */
	unsigned heard;	 /* records that came from the network */
	bool busy;	 /* a callback runs, which may cancel */
	bool cancelled;	 /* it did */
	names_found_fn *found;
	names_done_fn *done;
	void *ctx;
};

uint64_t names_now(const struct names *names); /* loop clock */
/* The routing key of name, appended. */
struct bytes names_key(const struct peer_id *name, struct buf *out);
/* Reads a record that was checked before. False: it does not decode. */
bool names_read(struct name_record *out, struct bytes record);

/* ---- query.c ---- */

/* In no list yet. NULL at NAMES_QUERIES_MAX. */
struct names_query *names_query_new(struct names *names, const struct peer_id *name,
				    names_done_fn *done, void *ctx);
/* Frees it, then tells done unless it was cancelled. */
void names_query_end(struct names_query *query, int err, unsigned count);
void names_query_free(struct names_query *query);

/* ---- cache.c ---- */

/* NULL: nothing that may still be believed. Borrowed until the next call. */
const struct buf *names_cache_get(struct names *names, const struct peer_id *name);
void names_cache_put(struct names *names, const struct peer_id *name,
		     const struct name_record *record);
void names_cache_release(struct names *names);

/* ---- tell.c ---- */

struct names_own *names_own_find(struct names *names, const struct peer_id *name);
struct bytes names_own_record(const struct names_own *own);
/* The network has a record of the name that is better than ours. */
void names_own_beaten(struct names_own *own, struct bytes record);
/* The network was just asked for the name. */
void names_own_asked(struct names_own *own);
/* Peers came: what could not be told is tried sooner. */
void names_own_hurry(struct names *names);
void names_own_stop(struct names *names);
void names_own_stats(const struct names *names, struct names_stats *stats);

/* ---- follow.c ---- */

/* A good record of name came, from the network or made here. */
void names_watched_take(struct names *names, const struct peer_id *name, struct bytes record);
/* Appends the best record of a followed name. False: there is none. */
bool names_watched_best(struct names *names, const struct peer_id *name, struct buf *record);
void names_watched_hurry(struct names *names);
void names_watched_stop(struct names *names);

#endif
