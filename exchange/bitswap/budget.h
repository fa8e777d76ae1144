/* How many bytes of blocks may be on their way at once, both ways together: asked of peers, in
 * messages not yet read to their end, being hashed, held for a store that has no room, queued there
 * for the disk, and queued towards peers. What fills it waits; nothing fails.
 *
 * Fetching and serving have at least half each, so neither starves the other. At most a quarter may
 * wait for the disk (store_limit_add()), so that fetching goes on for a while when the disk is full
 * or slow. Unfinished messages may have a quarter, and at least two messages. Above the limit each
 * peer that has nothing queued may still be sent one message; otherwise a few peers that do not
 * read would keep all others from being served. Loop thread. */
#ifndef EXCHANGE_BITSWAP_BUDGET_H
#define EXCHANGE_BITSWAP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BITSWAP_BUDGET_STORING 4  /* of max, the part that may wait for the disk */
#define BITSWAP_BUDGET_ARRIVING 4 /* and the part in messages not yet whole */

struct bitswap_budget {
	uint64_t max;
	uint64_t asked; /* estimated by the block size of each peer; until verified or given up */
	uint64_t arriving; /* messages not yet whole, and ... */
	uint64_t hashing; /* ... blocks not yet verified; both are part of what was asked, and count
			     once */
	uint64_t held;	  /* verified, and the store has no room */
	uint64_t storing; /* in the store's queue, when last looked at */
	uint64_t sending; /* in streams to peers, when last looked at */
	uint64_t peak;	  /* most there was at once */
};

static inline uint64_t bitswap_budget_fetching(const struct bitswap_budget *budget)
{
	uint64_t came = budget->arriving + budget->hashing;

	return (budget->asked > came ? budget->asked : came) + budget->held + budget->storing;
}

static inline uint64_t bitswap_budget_used(const struct bitswap_budget *budget)
{
	return bitswap_budget_fetching(budget) + budget->sending;
}

/* Called after a member has grown. */
static inline void bitswap_budget_note(struct bitswap_budget *budget)
{
	uint64_t used = bitswap_budget_used(budget);

	if (used > budget->peak)
		budget->peak = used;
}

/* Whether another block of this many bytes may be asked for. */
static inline bool bitswap_budget_may_ask(const struct bitswap_budget *budget, uint64_t bytes)
{
	uint64_t half = budget->max / 2;
	uint64_t others = budget->sending < half ? budget->sending : half;
	struct bitswap_budget then = *budget;

	then.asked += bytes;
	return budget->asked + budget->hashing + budget->held == 0 ||
	       bitswap_budget_fetching(&then) + others <= budget->max;
}

/* Whether another message of this many bytes may be read from the store, for a peer that has one
 * queued. */
static inline bool bitswap_budget_may_send(const struct bitswap_budget *budget, uint64_t bytes)
{
	return budget->sending + bytes <= budget->max / 2 &&
	       bitswap_budget_used(budget) + bytes <= budget->max;
}

#endif
