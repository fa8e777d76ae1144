/* An open file, and walking its tree by offset. Private to dag/file*.c. */
#ifndef DAG_FILE_WALK_H
#define DAG_FILE_WALK_H

#include "dag/file.h"
#include "dag/file_node.h"

#define FILE_DEPTH_MAX 64

struct file {
	struct blocks *blocks;
	struct file_node *root; /* never leaves */
	struct file_nodes nodes;

	/* Reading ahead for sequential readers (file_ahead.c). */
	pthread_mutex_t ahead_lock;
	unsigned ahead_streak; /* near reads in a row */
	uint64_t ahead_seen;   /* the furthest byte read of this streak */
	uint64_t ahead_asked;  /* all before it was asked for */
	uint64_t ahead_window;
};

/* A stretch of the file that one block is responsible for. */
struct file_piece {
	struct cid cid;
	uint64_t start, len;
	bool own; /* the bytes in an interior node itself */
};

struct file_walk {
	uint64_t at; /* where the next piece is looked for; the caller moves it on */
	unsigned depth;
	struct {
		struct file_node *node;
		uint64_t start;
	} stack[FILE_DEPTH_MAX];
};

void file_walk_start(struct file_walk *walk, struct file *file, uint64_t offset);
/* The piece at walk->at; false at the end of the file. */
bool file_walk_next(struct file_walk *walk, struct file_piece *piece);
/* The piece turned out to be an interior node: go down into it. Takes the reference. -EBADMSG when
 * its size is not what its parent said, or the tree is too deep. */
int file_walk_enter(struct file_walk *walk, const struct file_piece *piece, struct file_node *node);
void file_walk_end(struct file_walk *walk);

/* Sequential reading seen at [offset, offset + len): ask for what comes next. Never waits; no
 * store_read may be open. */
void file_ahead(struct file *file, uint64_t offset, uint64_t len);
/* Asks for the leaves of [from, to) that are not stored. Returns how far that came: to an interior
 * node that is not here yet, or over pieces_max pieces. Never waits; no store_read may be open. */
uint64_t file_ask(struct file *file, uint64_t from, uint64_t to, unsigned pieces_max);

#endif
