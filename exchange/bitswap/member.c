/* The peers of a session, and the queue of sessions that have something to place. A change only
 * puts the session into that queue; bitswap_client_run() does the work. Loop thread. */
#include "exchange/bitswap/client.h"

#include <stdlib.h>

void bitswap_session_ready(struct bitswap_session *session)
{
	list_remove(&session->ready_node);
	list_add_tail(&session->client->ready, &session->ready_node);
	session->client->ops->wake(session->client->ctx);
}

void bitswap_session_active(struct bitswap_session *session)
{
	session->active_ms = timers_now(session->client->timers);
	session->ticks = 0;
	session->searched = false;
}

struct bitswap_member *bitswap_session_member(struct bitswap_session *session,
					      const struct bitswap_client_peer *peer)
{
	list_for_each(member, &session->members, struct bitswap_member, session_node)
		if (member->peer == peer)
			return member;
	return NULL;
}

void bitswap_session_leave(struct bitswap_member *member)
{
	struct bitswap_session *session = member->session;

	list_remove(&member->session_node);
	list_remove(&member->peer_node);
	session->member_count--;
	free(member);
	if (!list_empty(&session->pending))
		bitswap_session_ready(session);
}

bool bitswap_session_may_steal(const struct bitswap_session *session)
{
	return session->member_count > 1 && list_empty(&session->pending) &&
	       !list_empty(&session->gets) &&
	       timers_now(session->client->timers) >= session->steal_ms;
}
