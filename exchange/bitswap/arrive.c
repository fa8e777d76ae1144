/* What peers send: messages from their streams, blocks to the verifier and on to the store. When
 * disk or hashing is behind, streams are paused, so that the peers stop by their windows. Loop
 * thread. */
#include "exchange/bitswap/engine.h"

#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>

#define VERIFY_QUEUE_MAX (16u << 20) /* bytes waiting for their hash; then we stop reading */
#define PEER_PARTS_MAX (32u << 20)   /* bytes of messages not yet whole, from one peer */
#define SLICE_MIN 4096 /* smaller blocks are copied, and so are small parts of a message: ... */
#define SLICE_PART 8   /* ... a slice keeps at most this many times its own size alive */

/* A stream that a peer opened: messages until its end; we never write on it. */
struct engine_in {
	struct engine_peer *peer;
	struct stream *stream;
	struct frame_reader reader;
	struct list node;	 /* of peer->ins */
	struct list paused_node; /* of exchange->paused */
	size_t part;		 /* bytes accounted for */
};

/* A block on its way to the store. */
struct engine_held {
	struct list node;
	struct block *block;
};

/* ---- back-pressure: disk and hash -> our reading -> the window of the stream -> the peer ---- */

/* Pauses all reading while too many bytes wait for their hash or for the store, and resumes it at
 * half of that. */
static void pause_or_resume(struct exchange *exchange)
{
	struct bitswap_budget *budget = &exchange->budget;
	size_t queued = bitswap_verify_queued(exchange->verify);
	size_t max = budget->max / 2 < VERIFY_QUEUE_MAX ? budget->max / 2 : VERIFY_QUEUE_MAX;

	uint64_t storing = store_queued(exchange->store);

	if (queued < budget->hashing || storing < budget->storing)
		bitswap_client_room(&exchange->client);
	budget->hashing = queued;
	budget->storing = storing;
	bitswap_budget_note(budget);
	if (queued > max || !list_empty(&exchange->held)) {
		exchange->client.paused = true;
		return;
	}
	if (!exchange->client.paused || queued > max / 2)
		return;
	exchange->client.paused = false;
	struct list streams;

	/* What a resumed stream brings may pause it again. */
	list_init(&streams);
	list_move_all(&streams, &exchange->paused);
	while (!list_empty(&streams)) {
		struct engine_in *in = list_first(&streams, struct engine_in, paused_node);

		list_remove(&in->paused_node);
		bitswap_outbox_progress(in->peer->client, 0);
		stream_resume(in->stream);
	}
}

/* Writer thread. */
static void on_store_room(void *ctx)
{
	struct exchange *exchange = ctx;

	pthread_mutex_lock(&exchange->lock);
	exchange->left.room = true;
	engine_poke(exchange);
	pthread_cond_signal(&exchange->called);
	pthread_mutex_unlock(&exchange->lock);
}

static int arrive_put(struct exchange *exchange, struct block *block)
{
	int err = store_put(exchange->store, block, 0, NULL, NULL);

	if (err == -EAGAIN)
		return err;
	if (err)
		log_error("bitswap", "cannot store a block err=%d", err);
	struct cid cid = block->cid;

	bitswap_server_have(&exchange->server, cid_hash_bytes(&cid), block->data.len);
	return 0;
}

static void ask_for_room(struct exchange *exchange)
{
	if (exchange->room_asked)
		return;
	exchange->room_asked = true;
	store_when_room(exchange->store, on_store_room, exchange);
}

static void store_block(struct exchange *exchange, struct block *block)
{
	if (list_empty(&exchange->held) && arrive_put(exchange, block) == 0)
		return;
	struct engine_held *held = xnew(struct engine_held);

	held->block = block_ref(block);
	exchange->budget.held += block->data.len;
	bitswap_budget_note(&exchange->budget);
	list_add_tail(&exchange->held, &held->node);
	ask_for_room(exchange);
}

static void held_free(struct exchange *exchange, struct engine_held *held)
{
	exchange->budget.held -= held->block->data.len;
	list_remove(&held->node);
	block_unref(held->block);
	free(held);
}

void engine_arrive_room(struct exchange *exchange)
{
	exchange->room_asked = false;
	while (!list_empty(&exchange->held)) {
		struct engine_held *held = list_first(&exchange->held, struct engine_held, node);

		if (arrive_put(exchange, held->block) == -EAGAIN) {
			ask_for_room(exchange);
			return;
		}
		held_free(exchange, held);
	}
	bitswap_client_room(&exchange->client);
	pause_or_resume(exchange);
}

void engine_arrive_release(struct exchange *exchange)
{
	/* The store will call back: it must find us. Its writer needs no help of ours for that. */
	pthread_mutex_lock(&exchange->lock);
	while (exchange->room_asked && !exchange->left.room)
		pthread_cond_wait(&exchange->called, &exchange->lock);
	pthread_mutex_unlock(&exchange->lock);
	while (!list_empty(&exchange->held))
		held_free(exchange, list_first(&exchange->held, struct engine_held, node));
}

/* ---- blocks ---- */

static void release_slice(struct block *block)
{
	bitswap_frame_unref(block->owner);
}

static struct block *block_of_job(struct bitswap_job *job)
{
	if (job->data.len < SLICE_MIN || job->data.len < job->frame->message.len / SLICE_PART)
		return block_copy(&job->cid, job->data);
	return block_slice(&job->cid, job->data, bitswap_frame_ref(job->frame), release_slice);
}

static void not_wanted(struct exchange *exchange, const struct bitswap_job *job)
{
	if (job->err || !store_has(exchange->store, cid_hash_bytes(&job->cid))) {
		exchange->stats.unwanted_blocks++;
		return;
	}
	exchange->stats.duplicate_blocks++;
	exchange->stats.duplicate_bytes += job->data.len;
}

void engine_arrive_verified(void *ctx, struct bitswap_job *job)
{
	struct exchange *exchange = ctx;
	struct engine_peer *from = engine_peer_get(exchange, &job->from);

	exchange->stats.blocks_received++;
	exchange->stats.bytes_received += job->data.len;
	if (from)
		from->ledger->sums.bytes_received += job->data.len;
	if (job->err || !bitswap_client_want(&exchange->client, &job->cid)) {
		not_wanted(exchange, job);
	} else {
		struct block *block = block_of_job(job);

		store_block(exchange, block);
		bitswap_client_block(&exchange->client, from ? from->client : NULL, block);
		block_unref(block);
		exchange->arrived_ms = timers_now(exchange->timers);
		if (from) {
			engine_worth_delivered(from);
			engine_again_useful(from);
		}
	}
	pause_or_resume(exchange);
}

/* ---- messages ---- */

struct intake {
	struct engine_peer *peer;
	struct bitswap_frame *frame;
};

static void on_block(void *ctx, const struct bitswap_prefix *prefix, struct bytes data)
{
	struct intake *intake = ctx;
	struct exchange *exchange = intake->peer->exchange;

	if (!bitswap_outbox_expects(intake->peer->client)) {
		exchange->stats.unwanted_blocks++;
		return;
	}
	struct bitswap_job *job = xnew(struct bitswap_job);

	list_init(&job->node);
	job->frame = bitswap_frame_ref(intake->frame);
	job->data = data;
	job->prefix = *prefix;
	job->from = intake->peer->id;
	bitswap_verify_submit(exchange->verify, job);
}

static void on_presence(void *ctx, const struct cid *cid, bool have)
{
	struct intake *intake = ctx;

	if (have)
		bitswap_client_have(intake->peer->client, cid);
	else
		bitswap_client_dont_have(intake->peer->client, cid);
}

/* One message: wants go to the server, presences to the client, and blocks to the verifier. */
static int on_message(void *ctx, struct buf *message)
{
	static const struct bitswap_visitor blocks = { .on_block = on_block };
	static const struct bitswap_visitor presences = { .on_presence = on_presence };
	struct engine_in *in = ctx;
	struct exchange *exchange = in->peer->exchange;
	struct intake intake = { .peer = in->peer };
	struct bitswap_summary summary;

	if (bitswap_msg_check(buf_bytes(message), &summary))
		return -EBADMSG;
	exchange->stats.messages_received++;
	in->peer->ledger->sums.exchanged++;
	engine_peer_heard(in->peer);
	if (summary.wants || summary.cancels || summary.full)
		bitswap_server_message(in->peer->server, buf_bytes(message), &summary);
	if (summary.wants)
		engine_worth_wanted(in->peer);
	if (summary.presences)
		bitswap_msg_walk(buf_bytes(message), &presences, &intake);
	if (summary.blocks == 0)
		return 0;
	if (exchange->client.wants.count == 0) { /* not even worth a hash */
		exchange->stats.unwanted_blocks += summary.blocks;
		return 0;
	}
	intake.frame = bitswap_frame_new(message);
	bitswap_msg_walk(buf_bytes(&intake.frame->message), &blocks, &intake);
	bitswap_frame_unref(intake.frame);
	return 0;
}

/* ---- streams ---- */

static void account(struct engine_in *in, size_t part)
{
	in->peer->in_bytes += part - in->part;
	in->peer->exchange->budget.arriving += part - in->part;
	in->part = part;
}

static void in_free(struct engine_in *in)
{
	account(in, 0);
	list_remove(&in->node);
	list_remove(&in->paused_node);
	frame_reader_release(&in->reader);
	free(in);
}

/* Bounds the bytes of unfinished messages: the peer with most of them loses its streams. A peer
 * with less than one message on each connection is chosen last. */
static int bound_parts(struct engine_in *in)
{
	struct exchange *exchange = in->peer->exchange;
	const struct bitswap_budget *budget = &exchange->budget;
	uint64_t max = budget->max / BITSWAP_BUDGET_ARRIVING;

	if (max < 2 * BITSWAP_MESSAGE_MAX)
		max = 2 * BITSWAP_MESSAGE_MAX;
	while (budget->arriving > max) {
		struct engine_peer *most = in->peer;
		struct bytes key;
		void *peer;
		size_t at = 0;

		while (map_next(&exchange->peers, &at, &key, &peer))
			if (((struct engine_peer *)peer)->in_bytes > most->in_bytes)
				most = peer;
		if (most == in->peer)
			return -EAGAIN;
		engine_arrive_drop(most);
	}
	return in->peer->in_bytes > PEER_PARTS_MAX ? -EAGAIN : 0;
}

static void on_data(void *ctx, struct stream *stream, struct bytes data)
{
	struct engine_in *in = ctx;
	struct exchange *exchange = in->peer->exchange;
	int err;

	bitswap_outbox_progress(in->peer->client, data.len);
	err = frame_reader_feed(&in->reader, data, BITSWAP_MESSAGE_MAX, on_message, in);
	account(in, in->reader.part.len);
	if (!err)
		err = bound_parts(in);
	if (err) {
		log_debug("bitswap", "stream reset err=%d", err);
		in_free(in);
		stream_reset(stream, 0);
		return;
	}
	pause_or_resume(exchange);
	if (exchange->client.paused && list_empty(&in->paused_node)) {
		list_add_tail(&exchange->paused, &in->paused_node);
		stream_pause(stream);
	}
}

static void on_end(void *ctx, struct stream *stream)
{
	in_free(ctx);
	stream_close(stream);
}

static void on_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	in_free(ctx);
}

static const struct stream_events in_events = {
	.on_data = on_data,
	.on_end = on_end,
	.on_close = on_close,
};

void engine_arrive_handle(void *ctx, struct stream *stream)
{
	struct engine_in *in = xnew(struct engine_in);

	in->peer = engine_peer_add(ctx, stream_peer(stream));
	in->stream = stream;
	list_init(&in->paused_node);
	list_add_tail(&in->peer->ins, &in->node);
	stream_accept(stream, &in_events, in);
}

void engine_arrive_drop(struct engine_peer *peer)
{
	while (!list_empty(&peer->ins)) {
		struct engine_in *in = list_first(&peer->ins, struct engine_in, node);
		struct stream *stream = in->stream;

		in_free(in);
		stream_reset(stream, 0);
	}
}
