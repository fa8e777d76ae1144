/* Names to addresses through c-ares on the loop: /dns4, /dns6, /dns and /dnsaddr multiaddresses,
 * TXT records. Nothing is read and no socket opened before the first question. Servers: the
 * system's, or those of the environment variable DAGFS_DNS ("127.0.0.1:5353,..."). Loop thread
 * only. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "net/base/loop.h"
#include "net/net.h"

#define RESOLVE_RESULTS_MAX 100
#define RESOLVE_DEPTH_MAX 4	 /* of /dnsaddr in /dnsaddr */
#define RESOLVE_QUESTIONS_MAX 32 /* of one resolve */
#define RESOLVE_LOOKUPS_MAX 256	 /* questions in flight, all together */
#define RESOLVE_HEARD_MAX 64	 /* of them, for names from other peers */
#define RESOLVE_TIMEOUT_MS 10000

struct resolver;
struct resolve;

/* Borrows loop. */
struct resolver *resolver_new(struct loop *loop);
/* Servers to ask in place of the system's, before the first question; copied. NULL: none. DAGFS_DNS
 * goes before them. */
void resolver_set_servers(struct resolver *resolver, const char *servers);
/* Frees the resolver: everything in flight ends without its done. done(ctx) runs, later, when the
 * last handle is closed. */
void resolver_close(struct resolver *resolver, void (*done)(void *ctx), void *ctx);

/* Whether the address begins with a DNS name. */
bool resolve_wanted(const struct multiaddr *addr);

/* done(ctx, err, addrs, count): addresses without names, borrowed for the call; of a /dnsaddr only
 * those that end in peer's /p2p part or have none (it is cut off). -ENOENT when nothing is there,
 * -ETIMEDOUT, -EIO. If heard is set, the name came from another peer, which may have pointed it at
 * our own machine or network: only public addresses are returned. */
typedef void resolve_done_fn(void *ctx, int err, const struct multiaddr *addrs, size_t count);
struct resolve *resolve_start(struct resolver *resolver, const struct multiaddr *addr,
			      const struct peer_id *peer, bool heard, uint64_t deadline_ms,
			      resolve_done_fn *done, void *ctx);
/* done will not run. NULL is ignored. */
void resolve_cancel(struct resolve *resolve);

/* net_lookup_txt() without the swarm. */
struct net_lookup *resolver_txt(struct resolver *resolver, const char *name, uint64_t deadline_ms,
				net_txt_fn *done, void *ctx);

#endif
