/* A connection of a peer that means harm: a real handshake over a real socket, and then whatever a
 * verb wants to write, at any layer. Blocking, one thread; nothing here refuses to send nonsense.
 */
#ifndef TESTS_E2E_EVIL_LINK_H
#define TESTS_E2E_EVIL_LINK_H

#include "net/base/list.h"
#include "net/security/noise.h"
#include "net/wire/multiaddr.h"

#define ID_PROTOCOL "/ipfs/id/1.0.0"
#define PUSH_PROTOCOL "/ipfs/id/push/1.0.0"
#define PING_PROTOCOL "/ipfs/ping/1.0.0"
#define BITSWAP_PROTOCOL "/ipfs/bitswap/1.2.0"
#define KAD_PROTOCOL "/ipfs/lan/kad/1.0.0"

enum { MUX_DATA, MUX_WINDOW, MUX_PING, MUX_GO_AWAY };
enum { MUX_SYN = 1, MUX_ACK = 2, MUX_FIN = 4, MUX_RST = 8 };

struct target {
	struct sockaddr_storage addr;
	struct peer_id peer;
};

/* A stream that is looked after; many verbs write frames of streams that are not. */
struct tube {
	struct list node;
	struct link *link;
	uint32_t id;
	bool ours, settled, reset, ended;
	bool end_due;
	int64_t window; /* that we may still send */
	struct buf in;	/* received and not taken by anybody */
	struct buf out; /* waits for the window */
	size_t out_at;
	char protocol[64];
};

/* How a link behaves towards streams that the other side opens. */
struct manners {
	const char *const *protocols; /* it says it speaks, NULL at the end; others get "na" */
	/* Instead of an honest identify message. */
	void (*identify)(void *ctx, struct tube *tube);
	/* tube->in has grown. NULL: thrown away. */
	void (*data)(void *ctx, struct tube *tube);
	void *ctx;
};

struct link {
	struct list node; /* the crew's */
	int fd;
	bool dead;
	bool deaf;   /* never reads its socket */
	bool stingy; /* grants no windows */
	struct identity *identity;
	struct peer_id self;
	struct random random;
	struct noise *noise;
	struct buf raw, plain, tx;
	size_t tx_at;
	uint32_t next_id;
	struct list tubes;
	const struct manners *manners;
	unsigned long resets;	/* streams that the other side reset or ended */
	unsigned long refusals; /* negotiation it answered with "na" */
};

/* A socket, and no word said. -1: refused. */
int link_tcp(const struct target *target);
/* Up to a yamux session, as an identity of its own. NULL: refused. manners NULL: refuses streams.
 */
struct link *link_dial(const struct target *target, const struct manners *manners);
void link_free(struct link *link);

/* Reads and writes for at most wait_ms. False when the connection is gone. */
bool link_pump(struct link *link, int wait_ms);
/* Until all is written, or ms have passed. */
bool link_flush(struct link *link, int ms);
/* True when the other side ends the connection within ms. */
bool link_dies(struct link *link, int ms);

/* Past all encryption. */
void link_raw(struct link *link, struct bytes bytes);
/* Any bytes of the yamux layer. */
void link_plain(struct link *link, struct bytes plain);
/* A yamux header, to out. */
void mux_head(struct buf *out, unsigned type, unsigned flags, uint32_t id, uint32_t length);
void link_frame(struct link *link, unsigned type, unsigned flags, uint32_t id, struct bytes body);
/* One multistream line, to out. */
void line_add(struct buf *out, const char *text);
/* The negotiation that opens a stream, to out. */
void lines_add(struct buf *out, const char *protocol);

struct tube *tube_open(struct link *link, const char *protocol);
/* Queue bytes, and the end behind them; link_pump() sends as the windows allow. Callbacks use
 * these. */
void tube_write(struct tube *tube, struct bytes data);
void tube_end(struct tube *tube);
/* Write, and pump until it is sent, for at most a minute. False: reset, or the link is gone. */
bool tube_send(struct tube *tube, struct bytes data);
/* True when the stream or its connection is ended by the other side within ms. */
bool tube_dies(struct tube *tube, int ms);

#endif
