/* The identify message (wire/transport section 6) and signed peer records (wire/formats section 8).
 * Codec only: the streams it travels on are the swarm's. Pure; any thread.
 *
 * A peer sends up to IDENTIFY_MESSAGES_MAX messages, framed with their length, which add up to one.
 * Protocols and addresses over a limit are left out; they do not fail the rest. */
#ifndef NET_IDENTIFY_MSG_H
#define NET_IDENTIFY_MSG_H

#include "net/base/bytes.h"
#include "net/wire/key.h"
#include "net/wire/multiaddr.h"

#define IDENTIFY_MESSAGE_MAX 8192 /* bytes of one message, received */
#define IDENTIFY_MESSAGES_MAX 10
#define IDENTIFY_OWN_MAX 4096 /* what we send in all: rust-libp2p takes no more */
#define IDENTIFY_PROTOCOLS_MAX 100
#define IDENTIFY_PROTOCOL_LEN_MAX 128
#define IDENTIFY_ADDRS_MAX 64
#define IDENTIFY_AGENT_MAX 256

/* What we say of ourselves; all borrowed. */
struct identify_self {
	const struct identity *identity;
	const struct multiaddr *addrs; /* listen addresses without /p2p, best first */
	size_t addr_count;
	const char *const *protocols;
	size_t protocol_count;
	const struct multiaddr *observed; /* the other side's address as we see it */
	const char *protocol_version, *agent;
	uint64_t seq; /* of the signed record: must grow; nanoseconds of wall clock by custom */
};

/* Append our message(s), framed: one, or the signed record in a second when together they exceed
 * 2048 bytes. Addresses from the end of the list are left out until all fits IDENTIFY_OWN_MAX;
 * -EMSGSIZE when the rest alone does not. */
int identify_msg_encode(const struct identify_self *self, struct buf *out);

/* What a peer says of itself. Zero-initialised is empty and valid; release with
 * identify_msg_release(). Text is remote: escape it before it is shown. */
struct identify_msg {
	char *protocols[IDENTIFY_PROTOCOLS_MAX]; /* no duplicates */
	size_t protocol_count;
	struct multiaddr *addrs; /* no duplicates, trailing /p2p cut */
	size_t addr_count;
	struct multiaddr observed; /* len 0: not told */
	char agent[IDENTIFY_AGENT_MAX + 1];
	char protocol_version[IDENTIFY_AGENT_MAX + 1];
	bool has_key; /* after identify_msg_finish(): it is the peer's */
	struct public_key key;
	bool certified; /* addrs are those of a valid signed record, with this seq */
	uint64_t record_seq;
	struct buf record; /* the envelope as it came, to be passed on */
	unsigned messages;
};

/* Merge one message (without its length): lists grow, the last scalar wins. -EBADMSG; -EMSGSIZE too
 * long; -EAGAIN one message too many. On error the stream is to be reset and msg released. */
int identify_msg_merge(struct identify_msg *msg, struct bytes message);
/* Called after the last message. Drops a key that is not peer's. A valid signed record of peer
 * replaces the addresses; an invalid one is ignored. Keeps only addresses that are of use to us,
 * who see the peer at `from`: all if that is loopback, none of loopback if it is private, else
 * public ones only (and those of SCOPE_NONE, such as relayed ones). */
void identify_msg_finish(struct identify_msg *msg, const struct peer_id *peer,
			 const struct multiaddr *from);
bool identify_msg_speaks(const struct identify_msg *msg, const char *protocol);
void identify_msg_release(struct identify_msg *msg);

/* Append a signed peer record (an envelope) of identity. */
void identify_record_seal(struct buf *out, const struct identity *identity, uint64_t seq,
			  const struct multiaddr *addrs, size_t count);
/* Open one: the signature is verified, and the signer, the record's peer id and peer must be the
 * same. Fills at most max addresses; those that do not parse are skipped. -EBADMSG, -EKEYREJECTED.
 */
int identify_record_open(struct bytes envelope, const struct peer_id *peer, uint64_t *seq,
			 struct multiaddr *addrs, size_t max, size_t *count);

#endif
