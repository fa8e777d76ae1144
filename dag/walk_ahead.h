/* Fetches ahead of a walk: the links it has seen and, when those blocks arrive, the links in them,
 * nearest first. So the round trips for a tree depend on its depth and on the window, not on the
 * number of directories.
 *
 * Blocks mostly arrive in the order they were asked for. So when one has arrived, those asked for
 * before it are taken to be there: they leave the window, and those with links are opened. If one
 * is not there, opening waits a moment and is put off. Nothing is asked for while the walk finds
 * all its blocks stored. Private to dag/walk.c. One thread. */
#ifndef DAG_WALK_AHEAD_H
#define DAG_WALK_AHEAD_H

#include "exchange/exchange.h"
#include "net/base/list.h"
#include "net/base/map.h"

#define AHEAD_HELD_MAX 8192	     /* blocks met and not come to, arrived or not */
#define AHEAD_BYTES_MAX (128u << 20) /* in them, by the mean of those the walk came to */

struct ahead_entry;

struct walk_ahead {
	struct blocks *blocks;
	size_t max; /* blocks on their way */
	/* Whether the block may be left out. */
	bool (*left_out)(void *ctx, const struct cid *cid);
	/* walk_ahead_ask() for the links of a frame that were not asked for. False: the window is
	 * full. After true the frame's mark is gone. */
	bool (*ask_frame)(void *ctx, size_t frame);
	void *ctx;

	struct map held;    /* CID -> entry */
	struct list order;  /* what has links not asked for, entries and frames, as the walk will
			       come to them */
	struct list flying; /* as asked for */
	size_t flying_count;
	uint64_t asked;		     /* number of the last */
	uint64_t block_size;	     /* smoothed */
	struct ahead_entry *current; /* the walk is there */
	struct list *place;	     /* of order: new ones are put before it */
	struct cid batch[64];
	size_t batched;
};

/* The first five members are set. If blocks_fetches() is false nothing is ever asked for. */
void walk_ahead_init(struct walk_ahead *ahead);
/* After all frames were unmarked. */
void walk_ahead_release(struct walk_ahead *ahead);
/* Asks for one, unless it was asked for or is here. False: the window is full. */
bool walk_ahead_ask(struct walk_ahead *ahead, const struct cid *cid);
/* The walk comes to cid, and will get it next: asks for it and what follows, unless all is here.
 * May wait a moment, and leaves wait with another deadline. */
void walk_ahead_come(struct walk_ahead *ahead, const struct cid *cid, struct wait *wait);
/* The walk does not want cid any more. */
void walk_ahead_skip(struct walk_ahead *ahead, const struct cid *cid);
/* The block that the walk came to is here, and has len bytes. */
void walk_ahead_arrived(struct walk_ahead *ahead, size_t len);
/* What the walk came to has links, in the frame of that number. NULL: all have been asked for. */
struct ahead_entry *walk_ahead_mark(struct walk_ahead *ahead, size_t frame);
/* The frame goes. NULL is ignored. */
void walk_ahead_unmark(struct ahead_entry *mark);

#endif
