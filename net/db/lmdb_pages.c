/* Reads an LMDB file page by page with pread() and trusts nothing in it. One half checks
 * that every page is what leads to it says; the other (salvage) collects all records that can
 * still be read. Depth and counts are bounded, so that a damaged file cannot loop. Any thread. */
#include "net/db/lmdb_pages.h"

#include "net/base/alloc.h"
#include "net/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0xbeefc0deu
#define VERSION 1
#define HEAD_BYTES                                                                                 \
	16 /* of a page: u64 number, u16, u16 flags, then u16 lower, u16 upper or u32 pages */
#define NODE_BYTES 8 /* of a node: u16 low, u16 high, u16 flags, u16 key size */
#define TREE_BYTES 48
#define PSIZE_MIN 512u
#define PSIZE_MAX 32768u
#define PSIZE_USUAL 4096u
#define METAS 2
#define DEPTH_MAX 32
#define MAP_MAX ((uint64_t)1 << 46)
#define NO_PAGE UINT64_MAX

enum page_flags { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum node_flags { NODE_BIG = 1, NODE_TREE = 2 };
enum tree_kind { TREE_FREE, TREE_MAIN, TREE_TABLE };
enum tree_flags { TREE_INTEGER_KEYS = 8 };

struct tree {
	uint64_t root;
	unsigned depth, flags;
	uint64_t pages[3]; /* branches, leaves, others */
	uint64_t records;
};

struct pages {
	int fd;
	const char *name;
	size_t psize;
	bool heads;
	uint64_t in_file, count; /* pages; the last transaction uses those below count */
	struct tree trees[2];	 /* TREE_FREE, TREE_MAIN */
	uint8_t *seen;		 /* a bit for each page */
	struct tree met;	 /* counted in the tree that is being looked at */
};

struct node {
	uint64_t pgno; /* branch: the child; big: where the data lies */
	unsigned flags;
	struct bytes key, data; /* data: empty when big */
	uint64_t len;		/* of the data */
};

static int damaged(const struct pages *pages, uint64_t pgno, const char *why)
{
	if (pages->name)
		log_error("db", "%s is damaged: page %llu %s", pages->name,
			  (unsigned long long)pgno, why);
	return -EIO;
}

static int read_at(const struct pages *pages, uint64_t offset, uint8_t *at, size_t len)
{
	while (len) {
		ssize_t some = pread(pages->fd, at, len, (off_t)offset);

		if (some < 0 && errno == EINTR)
			continue;
		if (some <= 0)
			return some < 0 ? -errno : -EIO;
		at += some;
		offset += (size_t)some;
		len -= (size_t)some;
	}
	return 0;
}

static uint16_t u16_at(const uint8_t *page, size_t at)
{
	return (uint16_t)(page[at] | page[at + 1] << 8);
}

static uint64_t u64_at(const uint8_t *page, size_t at)
{
	struct cursor c = cursor_over(bytes_of(page + at, 8));

	return cursor_le64(&c);
}

static unsigned flags_of(const uint8_t *page)
{
	return u16_at(page, 10);
}

static uint64_t pages_for(const struct pages *pages, uint64_t len)
{
	return (HEAD_BYTES + len + pages->psize - 1) / pages->psize;
}

/* ---- the first pages ---- */

static void parse_tree(const uint8_t *at, struct tree *tree)
{
	tree->flags = u16_at(at, 4);
	tree->depth = u16_at(at, 6);
	for (unsigned i = 0; i < 3; i++)
		tree->pages[i] = u64_at(at, 8 + 8 * i);
	tree->records = u64_at(at, 32);
	tree->root = u64_at(at, 40);
}

/* The meta page at this offset, of a file of unknown page size. */
static bool read_meta(struct pages *pages, uint64_t offset, uint64_t *txn)
{
	uint8_t page[HEAD_BYTES + 24 + 2 * TREE_BYTES + 16];
	const uint8_t *meta = page + HEAD_BYTES;

	if (read_at(pages, offset, page, sizeof page))
		return false;
	struct cursor c = cursor_over(bytes_of(meta, 8));

	if (!(flags_of(page) & PAGE_META) || cursor_le32(&c) != MAGIC || cursor_le32(&c) != VERSION)
		return false;
	c = cursor_over(bytes_of(meta + 24, 4));
	size_t psize = cursor_le32(&c);
	uint64_t found = u64_at(meta, 24 + 2 * TREE_BYTES + 8);

	if (psize < PSIZE_MIN || psize > PSIZE_MAX || (psize & (psize - 1)) ||
	    u64_at(meta, 16) > MAP_MAX)
		return false;
	if (*txn != NO_PAGE && found < *txn)
		return true;
	*txn = found;
	pages->psize = psize;
	pages->count = u64_at(meta, 24 + 2 * TREE_BYTES) + 1;
	parse_tree(meta + 24, &pages->trees[TREE_FREE]);
	parse_tree(meta + 24 + TREE_BYTES, &pages->trees[TREE_MAIN]);
	return true;
}

/* How many of the two are good; the newer one counts. */
static int read_metas(struct pages *pages)
{
	uint64_t txn = NO_PAGE;
	struct stat stat;
	int good = 0;

	if (fstat(pages->fd, &stat))
		return -errno;
	if (read_meta(pages, 0, &txn))
		good++;
	for (size_t psize = PSIZE_MIN; psize <= PSIZE_MAX; psize *= 2)
		if ((!good || psize == pages->psize) && read_meta(pages, psize, &txn)) {
			good++;
			break;
		}
	if (!good)
		pages->psize = PSIZE_USUAL;
	pages->in_file = (uint64_t)stat.st_size / pages->psize;
	return good;
}

/* ---- nodes ---- */

/* How many nodes a page has, 0 when it cannot be one. */
static unsigned node_count(const struct pages *pages, const uint8_t *page)
{
	unsigned lower = u16_at(page, 12), upper = u16_at(page, 14);

	if (lower < HEAD_BYTES || lower > upper || upper > pages->psize || lower % 2)
		return 0;
	return (lower - HEAD_BYTES) / 2;
}

/* Node i of a page, with every offset and length checked against the page. False: it leaves the
 * page. */
static bool node_at(const struct pages *pages, const uint8_t *page, unsigned i, struct node *node)
{
	size_t at = u16_at(page, HEAD_BYTES + 2 * (size_t)i);

	if (at < u16_at(page, 14) || at + NODE_BYTES > pages->psize)
		return false;
	uint64_t low = u16_at(page, at) | (uint64_t)u16_at(page, at + 2) << 16;
	size_t room = pages->psize - at - NODE_BYTES, key_len = u16_at(page, at + 6);
	const uint8_t *key = page + at + NODE_BYTES;

	if (key_len > room)
		return false;
	*node = (struct node){ .flags = u16_at(page, at + 4), .key = bytes_of(key, key_len) };
	if (flags_of(page) & PAGE_BRANCH) {
		node->pgno = low | (uint64_t)node->flags << 32;
		return true;
	}
	node->len = low;
	if (node->flags & NODE_BIG) {
		if (room - key_len < 8)
			return false;
		node->pgno = u64_at(key, key_len);
		return true;
	}
	if (low > room - key_len)
		return false;
	node->data = bytes_of(key + key_len, low);
	return true;
}

/* ---- the check ---- */

/* Marks pages as used, once. */
static bool pages_mark(struct pages *pages, uint64_t pgno, uint64_t count)
{
	if (pgno < METAS || pgno >= pages->count || count > pages->count - pgno)
		return false;
	for (uint64_t i = pgno; i < pgno + count; i++) {
		if (pages->seen[i / 8] & 1u << i % 8)
			return false;
		pages->seen[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return true;
}

static bool in_order(enum tree_kind kind, struct bytes before, struct bytes key)
{
	if (kind != TREE_FREE)
		return bytes_cmp(before, key) < 0;
	return before.len == 8 && key.len == 8 && u64_at(before.at, 0) < u64_at(key.at, 0);
}

/* A list of free pages: how many, then their numbers, falling. */
static int check_free_list(struct pages *pages, uint64_t pgno, struct bytes list)
{
	struct cursor c = cursor_over(list);
	uint64_t count = cursor_le64(&c), before = NO_PAGE;

	if (c.bad || count > cursor_left(&c) / 8)
		return damaged(pages, pgno, "holds a list of free pages that is too long");
	while (count--) {
		uint64_t one = cursor_le64(&c);

		if (one >= before || !pages_mark(pages, one, 1))
			return damaged(pages, pgno, "holds a wrong list of free pages");
		before = one;
	}
	return 0;
}

static int check_big_free_list(struct pages *pages, const struct node *node)
{
	size_t len = HEAD_BYTES + (size_t)node->len;
	uint8_t *list = xcalloc(1, len);
	int err = read_at(pages, node->pgno * pages->psize, list, len);

	if (!err && (u64_at(list, 0) != node->pgno || !(flags_of(list) & PAGE_OVERFLOW)))
		err = damaged(pages, node->pgno, "is not the list of free pages it should be");
	if (!err)
		err = check_free_list(pages, node->pgno,
				      bytes_of(list + HEAD_BYTES, (size_t)node->len));
	free(list);
	return err;
}

/* *count: of a large value's pages. LMDB frees as many as the head says; more than it needs, where
 * a larger one was before. */
static int check_head(const struct pages *pages, const struct node *node, uint64_t *count)
{
	uint8_t head[HEAD_BYTES];
	int err = read_at(pages, node->pgno * pages->psize, head, sizeof head);

	if (err)
		return err;
	struct cursor c = cursor_over(bytes_of(head + 12, 4));

	*count = cursor_le32(&c);
	if (u64_at(head, 0) != node->pgno || flags_of(head) != PAGE_OVERFLOW ||
	    *count < pages_for(pages, node->len))
		return damaged(pages, node->pgno, "does not begin the large value it should");
	return 0;
}

static int check_big(struct pages *pages, uint64_t pgno, const struct node *node,
		     enum tree_kind kind)
{
	uint64_t count = pages_for(pages, node->len);
	int err = 0;

	if (pages->heads && node->pgno < pages->count)
		err = check_head(pages, node, &count);
	if (err)
		return err;
	if (!pages_mark(pages, node->pgno, count))
		return damaged(pages, pgno, "leads out of the file, or where others lead");
	pages->met.pages[2] += count;
	return kind == TREE_FREE ? check_big_free_list(pages, node) : 0;
}

static int check_page(struct pages *pages, uint64_t pgno, unsigned depth, enum tree_kind kind);

/* How many pages large values have only their heads tell. */
static bool same_counts(const struct pages *pages, const struct tree *tree)
{
	const struct tree *met = &pages->met;

	return met->records == tree->records && met->pages[0] == tree->pages[0] &&
	       met->pages[1] == tree->pages[1] &&
	       (!pages->heads || met->pages[2] == tree->pages[2]);
}

static int check_tree(struct pages *pages, const struct tree *tree, enum tree_kind kind)
{
	const struct tree outer = pages->met;
	int err = 0;

	if (tree->flags != (kind == TREE_FREE ? TREE_INTEGER_KEYS : 0))
		return damaged(pages, tree->root, "is the root of a tree of unknown kind");
	if (!tree->depth != (tree->root == NO_PAGE) || tree->depth > DEPTH_MAX)
		return damaged(pages, tree->root, "is the root of a tree of impossible depth");
	pages->met = (struct tree){ 0 };
	if (tree->depth)
		err = check_page(pages, tree->root, tree->depth, kind);
	if (!err && !same_counts(pages, tree))
		err = damaged(pages, tree->root,
			      "is the root of a tree that is said to be of another size");
	pages->met = outer;
	return err;
}

static int check_leaf_node(struct pages *pages, uint64_t pgno, const struct node *node,
			   enum tree_kind kind)
{
	struct tree table;

	pages->met.records++;
	switch (node->flags) {
	case 0:
		return kind == TREE_FREE ? check_free_list(pages, pgno, node->data) : 0;
	case NODE_BIG:
		return check_big(pages, pgno, node, kind);
	case NODE_TREE:
		if (kind != TREE_MAIN || node->data.len != TREE_BYTES)
			break;
		parse_tree(node->data.at, &table);
		return check_tree(pages, &table, TREE_TABLE);
	}
	return damaged(pages, pgno, "holds a record of unknown kind");
}

static int check_nodes(struct pages *pages, uint64_t pgno, const uint8_t *page, unsigned depth,
		       enum tree_kind kind)
{
	unsigned count = node_count(pages, page);
	struct bytes before = { 0 };
	int err = 0;

	if (!count)
		return damaged(pages, pgno, "has no nodes");
	for (unsigned i = 0; i < count && !err; i++) {
		struct node node;

		if (!node_at(pages, page, i, &node))
			return damaged(pages, pgno, "has a node outside of itself");
		/* The first key of a branch is never looked at. */
		if (i > (depth > 1) && !in_order(kind, before, node.key))
			return damaged(pages, pgno, "has keys out of order");
		before = node.key;
		err = depth > 1 ? check_page(pages, node.pgno, depth - 1, kind)
				: check_leaf_node(pages, pgno, &node, kind);
	}
	return err;
}

/* Goes down by at most DEPTH_MAX calls, and once from the main tree into that of a table. */
static int check_page(struct pages *pages, uint64_t pgno, unsigned depth, enum tree_kind kind)
{
	if (!pages_mark(pages, pgno, 1))
		return damaged(pages, pgno, "is outside of the file, or in two places");
	pages->met.pages[depth == 1]++;
	uint8_t *page = xcalloc(1, pages->psize);
	int err = read_at(pages, pgno * pages->psize, page, pages->psize);

	if (!err &&
	    (u64_at(page, 0) != pgno || flags_of(page) != (depth > 1 ? PAGE_BRANCH : PAGE_LEAF)))
		err = damaged(pages, pgno, "is not what leads there takes it for");
	if (!err)
		err = check_nodes(pages, pgno, page, depth, kind);
	free(page);
	return err;
}

int lmdb_pages_check(int fd, const char *name, bool heads)
{
	struct pages pages = { .fd = fd, .name = name, .heads = heads };
	int good = read_metas(&pages);

	if (good < 0)
		return good;
	if (good < METAS)
		return damaged(&pages, 0, "or 1 is not what a file begins with");
	if (pages.count < METAS || pages.count > pages.in_file + LMDB_TAIL_PAGES)
		return damaged(&pages, pages.in_file, "is missing, and more");
	pages.seen = xcalloc(pages.count / 8 + 1, 1);
	int err = check_tree(&pages, &pages.trees[TREE_MAIN], TREE_MAIN);

	if (!err)
		err = check_tree(&pages, &pages.trees[TREE_FREE], TREE_FREE);
	free(pages.seen);
	return err;
}

/* ---- salvage ---- */

struct salvage {
	struct pages pages;
	size_t value_max;
	lmdb_found_fn *each;
	void *ctx;
	struct lmdb_tally *tally;
	uint8_t *freed;	   /* a bit for each page */
	struct buf record; /* one that has pages of its own */
};

static bool bit(const uint8_t *bits, uint64_t i)
{
	return bits[i / 8] & 1u << i % 8;
}

/* *data: of a node, wherever it lies. */
static bool read_data(struct salvage *salvage, const struct node *node, size_t max,
		      struct bytes *data)
{
	const struct pages *pages = &salvage->pages;

	*data = node->data;
	if (node->flags == 0)
		return node->len <= max;
	if (node->flags != NODE_BIG || node->len > max || node->pgno >= pages->in_file ||
	    pages_for(pages, node->len) > pages->in_file - node->pgno)
		return false;
	buf_clear(&salvage->record);
	uint8_t *at = buf_reserve(&salvage->record, (size_t)node->len);

	*data = bytes_of(at, (size_t)node->len);
	return !read_at(pages, node->pgno * pages->psize + HEAD_BYTES, at, (size_t)node->len);
}

static void note_freed(struct salvage *salvage, const struct node *node)
{
	struct pages *pages = &salvage->pages;
	struct bytes list;
	bool read = read_data(salvage, node, (size_t)pages->in_file * 8 + 8, &list);
	struct cursor c = cursor_over(read ? list : (struct bytes){ 0 });
	uint64_t count = cursor_le64(&c);

	salvage->tally->whole &= read && count <= cursor_left(&c) / 8;
	while (count-- && cursor_left(&c) >= 8) {
		uint64_t pgno = cursor_le64(&c);

		if (pgno < pages->in_file)
			salvage->freed[pgno / 8] |= (uint8_t)(1u << pgno % 8);
	}
}

static int record_tell(struct salvage *salvage, const struct node *node, enum lmdb_where where,
		       struct bytes table)
{
	struct lmdb_found found = { where, table, node->key, { 0 } };

	if (!read_data(salvage, node, salvage->value_max, &found.value))
		return 0;
	return salvage->each(salvage->ctx, &found);
}

static int walk(struct salvage *salvage, uint64_t pgno, unsigned depth, enum tree_kind kind,
		struct bytes table);

static int walk_tree(struct salvage *salvage, const struct tree *tree, enum tree_kind kind,
		     struct bytes table)
{
	if (kind == TREE_TABLE)
		salvage->tally->records += tree->records;
	if (!tree->depth)
		return 0;
	return walk(salvage, tree->root, tree->depth <= DEPTH_MAX ? tree->depth : DEPTH_MAX, kind,
		    table);
}

static int walk_node(struct salvage *salvage, const struct node *node, unsigned depth,
		     enum tree_kind kind, struct bytes table)
{
	struct tree tree;

	if (depth > 1)
		return walk(salvage, node->pgno, depth - 1, kind, table);
	if (kind == TREE_FREE)
		note_freed(salvage, node);
	if (kind == TREE_TABLE)
		return record_tell(salvage, node, LMDB_REACHED, table);
	if (kind != TREE_MAIN || node->flags != NODE_TREE || node->data.len != TREE_BYTES)
		return 0;
	parse_tree(node->data.at, &tree);
	return walk_tree(salvage, &tree, TREE_TABLE, node->key);
}

/* Marks the pages it saw; goes down as check_page(). What is not a page of the tree is left out. */
static int walk(struct salvage *salvage, uint64_t pgno, unsigned depth, enum tree_kind kind,
		struct bytes table)
{
	struct pages *pages = &salvage->pages;
	uint8_t *page = xcalloc(1, pages->psize);
	unsigned count = 0;
	struct node node;
	int err = 0;

	if (pgno < pages->in_file && !read_at(pages, pgno * pages->psize, page, pages->psize) &&
	    u64_at(page, 0) == pgno && flags_of(page) == (depth > 1 ? PAGE_BRANCH : PAGE_LEAF) &&
	    pages_mark(pages, pgno, 1))
		count = node_count(pages, page);
	if (!count && kind != TREE_TABLE)
		salvage->tally->whole = false;
	for (unsigned i = 0; i < count && !err; i++)
		if (node_at(pages, page, i, &node))
			err = walk_node(salvage, &node, depth, kind, table);
		else if (kind != TREE_TABLE)
			salvage->tally->whole = false;
	free(page);
	return err;
}

/* Leaves that no tree led to. */
static int sweep_pages(struct salvage *salvage, bool freed)
{
	struct pages *pages = &salvage->pages;
	uint8_t *page = xcalloc(1, pages->psize);
	struct node node;
	int err = 0;

	for (uint64_t pgno = METAS; pgno < pages->in_file && !err; pgno++) {
		/* A page that the disk does not give is left out. */
		if (bit(pages->seen, pgno) || bit(salvage->freed, pgno) != freed ||
		    read_at(pages, pgno * pages->psize, page, pages->psize) ||
		    u64_at(page, 0) != pgno || flags_of(page) != PAGE_LEAF)
			continue;
		unsigned count = node_count(pages, page);

		for (unsigned i = 0; i < count && !err; i++)
			if (node_at(pages, page, i, &node))
				err = record_tell(salvage, &node, freed ? LMDB_FREED : LMDB_LOOSE,
						  (struct bytes){ 0 });
	}
	free(page);
	return err;
}

int lmdb_pages_salvage(int fd, size_t value_max, lmdb_found_fn *each, void *ctx,
		       struct lmdb_tally *tally)
{
	struct salvage salvage = { .pages = { .fd = fd },
				   .value_max = value_max,
				   .each = each,
				   .ctx = ctx,
				   .tally = tally };
	struct pages *pages = &salvage.pages;
	int good = read_metas(pages), err = 0;

	if (good < 0)
		return good;
	*tally = (struct lmdb_tally){ .whole = good == METAS };
	pages->count = pages->in_file;
	pages->seen = xcalloc(pages->in_file / 8 + 1, 1);
	salvage.freed = xcalloc(pages->in_file / 8 + 1, 1);
	if (good)
		err = walk_tree(&salvage, &pages->trees[TREE_FREE], TREE_FREE, (struct bytes){ 0 });
	if (good && !err)
		err = walk_tree(&salvage, &pages->trees[TREE_MAIN], TREE_MAIN, (struct bytes){ 0 });
	if (!err)
		err = sweep_pages(&salvage, false);
	if (!err)
		err = sweep_pages(&salvage, true);
	buf_release(&salvage.record);
	free(pages->seen);
	free(salvage.freed);
	return err;
}
