/* Messages of AutoNAT v2 and v1 (wire/nat). Codec only. Pure; any thread.
 *
 * Every message travels as uv(len) | message. A decoder takes one message without its length, and
 * what it fills in borrows from it; an encoder appends one with its length. */
#ifndef NET_AUTONAT_MSG_H
#define NET_AUTONAT_MSG_H

#include "net/wire/key.h"
#include "net/wire/multiaddr.h"

#define AUTONAT_MESSAGE_MAX 8192
#define AUTONAT_BACK_MAX 1024  /* of a dial-back */
#define AUTONAT_ADDRS_MAX 50   /* addresses of a request that are read */
#define AUTONAT_DATA_MIN 30000 /* bytes that the asker may have to send for a dial */
#define AUTONAT_DATA_MAX 100000
#define AUTONAT_PIECE_MAX 4096 /* bytes of data in one message */
#define AUTONAT_V1_MESSAGE_MAX 4096
#define AUTONAT_V1_ADDRS_MAX 16

/* ---- v2 ---- */

enum autonat_kind {
	AUTONAT_NONE,
	AUTONAT_REQUEST,
	AUTONAT_RESPONSE,
	AUTONAT_WANT_DATA,
	AUTONAT_DATA
};

enum autonat_status {
	AUTONAT_E_INTERNAL = 0,
	AUTONAT_E_REJECTED = 100,
	AUTONAT_E_REFUSED = 101,
	AUTONAT_OK = 200
};

/* Of the dial itself. */
enum autonat_dial {
	AUTONAT_DIAL_UNUSED = 0,
	AUTONAT_DIAL_FAILED = 100,
	AUTONAT_DIAL_BACK_FAILED = 101,
	AUTONAT_DIAL_OK = 200
};

/* Fields of other kinds than `kind` are zero. */
struct autonat_msg {
	enum autonat_kind kind;
	struct bytes addrs[AUTONAT_ADDRS_MAX]; /* REQUEST; those behind the limit are left out */
	size_t addr_count;
	uint64_t nonce;
	uint32_t index;	      /* RESPONSE, WANT_DATA: which of addrs */
	uint32_t status;      /* RESPONSE: enum autonat_status, or unknown */
	uint32_t dial_status; /* enum autonat_dial, or unknown */
	uint64_t want;	      /* WANT_DATA: bytes */
	size_t data_len;      /* DATA */
};

/* 0; -EBADMSG; -EMSGSIZE when longer than AUTONAT_MESSAGE_MAX. */
int autonat_msg_decode(struct autonat_msg *msg, struct bytes message);
/* At most AUTONAT_ADDRS_MAX addresses. */
void autonat_msg_put_request(struct buf *out, const struct multiaddr *addrs, size_t count,
			     uint64_t nonce);
void autonat_msg_put_response(struct buf *out, enum autonat_status status, uint32_t index,
			      enum autonat_dial dial_status);
void autonat_msg_put_want_data(struct buf *out, uint32_t index, uint64_t want);
/* As many messages as len bytes of data need (at most AUTONAT_DATA_MAX). */
void autonat_msg_put_data(struct buf *out, size_t len);

/* The message of a dial-back, and its empty answer. -EBADMSG, -EMSGSIZE. */
int autonat_msg_decode_back(uint64_t *nonce, struct bytes message);
void autonat_msg_put_back(struct buf *out, uint64_t nonce);
void autonat_msg_put_back_answer(struct buf *out);

/* ---- v1 ---- */

enum autonat_v1_status {
	AUTONAT_V1_OK = 0,
	AUTONAT_V1_E_DIAL = 100,
	AUTONAT_V1_E_REFUSED = 101,
	AUTONAT_V1_E_BAD_REQUEST = 200,
	AUTONAT_V1_E_INTERNAL = 300
};

struct autonat_v1_msg {
	bool dial;	 /* else a response */
	struct bytes id; /* of a dial */
	struct bytes addrs[AUTONAT_V1_ADDRS_MAX];
	size_t addr_count;
	uint32_t status; /* of a response */
	struct bytes addr;
};

/* 0; -EBADMSG also when the type's part is missing; -EMSGSIZE. */
int autonat_msg_decode_v1(struct autonat_v1_msg *msg, struct bytes message);
/* addrs without /p2p, at most AUTONAT_V1_ADDRS_MAX. */
void autonat_msg_put_v1_dial(struct buf *out, const struct peer_id *self,
			     const struct multiaddr *addrs, size_t count);
/* addr: the one that was dialled; NULL: none. */
void autonat_msg_put_v1_response(struct buf *out, enum autonat_v1_status status,
				 const struct multiaddr *addr);

#endif
