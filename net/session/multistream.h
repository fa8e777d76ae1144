/* multistream-select 1.0 (wire/transport section 1). Sans-io, one negotiation. Pure. */
#ifndef NET_MULTISTREAM_H
#define NET_MULTISTREAM_H

#include "net/base/bytes.h"

#define MULTISTREAM_LINE_MAX 1024
#define MULTISTREAM_PROPOSALS_MAX 16 /* that a listener answers */

struct multistream;

/* Dialler: proposes protocols[] in order (borrowed for its life). lazy: with a single protocol, the
 * caller may send its payload right behind multistream_start()'s bytes and treat the answer as a
 * formality. */
struct multistream *multistream_dialer(const char *const *protocols, size_t count);
/* Listener: select(ctx, name) says whether we speak a proposed protocol; it returns the name to
 * keep (static or living as long as the negotiation) or NULL. */
struct multistream *multistream_listener(const char *(*select)(void *ctx, struct bytes name),
					 void *ctx);
void multistream_free(struct multistream *ms);

/* Appends the first bytes to send; the listener sends its header, too. */
void multistream_start(struct multistream *ms, struct buf *out);
/* Feed. *used: bytes consumed (what follows belongs to the protocol); answers to out. 1 when
 * settled, 0 to go on, -EBADMSG, -EPROTO, -EPROTONOSUPPORT (dialler: none left; listener: too many
 * proposals). */
int multistream_recv(struct multistream *ms, struct bytes in, size_t *used, struct buf *out);
/* The protocol that was chosen. */
const char *multistream_protocol(const struct multistream *ms);

#endif
