/* Rows of a tree on disk. Keys begin with the share's id, and numbers in them are big-endian, so
 * that rows of one node lie together, older generations first. Values begin with a version.
 *
 *	nodes	share, node		-> what node_record() writes
 *	names	share, directory, name	-> node; 0: gone
 *	sizes	share, node, generation	-> floor, size
 *	leaves	share, node, generation, chunk -> count, len, CID; no CID: a run of zeros
 *	spans	share, node, generation, grain -> from, bytes */
#include "dag/tree/tree_private.h"

#include <assert.h>

#define RECORD_VERSION 1
#define NAME_FLAG_CHANGED 1

static void put_u64(struct buf *out, uint64_t value)
{
	buf_add_be32(out, (uint32_t)(value >> 32));
	buf_add_be32(out, (uint32_t)value);
}

static void put_time(struct buf *out, struct timespec time)
{
	put_u64(out, (uint64_t)time.tv_sec);
	buf_add_be32(out, (uint32_t)time.tv_nsec);
}

static void put_short(struct buf *out, struct bytes bytes)
{
	buf_add_be16(out, (uint16_t)bytes.len);
	buf_add(out, bytes);
}

/* ---- keys ---- */

void key_node(struct buf *key, uint32_t share, uint64_t node)
{
	buf_clear(key);
	buf_add_be32(key, share);
	put_u64(key, node);
}

void key_name(struct buf *key, uint32_t share, uint64_t dir, struct bytes name)
{
	key_node(key, share, dir);
	buf_add(key, name);
}

void key_size(struct buf *key, uint32_t share, uint64_t node, uint32_t generation)
{
	key_node(key, share, node);
	buf_add_be32(key, generation);
}

void key_place(struct buf *key, uint32_t share, uint64_t node, uint32_t generation, uint32_t at)
{
	key_size(key, share, node, generation);
	buf_add_be32(key, at);
}

/* ---- nodes and names ---- */

void node_record(const struct node *node, struct buf *out)
{
	struct bytes name = { 0 };

	if (node->entry)
		name = entry_name(node->entry);
	buf_add_u8(out, RECORD_VERSION);
	buf_add_u8(out, node->changed ? NAME_FLAG_CHANGED : 0);
	buf_add_be32(out, node->mode);
	put_u64(out, node->parent ? node->parent->number : 0);
	put_short(out, name);
	put_u64(out, node->id);
	put_time(out, node->mtime);
	put_time(out, node->ctime);
	put_short(out, cid_bytes(&node->base));
	put_u64(out, node->size);
	put_short(out, node->target ? bytes_str(node->target) : bytes_of(NULL, 0));
	buf_add_be16(out, (uint16_t)node->xattr_count);
	for (size_t i = 0; i < node->xattr_count; i++) {
		put_short(out, node->xattrs[i].name);
		put_short(out, node->xattrs[i].value);
	}
}

void name_record(const struct node *node, struct buf *out)
{
	buf_add_u8(out, RECORD_VERSION);
	put_u64(out, node ? node->number : 0);
}

static struct bytes get_short(struct cursor *c)
{
	return cursor_take(c, cursor_be16(c));
}

static struct timespec get_time(struct cursor *c)
{
	struct timespec time = { .tv_sec = (time_t)cursor_be64(c) };

	time.tv_nsec = cursor_be32(c);
	if (time.tv_nsec > 999999999)
		c->bad = true;
	return time;
}

int node_said_decode(struct node_said *said, struct bytes value)
{
	struct cursor c = cursor_over(value);
	struct bytes base;

	*said = (struct node_said){ 0 };
	if (cursor_u8(&c) != RECORD_VERSION)
		return -EIO;
	said->changed = cursor_u8(&c) & NAME_FLAG_CHANGED;
	said->mode = cursor_be32(&c);
	said->parent = cursor_be64(&c);
	said->name = get_short(&c);
	said->id = cursor_be64(&c);
	said->mtime = get_time(&c);
	said->ctime = get_time(&c);
	base = get_short(&c);
	said->size = cursor_be64(&c);
	said->target = get_short(&c);
	said->xattr_count = cursor_be16(&c);
	if (said->xattr_count > NODE_SAID_XATTRS_MAX)
		c.bad = true;
	for (size_t i = 0; !c.bad && i < said->xattr_count; i++) {
		said->xattrs[i].name = get_short(&c);
		said->xattrs[i].value = get_short(&c);
	}
	if (c.bad || cursor_left(&c) || (base.len && cid_from_bytes(&said->base, base)))
		return -EIO;
	if (!S_ISREG(said->mode) && !S_ISDIR(said->mode) && !S_ISLNK(said->mode))
		return -EIO;
	if (S_ISLNK(said->mode) &&
	    (!said->target.len || memchr(said->target.at, 0, said->target.len)))
		return -EIO;
	return said->size > TREE_FILE_MAX ? -EIO : 0;
}

int name_said_decode(uint64_t *node, struct bytes value)
{
	struct cursor c = cursor_over(value);
	uint8_t version = cursor_u8(&c);

	*node = cursor_be64(&c);
	return c.bad || cursor_left(&c) || version != RECORD_VERSION ? -EIO : 0;
}

/* ---- content ---- */

/* Removes the rows whose keys begin with prefix and come before end. */
struct dropping {
	struct db_txn *txn;
	const char *table;
	struct bytes end;
};

static int drop_row(void *ctx, struct bytes key, struct bytes value)
{
	const struct dropping *dropping = ctx;
	uint8_t copy[64];

	(void)value;
	if (dropping->end.len && bytes_cmp(key, dropping->end) >= 0)
		return 1;
	if (key.len > sizeof(copy))
		return -EIO;
	memcpy(copy, key.at, key.len);
	return db_del(dropping->txn, dropping->table, bytes_of(copy, key.len));
}

/* Damaged rows, which are logged, are no reason to keep the others. */
static int drop_rows(struct db_txn *txn, const char *table, struct bytes prefix, struct bytes from,
		     struct bytes end)
{
	struct dropping dropping = { .txn = txn, .table = table, .end = end };
	int err = db_each(txn, table, prefix, from, drop_row, &dropping);

	return err == 1 || err == -EIO ? 0 : err;
}

int content_rows_drop(struct db_txn *txn, uint32_t share, uint64_t node, uint32_t generation)
{
	static const char *const tables[] = { "sizes", "leaves", "spans" };
	struct buf prefix = { 0 }, end = { 0 };
	int err = 0;

	key_node(&prefix, share, node);
	if (generation != UINT32_MAX)
		key_size(&end, share, node, generation + 1);
	for (size_t i = 0; !err && i < ARRAY_LEN(tables); i++)
		err = drop_rows(txn, tables[i], buf_bytes(&prefix), bytes_of(NULL, 0),
				buf_bytes(&end));
	buf_release(&prefix);
	buf_release(&end);
	return err;
}

struct leaf_row {
	uint32_t count, len;
	struct cid cid; /* not set: zeros */
};

static int leaf_decode(struct leaf_row *row, struct bytes value)
{
	struct cursor c = cursor_over(value);
	uint8_t version = cursor_u8(&c);

	*row = (struct leaf_row){ 0 };
	row->count = cursor_be32(&c);
	row->len = cursor_be32(&c);
	struct bytes cid = cursor_take(&c, cursor_left(&c));

	if (c.bad || version != RECORD_VERSION || !row->count)
		return -EIO;
	return cid.len && cid_from_bytes(&row->cid, cid) ? -EIO : 0;
}

static int put_row(struct db_txn *txn, const char *table, const struct buf *key, struct buf *value)
{
	int err = db_put(txn, table, buf_bytes(key), buf_bytes(value));

	buf_clear(value);
	return err;
}

/* ---- a cut of content ---- */

struct content_rows {
	struct db_txn *txn;
	uint32_t share;
	uint64_t node;
	uint32_t generation;
	struct buf key, end, value;
};

static int put_leaf(struct content_rows *rows, uint32_t chunk, const struct leaf_row *row)
{
	key_place(&rows->key, rows->share, rows->node, rows->generation, chunk);
	buf_add_u8(&rows->value, RECORD_VERSION);
	buf_add_be32(&rows->value, row->count);
	buf_add_be32(&rows->value, row->len);
	buf_add(&rows->value, cid_bytes(&row->cid));
	return put_row(rows->txn, "leaves", &rows->key, &rows->value);
}

/* The last row of a table before `at`, in this generation. 0: *place and value (copied to
 * rows->value); -ENOENT. */
struct last_row {
	struct bytes end;
	bool found;
	uint32_t place;
	struct buf *value;
};

static int see_row(void *ctx, struct bytes key, struct bytes value)
{
	struct last_row *last = ctx;
	struct cursor c = cursor_over(bytes_skip(key, key.len - 4));

	if (bytes_cmp(key, last->end) >= 0)
		return 1;
	last->found = true;
	last->place = cursor_be32(&c);
	buf_clear(last->value);
	buf_add(last->value, value);
	return 0;
}

static int find_last(struct content_rows *rows, const char *table, uint32_t first, uint32_t at,
		     uint32_t *place)
{
	struct last_row last = { .value = &rows->value };
	struct buf prefix = { 0 };

	key_size(&prefix, rows->share, rows->node, rows->generation);
	key_place(&rows->key, rows->share, rows->node, rows->generation, first);
	key_place(&rows->end, rows->share, rows->node, rows->generation, at);
	last.end = buf_bytes(&rows->end);
	int err = db_each(rows->txn, table, buf_bytes(&prefix), buf_bytes(&rows->key), see_row,
			  &last);

	buf_release(&prefix);
	if (err < 0)
		return err;
	*place = last.place;
	return last.found ? 0 : -ENOENT;
}

/* All rows of places [first, end) go. end 0: to the end. */
static int drop_places(struct content_rows *rows, const char *table, uint32_t first, uint64_t end)
{
	struct buf prefix = { 0 };

	key_size(&prefix, rows->share, rows->node, rows->generation);
	key_place(&rows->key, rows->share, rows->node, rows->generation, first);
	buf_clear(&rows->end);
	if (end && end <= UINT32_MAX)
		key_place(&rows->end, rows->share, rows->node, rows->generation, (uint32_t)end);
	int err = drop_rows(rows->txn, table, buf_bytes(&prefix), buf_bytes(&rows->key),
			    buf_bytes(&rows->end));

	buf_release(&prefix);
	return err;
}

/* The leaf or span that reaches over the end becomes shorter. */
static int shorten_leaf(struct content_rows *rows, uint64_t end, uint32_t chunk_size)
{
	uint32_t chunk = (uint32_t)(end / chunk_size), rest = (uint32_t)(end % chunk_size), place;
	struct leaf_row row;

	if (!rest)
		return 0;
	int err = find_last(rows, "leaves", chunk, chunk + 1, &place);

	if (!err)
		err = leaf_decode(&row, buf_bytes(&rows->value));
	buf_clear(&rows->value);
	if (err || !cid_is_set(&row.cid) || row.len <= rest)
		return err == -ENOENT ? 0 : err;
	row.len = rest;
	return put_leaf(rows, place, &row);
}

static int shorten_span(struct content_rows *rows, uint64_t end)
{
	uint32_t grain = (uint32_t)(end / DATA_GRAIN), rest = (uint32_t)(end % DATA_GRAIN), place;
	struct buf span = { 0 };

	if (!rest)
		return 0;
	int err = find_last(rows, "spans", grain, grain + 1, &place);

	if (!err && rows->value.len < 3)
		err = -EIO;
	if (!err) {
		uint32_t from = (uint32_t)rows->value.at[1] << 8 | rows->value.at[2];
		size_t len = rows->value.len - 3;

		key_place(&rows->key, rows->share, rows->node, rows->generation, place);
		if (from >= rest) {
			err = db_del(rows->txn, "spans", buf_bytes(&rows->key));
		} else if (from + len > rest) {
			buf_add(&span, bytes_of(rows->value.at, 3 + rest - from));
			err = put_row(rows->txn, "spans", &rows->key, &span);
		}
	}
	buf_clear(&rows->value);
	buf_release(&span);
	return err == -ENOENT ? 0 : err;
}

static int drop_behind(struct content_rows *rows, uint64_t end, uint32_t chunk_size)
{
	uint64_t chunk = (end + chunk_size - 1) / chunk_size;
	uint64_t grain = (end + DATA_GRAIN - 1) / DATA_GRAIN;
	int err = chunk > UINT32_MAX ? 0 : drop_places(rows, "leaves", (uint32_t)chunk, 0);

	if (!err && grain <= UINT32_MAX)
		err = drop_places(rows, "spans", (uint32_t)grain, 0);
	if (!err)
		err = shorten_leaf(rows, end, chunk_size);
	return err ? err : shorten_span(rows, end);
}

static int put_item(struct content_rows *rows, const struct data_item *item, uint32_t chunk_size)
{
	uint64_t per_chunk = chunk_size / DATA_GRAIN;
	uint64_t end = (uint64_t)item->at + (item->kind == DATA_LEAF ? 1 : item->count);
	struct leaf_row row = { .count = 1 };
	int err;

	if (item->kind == DATA_SPAN) {
		key_place(&rows->key, rows->share, rows->node, rows->generation, item->at);
		buf_add_u8(&rows->value, RECORD_VERSION);
		buf_add_be16(&rows->value, (uint16_t)item->from);
		buf_add(&rows->value, item->bytes);
		return put_row(rows->txn, "spans", &rows->key, &rows->value);
	}
	err = drop_places(rows, "leaves", item->at, end);
	if (!err && item->at * per_chunk <= UINT32_MAX)
		err = drop_places(rows, "spans", (uint32_t)(item->at * per_chunk), end * per_chunk);
	if (item->kind == DATA_LEAF) {
		row.len = item->len;
		row.cid = item->cid;
	} else {
		row.count = item->count;
	}
	return err ? err : put_leaf(rows, item->at, &row);
}

int content_rows_put(struct db_txn *txn, uint32_t share, uint64_t node, uint32_t chunk,
		     const struct data_cut *cut)
{
	struct content_rows rows = {
		.txn = txn, .share = share, .node = node, .generation = (uint32_t)cut->generation
	};
	int err = cut->drop_from == UINT64_MAX ? 0 : drop_behind(&rows, cut->drop_from, chunk);

	for (size_t i = 0; !err && i < cut->count; i++)
		err = put_item(&rows, &cut->items[i], chunk);
	if (!err) {
		key_size(&rows.key, share, node, rows.generation);
		buf_add_u8(&rows.value, RECORD_VERSION);
		put_u64(&rows.value, cut->floor);
		put_u64(&rows.value, cut->size);
		err = put_row(txn, "sizes", &rows.key, &rows.value);
	}
	buf_release(&rows.key);
	buf_release(&rows.end);
	buf_release(&rows.value);
	return err;
}

int content_load(void *ctx, uint64_t generation, uint32_t grain, uint32_t from, uint8_t *at,
		 size_t len)
{
	const struct node *node = ctx;
	struct tree *tree = node->tree;
	struct buf key = { 0 };
	struct db_txn *txn;
	struct bytes value;
	int err = db_begin(tree->work, false, &txn);

	if (err)
		return err;
	key_place(&key, tree->share.id, node->number, (uint32_t)generation, grain);
	err = db_get(txn, "spans", buf_bytes(&key), &value);
	if (!err) {
		struct cursor c = cursor_over(value);
		uint8_t version = cursor_u8(&c);
		uint32_t begin = cursor_be16(&c);

		if (c.bad || version != RECORD_VERSION)
			err = -EIO;
		else if (from < begin || from + len > begin + cursor_left(&c))
			err = -ENOENT;
		else
			memcpy(at, c.at + (from - begin), len);
	}
	db_abort(txn);
	buf_release(&key);
	return err;
}

/* ---- content, read again ---- */

struct content_reader {
	struct node *node;
	struct db_txn *txn;
	uint64_t generation;
	struct buf prefix;
	int err;
};

/* The generation and place at the end of a key. */
static uint32_t key_tail(struct bytes key)
{
	struct cursor c = cursor_over(bytes_skip(key, key.len - 4));

	return cursor_be32(&c);
}

static int read_leaf(void *ctx, struct bytes key, struct bytes value)
{
	struct content_reader *reader = ctx;
	struct leaf_row row;
	int err = leaf_decode(&row, value);

	if (err)
		return err;
	return data_load_leaf(node_data(reader->node), key_tail(key), row.count,
			      cid_is_set(&row.cid) ? &row.cid : NULL, row.len);
}

static int read_span(void *ctx, struct bytes key, struct bytes value)
{
	struct content_reader *reader = ctx;
	struct cursor c = cursor_over(value);
	uint8_t version = cursor_u8(&c);
	uint32_t from = cursor_be16(&c);

	if (c.bad || version != RECORD_VERSION)
		return -EIO;
	return data_load_span(node_data(reader->node), reader->generation, key_tail(key), from,
			      (uint32_t)cursor_left(&c));
}

static int read_size(void *ctx, struct bytes key, struct bytes value)
{
	struct content_reader *reader = ctx;
	struct node *node = reader->node;
	struct cursor c = cursor_over(value);
	uint8_t version = cursor_u8(&c);
	uint64_t floor = cursor_be64(&c), size = cursor_be64(&c);
	int err;

	if (c.bad || version != RECORD_VERSION)
		return -EIO;
	reader->generation = key_tail(key);
	if (reader->generation >= node->tree->generation)
		node->tree->generation = (uint32_t)reader->generation;
	buf_clear(&reader->prefix);
	buf_add(&reader->prefix, key);
	err = data_load_size(node_data(node), reader->generation, floor, size);
	if (!err)
		err = db_each(reader->txn, "leaves", buf_bytes(&reader->prefix), bytes_of(NULL, 0),
			      read_leaf, reader);
	if (!err)
		err = db_each(reader->txn, "spans", buf_bytes(&reader->prefix), bytes_of(NULL, 0),
			      read_span, reader);
	return err;
}

int content_read(struct db_txn *txn, struct node *node)
{
	struct content_reader reader = { .node = node, .txn = txn };
	struct buf prefix = { 0 };

	key_node(&prefix, node->tree->share.id, node->number);
	int err = db_each(txn, "sizes", buf_bytes(&prefix), bytes_of(NULL, 0), read_size, &reader);

	buf_release(&prefix);
	buf_release(&reader.prefix);
	return err;
}

int leaf_row_cid(struct bytes value, struct cid *cid)
{
	struct leaf_row row;
	int err = leaf_decode(&row, value);

	*cid = row.cid;
	return err;
}
