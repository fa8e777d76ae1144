/* Addresses that are not to be dialled for a time: those that failed lately for a peer, and IP
 * addresses at which too many attempts for any peers failed. Other peers write records about
 * addresses, so without this a few false ones would make us dial a victim again and again. Pure:
 * time is an argument. */
#ifndef NET_DIAL_LIMIT_H
#define NET_DIAL_LIMIT_H

#include "net/wire/multiaddr.h"

#define DIAL_BACKOFF_BASE_MS 5000
#define DIAL_BACKOFF_STEP_MS 1000 /* times the square of failures */
#define DIAL_BACKOFF_MAX_MS 300000
#define DIAL_BACKOFFS_MAX 4096
#define DIAL_PER_IP_MAX 30   /* failed attempts at one IPv4 address or IPv6 /64 ... */
#define DIAL_PER_IP_MS 60000 /* ... within so long */
#define DIAL_IPS_MAX 4096    /* addresses counted; the oldest count makes room */

struct dial_limit;

struct dial_limit *dial_limit_new(void);
void dial_limit_free(struct dial_limit *limit); /* NULL is ignored */

/* How long to leave an address alone after its failures-th failure in a row. */
uint64_t dial_backoff_ms(unsigned failures);
/* An attempt to reach peer at addr has failed; a success clears what was noted of it. */
void dial_limit_failed(struct dial_limit *limit, const struct peer_id *peer,
		       const struct multiaddr *addr, uint64_t now_ms);
void dial_limit_reached(struct dial_limit *limit, const struct peer_id *peer,
			const struct multiaddr *addr);
bool dial_limit_backs_off(const struct dial_limit *limit, const struct peer_id *peer,
			  const struct multiaddr *addr, uint64_t now_ms);

/* Is there room for one more attempt at the IP address of addr? Loopback and what is no IP address:
 * always. */
bool dial_limit_room(const struct dial_limit *limit, const struct multiaddr *addr, uint64_t now_ms);
/* An attempt begins: it counts, room or not, until dial_limit_reached(). */
void dial_limit_count(struct dial_limit *limit, const struct multiaddr *addr, uint64_t now_ms);

#endif
