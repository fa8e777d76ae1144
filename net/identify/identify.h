/* identify and identify push (wire/transport section 6): who we are, what we speak, where we
 * listen; and what our peers say of themselves. Loop thread only; part of the swarm. */
#ifndef NET_IDENTIFY_H
#define NET_IDENTIFY_H

#define IDENTIFY_TIMEOUT_MS 5000
#define IDENTIFY_STREAMS_IN_MAX 16 /* per peer */
#define IDENTIFY_PUSHES_MAX 32	   /* at once */

struct swarm;

/* Registers both protocols, and itself as what the swarm tells of connections (swarm_inner); it ends with the
 * swarm. */
void identify_serve(struct swarm *swarm);

#endif
