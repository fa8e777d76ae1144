/* Inside of a directory. Private to dag/dir*.c. */
#ifndef DAG_DIR_PRIVATE_H
#define DAG_DIR_PRIVATE_H

#include "dag/dir.h"
#include "dag/hamt.h"
#include "net/base/map.h"

#include <pthread.h>

#define DIR_NAME_MAX 255
#define DIR_SHARDS_MAX (1u << 18)	  /* loaded of one directory */
#define DIR_BYTES_MAX ((size_t)512 << 20) /* of their blocks */

/* A loaded shard. Immutable but for children, which are set once each. Lives until dir_close(). */
struct dir_shard {
	struct dir_shard *next; /* of all that the dir loaded */
	struct block *block;
	struct hamt_shard hamt;
	unsigned depth;
	uint64_t path; /* bits of the hash that lead here */
	_Atomic(struct dir_shard *)
		*children; /* [link_count], NULL for entries and what is not loaded */
};

struct dir_item {
	const struct dir_shard *shard; /* NULL in a basic directory */
	uint32_t link;
};

struct dir_left_out {
	struct dir_item item;
	const char *why;
};

struct dir {
	struct blocks *blocks;
	/* Basic directory: the block and its links. */
	struct block *block;
	struct dagpb node;
	atomic_uint lookups;
	struct map index; /* name -> item; with the list */
	/* HAMT. */
	struct dir_shard *root;

	pthread_mutex_t lock; /* guards what follows, and the setting of children and of the list */
	struct dir_shard *shards;
	size_t shard_count, shard_bytes;
	struct dir_item *items;
	size_t item_count;
	struct dir_left_out *left_out;
	size_t left_out_count, left_out_cap;
	atomic_bool listed; /* items and index are there and will not change */
};

#define DIR_NAME_BAD "no file system can hold an entry of this name"

/* Could a file system show an entry of this name? */
bool dir_name_ok(struct bytes name);
/* An entry that is not listed. The lock is held. */
void dir_leave_out(struct dir *dir, const struct dir_shard *shard, size_t link, const char *why);
void dir_item_entry(const struct dir *dir, const struct dir_item *item, struct dir_entry *entry);

/* ---- dir_shard.c ---- */

/* Takes block when it succeeds. */
int dir_shard_open(struct dir *dir, struct block *block);
void dir_shard_close(struct dir *dir);
int dir_shard_lookup(struct dir *dir, struct bytes name, struct wait *wait, struct dir_entry *out);
/* Loads all shards, level by level, each level side by side. */
int dir_shard_load_all(struct dir *dir, struct wait *wait);
/* The entries in order of their hashes, into dir->items. All is loaded, lock is held. */
void dir_shard_list(struct dir *dir);

#endif
