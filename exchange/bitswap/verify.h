/* Hashing off the loop: received bytes become CIDs on one thread, begun with the first job. Loop
 * thread. */
#ifndef EXCHANGE_BITSWAP_VERIFY_H
#define EXCHANGE_BITSWAP_VERIFY_H

#include "exchange/bitswap/msg.h"
#include "net/base/list.h"
#include "net/base/loop.h"
#include "net/wire/key.h"

#include <stdatomic.h>

#define BITSWAP_VERIFY_INLINE_MAX 8192 /* default: so few that asking another thread costs more */

/* A received message, shared by the blocks that are slices of it. Any thread. */
struct bitswap_frame {
	atomic_uint refs;
	struct buf message;
};

struct bitswap_frame *bitswap_frame_new(struct buf *message); /* takes its memory */
struct bitswap_frame *bitswap_frame_ref(struct bitswap_frame *frame);
void bitswap_frame_unref(struct bitswap_frame *frame);

/* One block on its way to its name. */
struct bitswap_job {
	struct list node;
	struct bitswap_frame *frame; /* a reference */
	struct bytes data;	     /* in frame */
	struct bitswap_prefix prefix;
	struct peer_id from;
	struct cid cid;
	int err; /* 0: cid is set */
};

struct bitswap_verify;

/* Called for each job submitted, in order, on the loop thread; the callee borrows the job. */
typedef void bitswap_verified_fn(void *ctx, struct bitswap_job *job);

/* Blocks up to inline_max bytes are hashed where they are submitted. */
struct bitswap_verify *bitswap_verify_new(struct loop *loop, size_t inline_max,
					  bitswap_verified_fn *done, void *ctx);
/* Ends the thread; jobs not done are dropped. */
void bitswap_verify_free(struct bitswap_verify *verify);
/* Bytes submitted and not yet done. The owner bounds it: it stops reading. */
size_t bitswap_verify_queued(const struct bitswap_verify *verify);
/* Takes job. Small ones are done before this returns. */
void bitswap_verify_submit(struct bitswap_verify *verify, struct bitswap_job *job);

#endif
