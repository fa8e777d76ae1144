/* Keeps announcing what we have (door: kad_provide_start()). The list is db table "provide", which
 * other processes write too; when each key was last announced here is in a table of our own
 * ("provided.wan" or
 * ".lan"). It is read in slices, a few keys are announced at a time, and nothing happens while the
 * routing table is empty. Without a db the list is in memory. Loop thread only. */
#ifndef ROUTING_KAD_PROVIDE_H
#define ROUTING_KAD_PROVIDE_H

#include "net/base/list.h"
#include "net/base/map.h"
#include "net/base/timer.h"

#define KAD_PROVIDE_ACTIVE_MAX 8     /* announced side by side */
#define KAD_PROVIDE_QUEUE_MAX 256    /* due, active ones included */
#define KAD_PROVIDE_SLICE_MAX 512    /* records read in one go */
#define KAD_PROVIDE_MEMORY_MAX 65536 /* keys without a db */

struct kad;
struct router;

struct kad_provide {
	char table[32];	   /* of the times */
	struct map queued; /* key -> struct job: due or being announced */
	struct list jobs;  /* due ones, in order */
	unsigned active;
	struct map memory;     /* without a db: key -> struct item */
	struct list items;     /* the same, in order */
	struct buf at;	       /* the scan goes on behind this key */
	bool scanning, again;  /* again: the list changed since the scan began */
	bool cleaning;	       /* scanning the times for keys no more in the list */
	uint64_t next_wall_ms; /* earliest that this scan saw to come due */
	uint64_t backoff_ms;
	uint64_t announced;
	struct timer scan, work;
};

void kad_provide_begin(struct kad *kad);
void kad_provide_end(struct kad *kad);
/* There is a peer now. */
void kad_provide_wake(struct kad *kad);
unsigned kad_provide_pending(const struct kad *kad);

#endif
