/* Keeps announcing what we have (door: kad_provide_start()). The list is db table "provide", which
 * other processes write too; when each key was last announced here is in a table of our own
 * ("provided.wan" or
 * ".lan"). It is read in slices into the set of keys that are due, which sweeps empty region by
 * region, and nothing happens while the routing table is empty. Without a db the list is in memory.
 *
 * A key comes due again at a moment that its place in the key space decides, so that neighbours
 * come due together and the whole space is gone through evenly once an interval, also across
 * restarts. Loop thread only. */
#ifndef ROUTING_KAD_PROVIDE_H
#define ROUTING_KAD_PROVIDE_H

#include "net/base/list.h"
#include "net/base/map.h"
#include "net/base/timer.h"
#include "routing/kad/region_sweep.h"

#define KAD_PROVIDE_SWEEPS 4	      /* side by side, each of its part of the space; 2^BITS */
#define KAD_PROVIDE_SWEEP_BITS 2      /* of the part */
#define KAD_PROVIDE_SLICE_MAX 512     /* records read in one go */
#define KAD_PROVIDE_MEMORY_MAX 131072 /* keys without a db */

struct kad;
struct router;

struct kad_provide {
	char table[32];		   /* of the times */
	struct due_set due; /* or being announced; at most DUE_KEYS_MAX */
	struct kad_provide_part {
		struct kad *kad;
		struct kad_region_sweep sweep;
		struct place at; /* the part is gone through from here */
	} parts[KAD_PROVIDE_SWEEPS];
	struct map memory;     /* without a db: key -> struct item */
	struct list items;     /* the same, in order */
	struct buf at;	       /* the scan goes on behind this key */
	bool scanning, again;  /* again: the list changed since the scan began */
	bool full;	       /* the scan waits for room */
	bool cleaning;	       /* looking through the times, then what is due, for keys no more in the list */
	unsigned sifted;       /* cells of what is due */
	uint64_t next_wall_ms; /* earliest that this scan saw to come due */
	uint64_t backoff_ms;
	uint64_t announced;
	uint64_t confirmed_peers, unkept_peers; /* asked for a key just told; those without it */
	uint64_t warn_ms; /* no warning of these before */
	unsigned unkept; /* times of announcing that the db did not take, to be told in one line */
	struct timer scan, work, retry;
};

void kad_provide_begin(struct kad *kad);
void kad_provide_end(struct kad *kad);
/* There is a peer now. */
void kad_provide_wake(struct kad *kad);
unsigned kad_provide_pending(const struct kad *kad);
/* When a key at id that was announced at told_ms is to be announced again: the next moment of its
 * place, but not within the next 1/8 of the interval. */
uint64_t kad_provide_due_ms(const struct place *id, uint64_t told_ms, uint64_t interval_ms);

#endif
