/* identify and identify push (wire/transport section 6): we tell peers our key, protocols and
 * addresses, and learn theirs. Loop thread only; part of the swarm. */
#ifndef NET_IDENTIFY_H
#define NET_IDENTIFY_H

#define IDENTIFY_TIMEOUT_MS 5000
#define IDENTIFY_STREAMS_IN_MAX 16 /* per peer */
#define IDENTIFY_PUSHES_MAX 32	   /* at once */

struct swarm;

/* Registers both protocols, and itself for the swarm's events (swarm_inner). It ends with the
 * swarm. */
void identify_serve(struct swarm *swarm);

#endif
