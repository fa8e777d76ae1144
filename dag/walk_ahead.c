/* Asks for blocks that a walk will come to. It keeps the links of arrived blocks in the order of
 * the walk, and asks for the next of them while the window has room. The walking thread. */
#include "dag/walk_ahead.h"

#include "dag/dag.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>

#define OPEN_WAIT_MS 100 /* for one that should be here */
#define MISSES_MAX 3	 /* then the walk has to come to it */
#define OPENS_MAX 256	 /* at a time */
#define SPARE_PART 8	 /* of the window is free before it is filled again */
#define SMOOTH 16

/* Held until the walk comes there, or a frame's mark. In order while it has links not asked for;
 * flying until it arrived. */
struct ahead_entry {
	struct list order, flying;
	struct cid cid;
	uint64_t number; /* as asked for; 0: was here */
	size_t asked;	 /* links of it */
	unsigned misses;
	bool done;     /* all its links are asked for */
	bool is_frame; /* of the walk */
	size_t frame;
};

static struct ahead_entry *entry_new(const struct cid *cid)
{
	struct ahead_entry *entry = xnew(struct ahead_entry);

	entry->cid = *cid;
	list_init(&entry->order);
	list_init(&entry->flying);
	return entry;
}

static bool flies(const struct ahead_entry *entry)
{
	return !list_empty(&entry->flying);
}

static void land(struct walk_ahead *ahead, struct ahead_entry *entry)
{
	ahead->flying_count -= flies(entry);
	list_remove(&entry->flying);
}

static void entry_free(struct walk_ahead *ahead, struct ahead_entry *entry)
{
	if (!entry)
		return;
	land(ahead, entry);
	list_remove(&entry->order);
	free(entry);
}

/* Forgets all but the marks of frames. */
static void ahead_forget(struct walk_ahead *ahead)
{
	struct bytes key;
	void *entry;
	size_t at = 0;

	while (map_next(&ahead->held, &at, &key, &entry))
		entry_free(ahead, entry);
	map_release(&ahead->held);
}

void walk_ahead_init(struct walk_ahead *ahead)
{
	list_init(&ahead->order);
	list_init(&ahead->flying);
	ahead->place = &ahead->order;
}

void walk_ahead_release(struct walk_ahead *ahead)
{
	entry_free(ahead, ahead->current);
	ahead_forget(ahead);
}

/* ---- asking ---- */

static void ahead_flush(struct walk_ahead *ahead)
{
	if (ahead->batched)
		exchange_prefetch(ahead->blocks, ahead->batch, ahead->batched);
	ahead->batched = 0;
}

static void fly(struct walk_ahead *ahead, struct ahead_entry *entry)
{
	entry->number = ++ahead->asked;
	list_add_tail(&ahead->flying, &entry->flying);
	ahead->flying_count++;
}

static void ahead_ask(struct walk_ahead *ahead, struct ahead_entry *entry)
{
	fly(ahead, entry);
	ahead->batch[ahead->batched++] = entry->cid;
	if (ahead->batched == ARRAY_LEN(ahead->batch))
		ahead_flush(ahead);
}

static bool may_link(const struct cid *cid)
{
	return cid->codec == CODEC_DAG_PB || cid->codec == CODEC_DAG_CBOR ||
	       cid->codec == CODEC_DAG_JSON;
}

static bool holds_too_much(const struct walk_ahead *ahead)
{
	return ahead->held.count >= AHEAD_HELD_MAX ||
	       ahead->held.count * ahead->block_size >= AHEAD_BYTES_MAX;
}

static bool is_full(const struct walk_ahead *ahead)
{
	return ahead->flying_count >= ahead->max || holds_too_much(ahead);
}

bool walk_ahead_ask(struct walk_ahead *ahead, const struct cid *cid)
{
	if (map_get(&ahead->held, cid_bytes(cid)) || ahead->left_out(ahead->ctx, cid))
		return true;
	if (is_full(ahead))
		return false;
	bool here = blocks_has(ahead->blocks, cid);

	if (here && !may_link(cid))
		return true;
	struct ahead_entry *entry = entry_new(cid);

	map_set(&ahead->held, cid_bytes(cid), entry);
	if (may_link(cid))
		list_add_tail(ahead->place, &entry->order);
	if (!here)
		ahead_ask(ahead, entry);
	return true;
}

/* ---- opening ---- */

struct opening {
	struct walk_ahead *ahead;
	size_t link;  /* number of the next */
	size_t asked; /* before */
};

static int ask_link(void *ctx, const struct cid *cid)
{
	struct opening *opening = ctx;

	if (opening->link++ < opening->asked || walk_ahead_ask(opening->ahead, cid))
		return 0;
	opening->link--;
	return -EAGAIN;
}

static int get_soon(struct walk_ahead *ahead, const struct cid *cid, struct wait *wait,
		    struct block **block)
{
	ahead_flush(ahead); /* it may be among those */
	wait->deadline_ms = monotonic_ms() + OPEN_WAIT_MS;
	return blocks_get(ahead->blocks, cid, wait, block);
}

static void ahead_arrived(struct walk_ahead *ahead, struct ahead_entry *entry)
{
	while (flies(entry))
		land(ahead, list_first(&ahead->flying, struct ahead_entry, flying));
}

/* Not here after all. */
static void put_off(struct walk_ahead *ahead, struct ahead_entry *entry)
{
	land(ahead, entry);
	if (++entry->misses < MISSES_MAX)
		fly(ahead, entry);
	else
		list_remove(&entry->order);
}

/* False: no more just now. */
static bool open_entry(struct walk_ahead *ahead, struct ahead_entry *entry, struct wait *wait)
{
	struct opening opening = { .ahead = ahead, .asked = entry->asked };
	struct block *block;

	if (get_soon(ahead, &entry->cid, wait, &block)) {
		put_off(ahead, entry);
		return false;
	}
	ahead_arrived(ahead, entry);
	int err = dag_links(block->data, entry->cid.codec, ask_link, &opening);

	block_unref(block);
	if (err == -EAGAIN) {
		entry->asked = opening.link;
		return false;
	}
	entry->done = true; /* a malformed one is told of when the walk comes there */
	list_remove(&entry->order);
	return true;
}

static bool open_frame(struct walk_ahead *ahead, struct ahead_entry *mark)
{
	if (!ahead->ask_frame(ahead->ctx, mark->frame))
		return false;
	list_remove(&mark->order);
	free(mark);
	return true;
}

/* Asks for what comes next on the walk, opening what has arrived and what was asked for before that
 * number. */
static void ahead_fill(struct walk_ahead *ahead, uint64_t before, struct wait *wait)
{
	struct list *at = ahead->order.next;
	unsigned opened = 0;

	while (at != &ahead->order && opened < OPENS_MAX && !is_full(ahead)) {
		struct ahead_entry *entry = container_of(at, struct ahead_entry, order);
		struct list *behind = at->prev;

		if (entry == ahead->current || (flies(entry) && entry->number >= before)) {
			at = at->next;
			continue;
		}
		opened++;
		ahead->place = at;
		if (!(entry->is_frame ? open_frame(ahead, entry) : open_entry(ahead, entry, wait)))
			break;
		at = behind->next; /* what was in there, perhaps here already */
	}
}

/* ---- the walk ---- */

void walk_ahead_come(struct walk_ahead *ahead, const struct cid *cid, struct wait *wait)
{
	if (!blocks_fetches(ahead->blocks))
		return;
	struct ahead_entry *entry = map_remove(&ahead->held, cid_bytes(cid));
	bool here = blocks_has(ahead->blocks, cid), met = entry != NULL;

	entry_free(ahead, ahead->current);
	ahead->current = met ? entry : entry_new(cid);
	if (here && !ahead->flying_count)
		return;
	/* What was met and never come to (below what was left out later) must not close the window
	 * for good. */
	if (!met && holds_too_much(ahead))
		ahead_forget(ahead);
	if (!here && !ahead->current->number)
		ahead_ask(ahead, ahead->current);
	if (ahead->flying_count <= ahead->max - ahead->max / SPARE_PART)
		ahead_fill(ahead, here ? 0 : ahead->current->number, wait);
	if (!met && ahead->asked == ahead->current->number)
		ahead->batched = 0; /* nothing else: it need not be asked for twice */
	ahead_flush(ahead);
}

void walk_ahead_skip(struct walk_ahead *ahead, const struct cid *cid)
{
	if (ahead->held.count)
		entry_free(ahead, map_remove(&ahead->held, cid_bytes(cid)));
}

void walk_ahead_arrived(struct walk_ahead *ahead, size_t len)
{
	if (!ahead->current)
		return;
	ahead_arrived(ahead, ahead->current);
	ahead->block_size = (ahead->block_size * (SMOOTH - 1) + len) / SMOOTH;
}

struct ahead_entry *walk_ahead_mark(struct walk_ahead *ahead, size_t frame)
{
	struct ahead_entry *entry = ahead->current;

	if (!entry || entry->done)
		return NULL;
	ahead->current = NULL;
	entry->is_frame = true;
	entry->frame = frame;
	if (list_empty(&entry->order))
		list_add_head(&ahead->order, &entry->order);
	return entry;
}

void walk_ahead_unmark(struct ahead_entry *mark)
{
	if (!mark)
		return;
	list_remove(&mark->order);
	free(mark);
}
