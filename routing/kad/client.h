/* Questions to peers: one stream per peer, request and answer in lock-step, closed when idle. A
 * stream that turns out to be dead is replaced once per call. Loop thread only. */
#ifndef ROUTING_KAD_CLIENT_H
#define ROUTING_KAD_CLIENT_H

#include "net/net.h"

#define KAD_CLIENT_PEERS_MAX 256     /* streams and dials at once */
#define KAD_CLIENT_CALLS_MAX 4096    /* waiting, all peers together */
#define KAD_CLIENT_PEER_CALLS_MAX 64 /* waiting at one peer */
#define KAD_CLIENT_READ_MS 10000
#define KAD_CLIENT_IDLE_MS 30000

struct kad_client;
struct kad_call;

/* answer is borrowed for the call, empty when none was asked for. -ETIMEDOUT, -EBADMSG,
 * -ECONNRESET... */
typedef void kad_call_fn(void *ctx, int err, struct bytes answer);

/* Borrows swarm; protocol is copied. */
struct kad_client *kad_client_new(struct swarm *swarm, const char *protocol);
/* Drops open calls without their done. Not to be called from a done. NULL is ignored. */
void kad_client_free(struct kad_client *client);
/* Send message (copied) and wait for the answer, or just for having sent it. Never calls done
 * before it returned; NULL and no callback when a limit is reached. */
struct kad_call *kad_client_call(struct kad_client *client, const struct peer_id *peer,
				 struct bytes message, bool answered, uint64_t deadline_ms,
				 kad_call_fn *done, void *ctx);
/* done will not run. NULL is ignored. */
void kad_client_cancel(struct kad_call *call);
/* Whether a stream to peer is being opened. Then a lookup of its addresses would only serve the
 * same dial. */
bool kad_client_is_opening(const struct kad_client *client, const struct peer_id *peer);

struct kad_client_stats {
	uint64_t sent, received, failed;
};

struct kad_client_stats kad_client_stats(const struct kad_client *client);

#endif
