/* The addresses of a dial, in the order in which they are tried, and the result of each for a user
 * who waits (swarm_connect_asked()). Loop thread. */
#include "net/swarm/dial_private.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dial_rank(struct swarm *swarm, const struct multiaddr *addr)
{
	struct multiaddr_part part;
	int rank;

	if (multiaddr_is_relayed(addr) || !swarm_transport_for(swarm, addr))
		return -1;
	switch (multiaddr_scope(addr)) {
	case SCOPE_LOOPBACK:
		rank = 0;
		break;
	case SCOPE_PRIVATE:
		rank = 2;
		break;
	default:
		rank = 4;
		break;
	}
	return rank + (multiaddr_find(addr, MA_IP6, &part) ? 1 : 0);
}

void dial_note_tried(struct dial *dial, const struct multiaddr *addr, int err,
		     const struct peer_id *answered)
{
	struct swarm_tried tried = { .addr = *addr, .err = err };

	if (!dial->by_user)
		return;
	if (answered)
		tried.answered = *answered;
	for (size_t i = 0; i < dial->tried_count; i++)
		if (multiaddr_equal(&dial->tried[i].addr, addr)) {
			dial->tried[i] = tried; /* the last word */
			return;
		}
	if (dial->tried_count == DIAL_TRIED_MAX)
		return;
	if (!dial->tried)
		dial->tried = xcalloc(DIAL_TRIED_MAX, sizeof(tried));
	dial->tried[dial->tried_count++] = tried;
}

void dial_tell(struct swarm_op *op)
{
	struct dial *dial = op->dial;

	for (size_t i = 0; i < dial->attempt_count; i++)
		dial_note_tried(dial, &dial->attempts[i]->addr, -ETIMEDOUT, NULL);
	for (size_t i = dial->next; i < dial->ranked_count; i++)
		dial_note_tried(dial, &dial->ranked[i]->addr, -ECANCELED, NULL);
	free(op->tried);
	op->tried = NULL;
	op->tried_count = dial->tried_count;
	if (dial->tried_count == 0)
		return;
	op->tried = xcalloc(dial->tried_count, sizeof(*op->tried));
	memcpy(op->tried, dial->tried, dial->tried_count * sizeof(*op->tried));
}

void dial_candidate_insert(struct dial *dial, struct candidate *candidate)
{
	size_t at = dial->ranked_count++;

	while (at > dial->next && dial->ranked[at - 1]->rank > candidate->rank) {
		dial->ranked[at] = dial->ranked[at - 1];
		at--;
	}
	dial->ranked[at] = candidate;
}

static bool is_tried_now(const struct dial *dial, const struct multiaddr *addr)
{
	for (size_t i = 0; i < dial->attempt_count; i++)
		if (multiaddr_equal(&dial->attempts[i]->addr, addr))
			return true;
	return false;
}

bool dial_is_candidate(struct dial *dial, const struct multiaddr *addr, bool explicit, bool again)
{
	size_t at = 0;

	while (at < dial->ranked_count && !multiaddr_equal(&dial->ranked[at]->addr, addr))
		at++;
	if (at == dial->ranked_count)
		return false;
	struct candidate *candidate = dial->ranked[at];

	candidate->explicit |= explicit;
	if (at < dial->next && again && !is_tried_now(dial, addr)) {
		memmove(&dial->ranked[at], &dial->ranked[at + 1],
			(dial->ranked_count - at - 1) * sizeof(dial->ranked[0]));
		dial->ranked_count--;
		dial->next--;
		dial_candidate_insert(dial, candidate);
	}
	return true;
}
