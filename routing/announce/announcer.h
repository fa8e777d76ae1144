/* Keeps announcing what this node has, over any router (door: announcer_new()). Private to
 * routing/announce. Loop thread only.
 *
 * The list is db table "provide", which other processes write too; when each key was last announced
 * over this router is in a table of our own ("provided.NAME"). The list is read in slices into the
 * set of keys that are due, which is emptied from several places of the key space at once: region
 * by region when the router can tell many keys at once, else key by key. Without a db the list is
 * in memory.
 *
 * A key comes due again at a moment that its place in the key space decides, so that neighbours
 * come due together and the whole space is gone through evenly once an interval, also across
 * restarts. */
#ifndef ROUTING_ANNOUNCE_ANNOUNCER_H
#define ROUTING_ANNOUNCE_ANNOUNCER_H

#include "net/base/list.h"
#include "net/base/map.h"
#include "net/base/timer.h"
#include "routing/due.h"
#include "routing/routing.h"

#define ANNOUNCE_LIST "provide"
#define ANNOUNCE_PARTS 4	   /* of the key space, worked at side by side; 2^BITS */
#define ANNOUNCE_PART_BITS 2	   /* of the part */
#define ANNOUNCE_SLICE_MAX 512	   /* records read in one go */
#define ANNOUNCE_MEMORY_MAX 131072 /* keys without a db */
#define ANNOUNCE_WAKE_MS 200	   /* keys that come due one by one are gathered so long */

/* One of the parts. */
struct announcer_part {
	struct announcer *announcer;
	struct place_region bounds;
	struct place at;	     /* the part is gone through from here */
	struct routing_query *query; /* NULL: nothing is being announced */
	struct due_key *key;	     /* what is announced, when it is one key alone */
};

/* A key of the list in memory. */
struct announcer_item {
	struct list node;
	struct buf key;
	uint64_t told_ms;
};

struct announcer {
	struct router *router;
	struct router_watch watch;
	struct timers *timers;
	struct db *db;
	uint64_t interval_ms;
	char table[32];	    /* of the times */
	struct due_set due; /* or being announced */
	struct announcer_part parts[ANNOUNCE_PARTS];
	struct map memory;    /* without a db: key -> struct announcer_item */
	struct list items;    /* the same, in order */
	struct buf at;	      /* the scan goes on behind this key */
	bool scanning, again; /* again: the list changed since the scan began */
	bool full;	      /* the scan waits for room */
	bool cleaning; /* looking through the times, then what is due, for keys no more in the list
			*/
	unsigned sifted;       /* cells of what is due */
	uint64_t next_wall_ms; /* earliest that this scan saw to come due */
	uint64_t backoff_ms;
	uint64_t announced;
	uint64_t confirmed_peers, unkept_peers; /* asked for a key just told; those without it */
	uint64_t warn_ms;			/* no warning of these before */
	unsigned unkept; /* times of announcing that the db did not take, to be told in one line */
	struct timer scan, work, retry;
};

/* Milliseconds since 1970. */
uint64_t announcer_wall_ms(void);
/* When a key at place that was announced at told_ms is to be announced again: the next moment of
 * its place, but not within the next 1/8 of the interval. */
uint64_t announcer_due_ms(const struct place *place, uint64_t told_ms, uint64_t interval_ms);

/* ---- announcer.c ---- */

/* The key is due now: into the set. False: there is no room. */
bool announcer_enqueue(struct announcer *announcer, struct bytes key);

/* ---- scan.c ---- */

/* A key comes due at wall_ms: the next scan is not later than that. */
void announcer_due_at(struct announcer *announcer, uint64_t wall_ms);
/* The list changed: look through it again, from the beginning when a scan is under way. */
void announcer_scan_now(struct announcer *announcer);
/* Begin, or go on with, a scan. */
void announcer_scan_go_on(struct announcer *announcer);

#endif
