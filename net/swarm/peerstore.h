/* Addresses of peers, each with its end of life; a part survives restarts in a db table ("peers").
 * At most PEERSTORE_PEERS_MAX peers with SWARM_PEER_ADDRS_MAX addresses each; peers that never
 * answered at any of theirs go first, then the peer not touched for longest. Loop thread only. */
#ifndef NET_PEERSTORE_H
#define NET_PEERSTORE_H

#include "net/base/timer.h"
#include "net/wire/multiaddr.h"

#define PEERSTORE_PEERS_MAX 4096
#define PEERSTORE_BYTES_MAX (8u << 20) /* of addresses, all peers together */
#define PEERSTORE_TTL_MAX_MS (48ull * 3600 * 1000)
#define PEERSTORE_GOOD_MS (24ull * 3600 * 1000) /* an address that answered */
#define PEERSTORE_RECENT_MS (15ull * 60 * 1000) /* one that identify told */

struct db;
struct peerstore;

/* Borrows timers and db (may be NULL). Reads the table; entries past their end are dropped from it.
 */
struct peerstore *peerstore_new(struct timers *timers, struct db *db);
void peerstore_free(struct peerstore *store); /* NULL is ignored */

/* Keeps addr for at least ttl_ms. Addresses added last come first and are given up last, so the
 * best of several is added last. */
void peerstore_add(struct peerstore *store, const struct peer_id *peer,
		   const struct multiaddr *addr, uint64_t ttl_ms);
/* addr answered and proved to be peer's. It comes first from now on, for PEERSTORE_GOOD_MS, and is
 * kept over restarts. */
void peerstore_good(struct peerstore *store, const struct peer_id *peer,
		    const struct multiaddr *addr);
/* Removes addr, which turned out not to be peer's. */
void peerstore_drop(struct peerstore *store, const struct peer_id *peer,
		    const struct multiaddr *addr);
/* Takes the addresses of a signed peer record; they replace those that identify told before.
 * -ESTALE: a record of a higher seq is known. */
int peerstore_certify(struct peerstore *store, const struct peer_id *peer, uint64_t seq,
		      const struct multiaddr *addrs, size_t count, uint64_t ttl_ms);
/* Best first: those that answered, then the youngest. Returns how many were filled in. */
size_t peerstore_addrs(struct peerstore *store, const struct peer_id *peer, struct multiaddr *addrs,
		       size_t max);
size_t peerstore_count(const struct peerstore *store);

#endif
