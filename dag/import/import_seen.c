/* Remembers what each imported file became, so that an unchanged file is not read again. A file
 * is known by its path, inode, size and times; it counts only if all its blocks are still stored.
 * The importing thread. */
#include "dag/import/import_seen.h"

#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/wire/varint.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TABLE "added"
#define VERSION 1
#define ENTRY_MAX (1 + 16 + 4 + 10 + 10 + CID_MAX)
#define NOTES_MAX 4096 /* kept back, to be written at once */
#define RENEW_S 86400  /* an entry found is written again after that */
#define SETTLED_S 2
#define DROP_BATCH 8192 /* in one transaction */

struct note {
	uint8_t key[16];
	uint8_t len;
	uint8_t value[ENTRY_MAX];
};

struct import_seen {
	struct blocks *blocks;
	struct db *db;
	uint8_t settings[32];
	uint32_t now_s;
	bool is_balanced;
	struct note *notes;
	size_t count;
	bool wrote;
};

/* ---- names of things ---- */

static void digest(uint8_t out[static 16], struct bytes of)
{
	uint8_t whole[32];

	sha256(whole, of);
	memcpy(out, whole, 16);
}

/* Everything that changes what a file becomes. */
static void settings_digest(const struct import_config *config, uint8_t out[static 32])
{
	struct buf text = { 0 };

	buf_printf(&text, "%u %" PRIu64 " %d %u %s %u %d %d %d %o %d %" PRId64 " %u",
		   config->cid_version, config->hash_code, config->raw_leaves, config->inline_max,
		   config->chunker, config->links_max, (int)config->layout, config->preserve_mode,
		   config->preserve_mtime, config->mode, config->has_mtime, config->mtime,
		   config->mtime_nanos);
	sha256(out, buf_bytes(&text));
	buf_release(&text);
}

void import_seen_name(const struct import_seen *seen, const char *path, const struct stat *stat,
		      struct import_seen_file *file)
{
	struct buf text = { 0 };

	buf_add(&text, bytes_of(seen->settings, sizeof(seen->settings)));
	buf_add_str(&text, path);
	digest(file->key, buf_bytes(&text));
	buf_clear(&text);
	buf_printf(&text, "%ju %ju %jd %jd.%09ld %jd.%09ld", (uintmax_t)stat->st_dev,
		   (uintmax_t)stat->st_ino, (intmax_t)stat->st_size, (intmax_t)stat->st_mtim.tv_sec,
		   stat->st_mtim.tv_nsec, (intmax_t)stat->st_ctim.tv_sec, stat->st_ctim.tv_nsec);
	digest(file->state, buf_bytes(&text));
	buf_release(&text);
}

bool import_seen_settled(const struct stat *stat, int64_t now_s)
{
	return stat->st_mtim.tv_sec < now_s - SETTLED_S && stat->st_ctim.tv_sec < now_s - SETTLED_S;
}

/* ---- is all of it there? ---- */

struct node {
	struct cid cid;
	unsigned depth;
};

struct below {
	struct blocks *blocks;
	struct node *stack; /* nodes to look into */
	size_t count, cap;
	unsigned depth;	     /* of what is pushed */
	uint64_t links;	     /* pushed, or not worth it */
	unsigned leaf_depth; /* of a balanced tree's leaves; UINT_MAX: not known */
};

static int seen_push(void *ctx, const struct cid *cid)
{
	struct below *below = ctx;
	int err = blocks_keep(below->blocks, cid, NULL);

	below->links++;
	if (err || cid->codec == CODEC_RAW || below->depth >= below->leaf_depth)
		return err;
	if (below->count == below->cap) {
		below->cap = below->cap ? below->cap * 2 : 64;
		below->stack = xrealloc(below->stack, below->cap * sizeof(*below->stack));
	}
	below->stack[below->count++] = (struct node){ .cid = *cid, .depth = below->depth };
	return 0;
}

static int look_below(struct below *below, const struct node *node, bool is_balanced)
{
	uint64_t links = below->links;
	struct block *block;
	int err = blocks_get_stored(below->blocks, &node->cid, &block);

	if (err)
		return err;
	below->depth = node->depth + 1;
	err = dag_links(block->data, node->cid.codec, seen_push, below);
	block_unref(block);
	if (is_balanced && below->links == links)
		below->leaf_depth = node->depth;
	return err;
}

/* And stays: blocks that are only cached, or that a collection under way would take, are kept from
 * now on, as if they were put again. Raw leaves are not read, nor are wrapped ones of a balanced
 * tree, but for the first: all have its depth. */
static int keep_all(const struct import_seen *seen, const struct cid *root, struct wait *wait)
{
	struct below below = { .blocks = seen->blocks, .leaf_depth = UINT_MAX };
	int err = seen_push(&below, root);

	while (!err && below.count) {
		struct node node = below.stack[--below.count];

		if (node.depth >= below.leaf_depth)
			continue;
		err = wait_check(wait) == -EINTR ? -EINTR : 0;
		if (!err)
			err = look_below(&below, &node, seen->is_balanced);
	}
	free(below.stack);
	return err && err != -EINTR ? -ENOENT : err;
}

/* ---- finding ---- */

struct import_seen *import_seen_open(struct blocks *blocks, const struct import_config *config)
{
	struct import_seen *seen;

	if (!config->seen || config->only_hash)
		return NULL;
	seen = xnew(struct import_seen);
	seen->blocks = blocks;
	seen->db = config->seen;
	seen->now_s = (uint32_t)time(NULL);
	seen->is_balanced = config->layout == LAYOUT_BALANCED;
	settings_digest(config, seen->settings);
	return seen;
}

static int seen_parse(struct bytes value, struct import_seen_file *file, uint32_t *when_s)
{
	struct cursor c = cursor_over(value);
	uint8_t version = cursor_u8(&c);
	struct bytes state = cursor_take(&c, sizeof(file->state));

	*when_s = cursor_le32(&c);
	file->root.tsize = cursor_uvarint(&c);
	file->root.file_size = cursor_uvarint(&c);
	if (c.bad || version != VERSION)
		return -ENOENT;
	if (!bytes_equal(state, bytes_of(file->state, sizeof(file->state))))
		return -ENOENT;
	return cid_from_bytes(&file->root.cid, cursor_take(&c, cursor_left(&c))) ? -ENOENT : 0;
}

int import_seen_find(struct import_seen *seen, const char *path, const struct stat *stat,
		     struct wait *wait, struct import_seen_file *file)
{
	struct db_txn *txn;
	struct bytes value;
	uint32_t when_s;
	int err;

	import_seen_name(seen, path, stat, file);
	err = db_begin(seen->db, false, &txn);
	if (err)
		return -ENOENT;
	err = db_get(txn, TABLE, bytes_of(file->key, sizeof(file->key)), &value);
	if (!err)
		err = seen_parse(value, file, &when_s);
	db_abort(txn);
	if (!err)
		err = keep_all(seen, &file->root.cid, wait);
	if (!err && when_s + RENEW_S < seen->now_s)
		import_seen_note(seen, file);
	return err == -EINTR ? err : err ? -ENOENT : 0;
}

/* ---- noting ---- */

/* What cannot be queued is forgotten: the file is read once more. */
static void write_notes(struct import_seen *seen)
{
	for (size_t i = 0; i < seen->count; i++) {
		struct note *note = &seen->notes[i];

		if (db_post_hint(seen->db, TABLE, bytes_of(note->key, sizeof(note->key)),
				 bytes_of(note->value, note->len)))
			break;
		seen->wrote = true;
	}
	seen->count = 0;
}

void import_seen_note(struct import_seen *seen, const struct import_seen_file *file)
{
	struct buf value = { 0 };
	struct note *note;

	if (!seen->notes)
		seen->notes = xcalloc(NOTES_MAX, sizeof(*seen->notes));
	if (seen->count == NOTES_MAX)
		write_notes(seen);
	buf_add_u8(&value, VERSION);
	buf_add(&value, bytes_of(file->state, sizeof(file->state)));
	for (unsigned i = 0; i < 4; i++)
		buf_add_u8(&value, (uint8_t)(seen->now_s >> 8 * i));
	buf_add_uvarint(&value, file->root.tsize);
	buf_add_uvarint(&value, file->root.file_size);
	buf_add(&value, cid_bytes(&file->root.cid));
	note = &seen->notes[seen->count++];
	memcpy(note->key, file->key, sizeof(note->key));
	memcpy(note->value, value.at, value.len);
	note->len = (uint8_t)value.len;
	buf_release(&value);
}

void import_seen_close(struct import_seen *seen)
{
	if (!seen)
		return;
	write_notes(seen);
	if (seen->wrote && import_seen_prune(seen->db, SEEN_MAX, SEEN_KEPT))
		log_warn("import", "cannot drop old entries of table " TABLE);
	free(seen->notes);
	free(seen);
}

/* ---- dropping ---- */

struct prune {
	struct db_txn *txn;
	uint32_t *whens;
	uint64_t count, cap;
	uint32_t until_s;     /* those of this second too, */
	uint64_t of_last;     /* so many of them */
	uint64_t left, batch; /* to drop: of all, now */
	uint8_t next[16];     /* key */
};

static uint32_t when_of(struct bytes value)
{
	uint32_t when = 0;

	for (unsigned i = 0; i < 4 && value.len >= 21; i++)
		when |= (uint32_t)value.at[17 + i] << 8 * i;
	return when;
}

static int collect_when(void *ctx, struct bytes key, struct bytes value)
{
	struct prune *prune = ctx;

	(void)key;
	if (prune->count == prune->cap)
		return 1;
	prune->whens[prune->count++] = when_of(value);
	return 0;
}

static int by_when(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static int drop_old(void *ctx, struct bytes key, struct bytes value)
{
	struct prune *prune = ctx;
	uint32_t when = when_of(value);

	if (prune->left == 0 || prune->batch == 0) {
		memcpy(prune->next, key.at, sizeof(prune->next));
		return 1;
	}
	if (when > prune->until_s || (when == prune->until_s && prune->of_last == 0))
		return 0;
	prune->of_last -= when == prune->until_s;
	prune->left--;
	prune->batch--;
	return db_del(prune->txn, TABLE, key);
}

/* The stamp up to which entries go, so that drop of them do. */
static int find_until(struct db *db, struct prune *prune, uint64_t max, uint64_t kept)
{
	struct db_txn *txn;
	int err = db_begin(db, false, &txn);

	if (err)
		return err;
	prune->cap = db_count(txn, TABLE);
	if (prune->cap > max) {
		prune->whens = xcalloc(prune->cap, sizeof(*prune->whens));
		db_each(txn, TABLE, bytes_of(NULL, 0), bytes_of(NULL, 0), collect_when, prune);
	}
	db_abort(txn);
	if (prune->count <= kept)
		return 0;
	qsort(prune->whens, prune->count, sizeof(*prune->whens), by_when);
	prune->left = prune->count - kept;
	prune->until_s = prune->whens[prune->left - 1];
	for (uint64_t i = prune->left; i-- > 0 && prune->whens[i] == prune->until_s;)
		prune->of_last++;
	return 0;
}

int import_seen_prune(struct db *db, uint64_t max, uint64_t kept)
{
	struct prune prune = { 0 };
	struct bytes from = { 0 };
	int err = find_until(db, &prune, max, kept);

	free(prune.whens);
	while (!err && prune.left > 0) {
		prune.batch = DROP_BATCH;
		err = db_begin(db, true, &prune.txn);
		if (err)
			break;
		err = db_each(prune.txn, TABLE, bytes_of(NULL, 0), from, drop_old, &prune);
		if (err < 0) {
			db_abort(prune.txn);
			break;
		}
		from = bytes_of(prune.next, sizeof(prune.next));
		if (err == 0)
			prune.left = 0; /* the end was reached */
		err = db_commit(prune.txn);
	}
	return err;
}
