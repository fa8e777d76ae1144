/* Kademlia messages (wire/routing section 1). Pure; any thread.
 *
 * A message is not turned into a structure: it is checked as a whole, then its peers are visited,
 * so what a peer sends costs no memory beside its own bytes. */
#ifndef ROUTING_KAD_MSG_H
#define ROUTING_KAD_MSG_H

#include "net/wire/multiaddr.h"

#define KAD_RESPONSE_MAX (4u << 20) /* Go's limit for any message */
#define KAD_REQUEST_MAX (64u << 10) /* what we read as a server; Rust sends and reads 16 KiB */
#define KAD_OWN_MAX (16u << 10)	    /* what we write, framing included */
#define KAD_KEY_MAX 80		    /* of provider records; others ROUTING_KEY_MAX */
#define KAD_PEER_BYTES_MAX 8192	    /* addresses of one peer beyond this are not looked at */
#define KAD_PEER_ADDRS_MAX 32	    /* addresses kept of one peer */
#define KAD_PEERS_MAX 4096	    /* peers visited in one message */

enum kad_type {
	KAD_PUT_VALUE,
	KAD_GET_VALUE,
	KAD_ADD_PROVIDER,
	KAD_GET_PROVIDERS,
	KAD_FIND_NODE,
	KAD_PING
};
enum kad_connection { KAD_NOT_CONNECTED, KAD_CONNECTED, KAD_CAN_CONNECT, KAD_CANNOT_CONNECT };
enum kad_field { KAD_CLOSER = 8, KAD_PROVIDERS = 9 };

struct kad_record {
	struct bytes key, value, received; /* received: RFC 3339 */
};

/* All borrow from the message. */
struct kad_msg {
	uint64_t type; /* enum kad_type, or one that we do not know */
	struct bytes key;
	bool has_record;
	struct kad_record record;
	size_t closer, providers; /* how many entries */
};

struct kad_msg_peer {
	struct peer_id id;
	enum kad_connection connection;
	size_t addr_count;
	struct multiaddr addrs[KAD_PEER_ADDRS_MAX]; /* without /p2p */
};

/* 0 and *msg, or -EBADMSG when any part of it is not protobuf; -EMSGSIZE over KAD_PEERS_MAX peers.
 */
int kad_msg_decode(struct kad_msg *msg, struct bytes in);
/* Visit the peers of one field of a message that kad_msg_decode() accepted, in wire order. Entries
 * whose id is none are left out; so are addresses that do not parse, repeat, or end in another
 * peer's id. each() returns non-zero to stop. */
void kad_msg_peers(struct bytes in, enum kad_field field,
		   int (*each)(void *ctx, const struct kad_msg_peer *peer), void *ctx);

/* Building: begin, any of record and peers, end. */
void kad_msg_begin(struct buf *out, enum kad_type type, struct bytes key);
void kad_msg_record(struct buf *out, const struct kad_record *record);
/* Addresses that would make the entry longer than KAD_PEER_BYTES_MAX are left out. False, and
 * nothing added, when out would pass max bytes. */
bool kad_msg_peer(struct buf *out, enum kad_field field, const struct peer_id *id,
		  const struct multiaddr *addrs, size_t count, enum kad_connection connection,
		  size_t max);
void kad_msg_end(struct buf *out);

#endif
