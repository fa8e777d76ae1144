/* What peers want of us. Wants that can be served are in heaps by priority; wants for blocks that
 * are not here are in a table by multihash, and are served when the block comes. Loop thread; no
 * sockets here. */
#include "exchange/bitswap/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { BEST, LEAST };

struct bitswap_server_want {
	struct bitswap_server_peer *peer;
	struct cid cid;
	int32_t priority;
	bool have, send_dont_have;
	size_t size;
	size_t slots[2]; /* 1 + index in the heaps; 0: lacking */
	uint64_t order;
	struct list lack_node; /* of struct lack */
	struct list age_node;  /* of peer->lacks */
};

/* The wants of all peers for one block that is not stored. */
struct lack {
	struct list wants;
	struct list node; /* of server->known or due */
};

void bitswap_server_init(struct bitswap_server *server, unsigned wants_max,
			 const struct bitswap_server_ops *ops, void *ctx)
{
	*server = (struct bitswap_server){ .ops = ops, .ctx = ctx, .wants_max = wants_max };
	list_init(&server->known);
	list_init(&server->due);
	list_init(&server->turns);
}

void bitswap_server_release(struct bitswap_server *server)
{
	assert(server->lacking.count == 0 && list_empty(&server->turns));
	map_release(&server->lacking);
}

static bool may_have(const struct bitswap_server_peer *peer, const struct cid *cid)
{
	const struct bitswap_server *server = peer->server;

	return !server->ops->may_have || server->ops->may_have(server->ctx, peer->owner, cid);
}

/* ---- what we have of it: two heaps by priority, then by age ---- */

static bool better(const struct bitswap_server_want *a, const struct bitswap_server_want *b)
{
	return a->priority != b->priority ? a->priority > b->priority : a->order < b->order;
}

static bool server_before(int which, const struct bitswap_server_want *a,
			  const struct bitswap_server_want *b)
{
	return which == BEST ? better(a, b) : better(b, a);
}

static void heap_set(struct bitswap_server_heap *heap, int which, size_t at,
		     struct bitswap_server_want *want)
{
	heap->at[at] = want;
	want->slots[which] = at + 1;
}

/* Moves an entry to where the heap's order wants it. */
static void heap_settle(struct bitswap_server_heap *heap, int which, size_t at)
{
	struct bitswap_server_want *want = heap->at[at];

	while (at > 0 && server_before(which, want, heap->at[(at - 1) / 2])) {
		heap_set(heap, which, at, heap->at[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= heap->len)
			break;
		if (child + 1 < heap->len &&
		    server_before(which, heap->at[child + 1], heap->at[child]))
			child++;
		if (!server_before(which, heap->at[child], want))
			break;
		heap_set(heap, which, at, heap->at[child]);
		at = child;
	}
	heap_set(heap, which, at, want);
}

static void heap_add(struct bitswap_server_heap *heap, int which, struct bitswap_server_want *want)
{
	if (heap->len == heap->cap) {
		heap->cap = heap->cap ? 2 * heap->cap : 16;
		heap->at = xrealloc(heap->at, heap->cap * sizeof(*heap->at));
	}
	heap_set(heap, which, heap->len++, want);
	heap_settle(heap, which, heap->len - 1);
}

static void heap_remove(struct bitswap_server_heap *heap, int which,
			struct bitswap_server_want *want)
{
	size_t at = want->slots[which] - 1;
	struct bitswap_server_want *last = heap->at[--heap->len];

	want->slots[which] = 0;
	if (last == want)
		return;
	heap_set(heap, which, at, last);
	heap_settle(heap, which, at);
}

static bool is_queued(const struct bitswap_server_want *want)
{
	return want->slots[BEST] != 0;
}

static void queue_add(struct bitswap_server_want *want)
{
	want->peer->pending_bytes += want->size;
	heap_add(&want->peer->best, BEST, want);
	heap_add(&want->peer->least, LEAST, want);
}

static void queue_remove(struct bitswap_server_want *want)
{
	want->peer->pending_bytes -= want->size;
	heap_remove(&want->peer->best, BEST, want);
	heap_remove(&want->peer->least, LEAST, want);
}

/* ---- wants ---- */

static void lack_add(struct bitswap_server_want *want)
{
	struct bitswap_server *server = want->peer->server;
	struct bytes name = cid_hash_bytes(&want->cid);
	struct lack *lack = map_get(&server->lacking, name);

	if (!lack) {
		lack = xnew(struct lack);
		list_init(&lack->wants);
		list_add_tail(&server->known, &lack->node);
		map_set(&server->lacking, name, lack);
	}
	list_add_tail(&lack->wants, &want->lack_node);
	list_add_tail(&want->peer->lacks, &want->age_node);
}

static void lack_remove(struct bitswap_server_want *want)
{
	struct bitswap_server *server = want->peer->server;
	struct bytes name = cid_hash_bytes(&want->cid);
	struct lack *lack = map_get(&server->lacking, name);

	list_remove(&want->age_node);
	list_remove(&want->lack_node);
	if (!lack || !list_empty(&lack->wants))
		return;
	map_remove(&server->lacking, name);
	list_remove(&lack->node);
	free(lack);
}

static void want_free(struct bitswap_server_want *want)
{
	if (is_queued(want))
		queue_remove(want);
	else
		lack_remove(want);
	map_remove(&want->peer->wants, cid_bytes(&want->cid));
	free(want);
}

static void mail(struct bitswap_server_peer *peer)
{
	if (!list_empty(&peer->turn))
		return;
	list_add_tail(&peer->server->turns, &peer->turn);
	peer->server->ops->wake(peer->server->ctx);
}

static void say(struct bitswap_server_peer *peer, const struct cid *cid, bool have)
{
	if (peer->presence_count >= BITSWAP_PRESENCES_MAX)
		return;
	peer->presence_count++;
	bitswap_msg_add_presence(&peer->presences, cid, have);
	mail(peer);
}

/* The block is here: queue it, or say so when that is all that is asked. Frees the want then. */
static void want_serve(struct bitswap_server_want *want, size_t size)
{
	struct bitswap_server_peer *peer = want->peer;

	want->size = size;
	queue_add(want);
	if (want->have && size > BITSWAP_HAVE_AS_BLOCK_MAX) {
		say(peer, &want->cid, true);
		want_free(want);
		return;
	}
	mail(peer);
}

/* The newest counts: what we lack goes first, oldest first, then what is wanted less. */
static bool make_room(struct bitswap_server_peer *peer, int32_t priority)
{
	if (peer->wants.count < peer->server->wants_max)
		return true;
	if (!list_empty(&peer->lacks)) {
		want_free(list_first(&peer->lacks, struct bitswap_server_want, age_node));
		return true;
	}
	struct bitswap_server_want *least = peer->least.len ? peer->least.at[0] : NULL;

	if (!least || least->priority >= priority)
		return false;
	want_free(least);
	return true;
}

/* A new want: served if the block is here, kept as lacking if not. The limit may refuse it. */
static void want_add(struct bitswap_server_peer *peer, const struct bitswap_entry *entry)
{
	struct bitswap_server *server = peer->server;
	size_t size;
	int err = server->ops->size(server->ctx, &entry->cid, &size);

	if (err && entry->send_dont_have)
		say(peer, &entry->cid, false);
	if (!make_room(peer, entry->priority))
		return;
	struct bitswap_server_want *want = xnew(struct bitswap_server_want);

	want->peer = peer;
	want->cid = entry->cid;
	want->priority = entry->priority;
	want->have = entry->have;
	want->send_dont_have = entry->send_dont_have;
	want->order = server->order++;
	list_init(&want->lack_node);
	list_init(&want->age_node);
	map_set(&peer->wants, cid_bytes(&want->cid), want);
	if (err)
		lack_add(want);
	else
		want_serve(want, size);
}

/* Asked again: a want-block outweighs a want-have, and what is queued keeps its place. */
static void want_update(struct bitswap_server_want *want, const struct bitswap_entry *entry)
{
	want->have = want->have && entry->have;
	want->send_dont_have = want->send_dont_have || entry->send_dont_have;
	if (is_queued(want)) {
		want->priority = entry->priority;
		heap_settle(&want->peer->best, BEST, want->slots[BEST] - 1);
		heap_settle(&want->peer->least, LEAST, want->slots[LEAST] - 1);
		return;
	}
	struct bitswap_entry again = *entry;
	struct bitswap_server_peer *peer = want->peer;

	again.have = want->have;
	want_free(want);
	want_add(peer, &again);
}

/* ---- messages ---- */

struct intake {
	struct bitswap_server_peer *peer;
	bool cancels; /* this walk takes cancels, else wants */
	unsigned wants;
};

static void on_entry(void *ctx, const struct bitswap_entry *entry)
{
	struct intake *intake = ctx;
	struct bitswap_server_peer *peer = intake->peer;
	struct bitswap_server_want *want;

	if (entry->cancel != intake->cancels)
		return;
	want = map_get(&peer->wants, cid_bytes(&entry->cid));
	if (entry->cancel) {
		if (want)
			want_free(want);
		return;
	}
	if (cid_is_identity(&entry->cid) || intake->wants++ >= BITSWAP_SERVED_WANTS_MAX)
		return;
	/* A refused peer sees what it would see if the block were not here. */
	if (cid_allowed(&entry->cid) || !may_have(peer, &entry->cid)) {
		if (want)
			want_free(want);
		if (entry->send_dont_have)
			say(peer, &entry->cid, false);
		return;
	}
	if (want)
		want_update(want, entry);
	else
		want_add(peer, entry);
}

static void clear(struct bitswap_server_peer *peer)
{
	while (peer->best.len)
		want_free(peer->best.at[peer->best.len - 1]);
	while (!list_empty(&peer->lacks))
		want_free(list_first(&peer->lacks, struct bitswap_server_want, age_node));
}

void bitswap_server_message(struct bitswap_server_peer *peer, struct bytes message,
			    const struct bitswap_summary *summary)
{
	static const struct bitswap_visitor visitor = { .on_entry = on_entry };
	struct intake intake = { .peer = peer };

	if (summary->full)
		clear(peer);
	/* Cancels first, for room, and last: a cancel sticks, wherever in the message it stands. */
	intake.cancels = true;
	if (summary->cancels)
		bitswap_msg_walk(message, &visitor, &intake);
	intake.cancels = false;
	if (summary->wants)
		bitswap_msg_walk(message, &visitor, &intake);
	intake.cancels = true;
	if (summary->cancels && summary->wants)
		bitswap_msg_walk(message, &visitor, &intake);
}

void bitswap_server_have(struct bitswap_server *server, struct bytes multihash, size_t size)
{
	struct lack *lack;

	while ((lack = map_get(&server->lacking, multihash)) != NULL) {
		struct bitswap_server_want *want =
			list_first(&lack->wants, struct bitswap_server_want, lack_node);

		if (!may_have(want->peer, &want->cid)) {
			want_free(want);
			continue;
		}
		lack_remove(want);
		want_serve(want, size);
	}
}

void bitswap_server_recheck(struct bitswap_server *server)
{
	/* They go behind those still due, so that frequent calls do not make it look at the same
	 * ones only. */
	list_move_all(&server->due, &server->known);
}

bool bitswap_server_recheck_some(struct bitswap_server *server, unsigned max)
{
	for (; max > 0 && !list_empty(&server->due); max--) {
		struct lack *lack = list_first(&server->due, struct lack, node);
		struct cid cid =
			list_first(&lack->wants, struct bitswap_server_want, lack_node)->cid;
		size_t size;

		list_remove(&lack->node);
		list_add_tail(&server->known, &lack->node);
		if (server->ops->size(server->ctx, &cid, &size) == 0)
			bitswap_server_have(server, cid_hash_bytes(&cid), size);
	}
	return !list_empty(&server->due);
}

/* ---- peers and their turns ---- */

struct bitswap_server_peer *bitswap_server_add(struct bitswap_server *server, void *owner)
{
	struct bitswap_server_peer *peer = xnew(struct bitswap_server_peer);

	peer->server = server;
	peer->owner = owner;
	list_init(&peer->lacks);
	list_init(&peer->turn);
	return peer;
}

void bitswap_server_remove(struct bitswap_server_peer *peer)
{
	if (!peer)
		return;
	clear(peer);
	list_remove(&peer->turn);
	map_release(&peer->wants);
	buf_release(&peer->presences);
	free(peer->best.at);
	free(peer->least.at);
	free(peer);
}

struct bitswap_server_peer *bitswap_server_next(struct bitswap_server *server)
{
	if (list_empty(&server->turns))
		return NULL;
	struct bitswap_server_peer *peer =
		list_first(&server->turns, struct bitswap_server_peer, turn);

	list_remove(&peer->turn);
	return peer;
}

bool bitswap_server_has_mail(const struct bitswap_server_peer *peer)
{
	return peer->best.len > 0 || peer->presences.len > 0;
}

void bitswap_server_again(struct bitswap_server_peer *peer)
{
	if (bitswap_server_has_mail(peer))
		mail(peer);
}

ssize_t bitswap_server_peek(struct bitswap_server_peer *peer)
{
	/* What was allowed when it was asked for may be so no more. */
	while (peer->best.len && !may_have(peer, &peer->best.at[0]->cid)) {
		struct bitswap_server_want *want = peer->best.at[0];

		if (want->send_dont_have)
			say(peer, &want->cid, false);
		want_free(want);
	}
	return peer->best.len ? (ssize_t)peer->best.at[0]->size : -ENOENT;
}

bool bitswap_server_pop(struct bitswap_server_peer *peer, struct bitswap_task *task)
{
	if (peer->best.len == 0)
		return false;
	struct bitswap_server_want *want = peer->best.at[0];

	*task = (struct bitswap_task){ .cid = want->cid,
				       .priority = want->priority,
				       .have = want->have,
				       .send_dont_have = want->send_dont_have,
				       .size = want->size };
	want_free(want);
	return true;
}

void bitswap_server_missed(struct bitswap_server_peer *peer, const struct bitswap_task *task)
{
	if (task->send_dont_have)
		say(peer, &task->cid, false);
	if (map_get(&peer->wants, cid_bytes(&task->cid)) || !make_room(peer, task->priority))
		return;
	struct bitswap_server_want *want = xnew(struct bitswap_server_want);

	want->peer = peer;
	want->cid = task->cid;
	want->priority = task->priority;
	want->have = task->have;
	want->send_dont_have = task->send_dont_have;
	want->order = peer->server->order++;
	map_set(&peer->wants, cid_bytes(&want->cid), want);
	lack_add(want);
}

int bitswap_server_each(const struct bitswap_server_peer *peer,
			int (*each)(void *ctx, const struct cid *cid), void *ctx)
{
	struct bytes key;
	void *value;
	size_t at = 0;
	int stop = 0;

	while (!stop && map_next(&peer->wants, &at, &key, &value))
		stop = each(ctx, &((struct bitswap_server_want *)value)->cid);
	return stop;
}
