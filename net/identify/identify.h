/* identify and identify push (wire/transport section 6): who we are, what we speak, where we
 * listen; and what our peers say of themselves. Loop thread only; part of the swarm. */
#ifndef NET_IDENTIFY_H
#define NET_IDENTIFY_H

#define IDENTIFY_TIMEOUT_MS 5000
#define IDENTIFY_STREAMS_IN_MAX 16 /* per peer */
#define IDENTIFY_PUSHES_MAX 32	   /* at once */

struct identify;
struct swarm;
struct swarm_conn;

/* Registers both protocols. */
struct identify *identify_new(struct swarm *swarm);
/* Every connection has ended. NULL is ignored. */
void identify_free(struct identify *identify);
/* Ask the peer of a new connection. */
void identify_connected(struct identify *identify, struct swarm_conn *conn);
/* The peer has answered a ping of the connection's. */
void identify_ponged(struct identify *identify, struct swarm_conn *conn);
/* Our addresses or protocols have changed: push to every peer, soon, once for many changes. NULL is
 * ignored (the swarm is being made or closed). */
void identify_changed(struct identify *identify);

#endif
