#include "exchange/store_pages.h"

#include "exchange/block.h"
#include "exchange/store_gen.h"
#include "net/base/alloc.h"
#include "net/base/log.h"
#include "net/wire/multihash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define MAGIC 0xbeefc0deu
#define VERSION 1
#define HEAD_BYTES 16 /* of a page: u64 number, u16, u16 flags, then u16 lower, u16 upper or u32 pages */
#define NODE_BYTES 8  /* of a node: u16 low, u16 high, u16 flags, u16 key size */
#define TREE_BYTES 48
#define PSIZE_MIN 512u
#define PSIZE_MAX 32768u
#define PSIZE_USUAL 4096u
#define METAS 2
#define DEPTH_MAX 32
#define RECORD_MAX (GEN_RECORD_HEAD + BLOCK_MAX)
#define NO_PAGE UINT64_MAX

enum page_flags { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum node_flags { NODE_BIG = 1, NODE_TREE = 2 };
enum tree_kind { TREE_FREE, TREE_MAIN, TREE_TABLE };

struct tree {
	uint64_t root;
	unsigned depth;
};

struct pages {
	int fd;
	const char *name;
	size_t psize;
	uint64_t in_file, count; /* pages; the last transaction uses those below count */
	struct tree trees[2];	 /* TREE_FREE, TREE_MAIN */
	uint8_t *seen;		 /* a bit for each page */
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
		log_error("store", "%s is damaged: page %llu %s", pages->name,
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
	tree->depth = u16_at(at, 6);
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

	if (psize < PSIZE_MIN || psize > PSIZE_MAX || (psize & (psize - 1)))
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
static bool mark(struct pages *pages, uint64_t pgno, uint64_t count)
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

		if (one >= before || !mark(pages, one, 1))
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

static int check_page(struct pages *pages, uint64_t pgno, unsigned depth, enum tree_kind kind);

static int check_tree(struct pages *pages, const struct tree *tree, enum tree_kind kind)
{
	if (tree->root == NO_PAGE && !tree->depth)
		return 0;
	if (!tree->depth || tree->depth > DEPTH_MAX)
		return damaged(pages, tree->root, "is the root of a tree of impossible depth");
	return check_page(pages, tree->root, tree->depth, kind);
}

static int check_leaf_node(struct pages *pages, uint64_t pgno, const struct node *node,
			   enum tree_kind kind)
{
	struct tree table;

	switch (node->flags) {
	case 0:
		return kind == TREE_FREE ? check_free_list(pages, pgno, node->data) : 0;
	case NODE_BIG:
		/* LMDB frees as many pages as the length asks for, or as their head says: is that rotten, see
		 * store_lmdb_write.c. */
		if (!mark(pages, node->pgno, pages_for(pages, node->len)))
			return damaged(pages, pgno, "leads out of the file, or where others lead");
		return kind == TREE_FREE ? check_big_free_list(pages, node) : 0;
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
		err = depth > 1 ? check_page(pages, node.pgno, depth - 1, kind) :
				  check_leaf_node(pages, pgno, &node, kind);
	}
	return err;
}

/* Goes down by at most DEPTH_MAX calls, and once from the main tree into that of a table. */
static int check_page(struct pages *pages, uint64_t pgno, unsigned depth, enum tree_kind kind)
{
	if (!mark(pages, pgno, 1))
		return damaged(pages, pgno, "is outside of the file, or in two places");
	uint8_t *page = xcalloc(1, pages->psize);
	int err = read_at(pages, pgno * pages->psize, page, pages->psize);

	if (!err && (u64_at(page, 0) != pgno ||
		     flags_of(page) != (depth > 1 ? PAGE_BRANCH : PAGE_LEAF)))
		err = damaged(pages, pgno, "is not what leads there takes it for");
	if (!err)
		err = check_nodes(pages, pgno, page, depth, kind);
	free(page);
	return err;
}

int pages_check(int fd, const char *name)
{
	struct pages pages = { .fd = fd, .name = name };
	int good = read_metas(&pages);

	if (good < 0)
		return good;
	if (good < METAS)
		return damaged(&pages, 0, "or 1 is not what a store begins with");
	if (pages.count <= METAS || pages.count > pages.in_file + GEN_TAIL_PAGES)
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
	pages_each_fn *each;
	void *ctx;
	struct buf record; /* one that has pages of its own */
};

static int tell(struct salvage *salvage, struct bytes key, struct bytes record)
{
	struct cursor c = cursor_over(record);
	uint64_t sum = cursor_le64(&c);
	struct bytes data = bytes_skip(record, GEN_RECORD_HEAD);
	struct multihash hash;

	if (c.bad || data.len > BLOCK_MAX || XXH3_64bits(data.at, data.len) != sum ||
	    multihash_decode(&hash, key) != (ssize_t)key.len)
		return 0;
	return salvage->each(salvage->ctx, key, data);
}

static int salvage_node(struct salvage *salvage, const struct node *node)
{
	const struct pages *pages = &salvage->pages;

	if (node->flags == 0)
		return tell(salvage, node->key, node->data);
	if (node->flags != NODE_BIG || node->len > RECORD_MAX || node->pgno >= pages->in_file ||
	    pages_for(pages, node->len) > pages->in_file - node->pgno)
		return 0;
	buf_clear(&salvage->record);
	uint8_t *at = buf_reserve(&salvage->record, (size_t)node->len);

	if (read_at(pages, node->pgno * pages->psize + HEAD_BYTES, at, (size_t)node->len))
		return 0;
	return tell(salvage, node->key, bytes_of(at, (size_t)node->len));
}

static int salvage_page(struct salvage *salvage, const uint8_t *page)
{
	unsigned count = node_count(&salvage->pages, page);
	struct node node;
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++)
		if (node_at(&salvage->pages, page, i, &node))
			err = salvage_node(salvage, &node);
	return err;
}

int pages_salvage(int fd, pages_each_fn *each, void *ctx)
{
	struct salvage salvage = { .pages = { .fd = fd }, .each = each, .ctx = ctx };
	const struct pages *pages = &salvage.pages;
	int err = read_metas(&salvage.pages);

	if (err < 0)
		return err;
	uint8_t *page = xcalloc(1, pages->psize);

	err = 0;
	for (uint64_t pgno = METAS; pgno < pages->in_file && !err; pgno++) {
		/* A page that the disk does not give is left out. */
		if (!read_at(pages, pgno * pages->psize, page, pages->psize) &&
		    u64_at(page, 0) == pgno && flags_of(page) == PAGE_LEAF)
			err = salvage_page(&salvage, page);
	}
	buf_release(&salvage.record);
	free(page);
	return err;
}
