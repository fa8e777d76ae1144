/* Directories: what is common, and the basic kind. The list (and for basic directories the index
 * by name) is made when first needed, once. Many threads may use one struct dir. */
#include "dag/dir.h"

#include "dag/dir_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define SCANS_MAX 4 /* look-ups by scanning the links, before an index is worth its making */
#define SCAN_LINKS_MAX 16

static void set_entry(struct dir_entry *entry, const struct dagpb_link *link)
{
	entry->name = link->name;
	entry->cid = link->cid;
	entry->tsize = link->tsize;
}

void dir_item_entry(const struct dir *dir, const struct dir_item *item, struct dir_entry *entry)
{
	struct dagpb_link link;

	if (item->shard)
		hamt_shard_link(&item->shard->hamt, item->link, &link);
	else
		dagpb_link(&dir->node, item->link, &link);
	set_entry(entry, &link);
}

/* ---- opening ---- */

static int open_block(struct dir *dir, struct block *block)
{
	struct unixfs unixfs = { 0 };
	int err = dagpb_decode(&dir->node, block->data);

	if (err)
		return err;
	err = dir->node.has_data ? unixfs_decode(&unixfs, dir->node.data) : -ENOTDIR;
	if (err)
		return err;
	enum unixfs_type type = unixfs.type;

	unixfs_release(&unixfs);
	if (type == UNIXFS_HAMT_SHARD)
		return dir_shard_open(dir, block);
	if (type != UNIXFS_DIRECTORY)
		return -ENOTDIR;
	dir->block = block;
	return 0;
}

int dir_open(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct dir **out)
{
	struct block *block;

	if (cid->codec != CODEC_DAG_PB)
		return -ENOTDIR;
	int err = blocks_get(blocks, cid, wait, &block);

	if (err)
		return err;
	struct dir *dir = xnew(struct dir);

	dir->blocks = blocks;
	pthread_mutex_init(&dir->lock, NULL);
	err = open_block(dir, block);
	if (err) {
		block_unref(block);
		dir_close(dir);
		return err;
	}
	*out = dir;
	return 0;
}

void dir_close(struct dir *dir)
{
	if (!dir)
		return;
	map_release(&dir->index);
	free(dir->items);
	free(dir->left_out);
	dir_shard_close(dir);
	dagpb_release(&dir->node);
	block_unref(dir->block);
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}

/* ---- listing ---- */

/* Of duplicates the first counts. */
static void list_basic(struct dir *dir)
{
	size_t count = dir->node.link_count;

	dir->items = xcalloc(count ? count : 1, sizeof(*dir->items));
	for (size_t i = 0; i < count; i++) {
		struct dir_item *item = &dir->items[dir->item_count];
		struct dagpb_link link;

		dagpb_link(&dir->node, i, &link);
		if (!dir_name_ok(link.name)) {
			dir_leave_out(dir, NULL, i, DIR_NAME_BAD);
			continue;
		}
		if (map_get(&dir->index, link.name)) {
			dir_leave_out(dir, NULL, i, "another entry before it has the same name");
			continue;
		}
		item->link = (uint32_t)i;
		map_set(&dir->index, link.name, item);
		dir->item_count++;
	}
}

static int make_list(struct dir *dir, struct wait *wait)
{
	if (atomic_load(&dir->listed))
		return 0;
	int err = dir->root ? dir_shard_load_all(dir, wait) : 0;

	if (err)
		return err;
	pthread_mutex_lock(&dir->lock);
	if (!dir->listed) {
		if (dir->root)
			dir_shard_list(dir);
		else
			list_basic(dir);
		atomic_store(&dir->listed, true);
	}
	pthread_mutex_unlock(&dir->lock);
	return 0;
}

int dir_each(struct dir *dir, size_t from, struct wait *wait, dir_each_fn *each, void *ctx)
{
	int err = make_list(dir, wait);

	for (size_t i = from; !err && i < dir->item_count; i++) {
		struct dir_entry entry;

		dir_item_entry(dir, &dir->items[i], &entry);
		err = each(ctx, i, &entry);
	}
	return err;
}

int dir_each_left_out(struct dir *dir, struct wait *wait, dir_left_out_fn *each, void *ctx)
{
	int err = make_list(dir, wait);

	for (size_t i = 0; !err && i < dir->left_out_count; i++) {
		struct dir_entry entry;

		dir_item_entry(dir, &dir->left_out[i].item, &entry);
		err = each(ctx, &entry, dir->left_out[i].why);
	}
	return err;
}

int dir_count(struct dir *dir, struct wait *wait, size_t *count)
{
	int err = make_list(dir, wait);

	if (!err)
		*count = dir->item_count;
	return err;
}

/* ---- looking up ---- */

static int dir_scan(const struct dir *dir, struct bytes name, struct dir_entry *out)
{
	for (size_t i = 0; i < dir->node.link_count; i++) {
		struct dagpb_link link;

		dagpb_link(&dir->node, i, &link);
		if (bytes_equal(link.name, name)) {
			set_entry(out, &link);
			return 0;
		}
	}
	return -ENOENT;
}

int dir_lookup(struct dir *dir, struct bytes name, struct wait *wait, struct dir_entry *out)
{
	if (!dir_name_ok(name))
		return -ENOENT;
	if (dir->root)
		return dir_shard_lookup(dir, name, wait, out);
	if (!atomic_load(&dir->listed) && (dir->node.link_count <= SCAN_LINKS_MAX ||
					   atomic_fetch_add(&dir->lookups, 1) < SCANS_MAX))
		return dir_scan(dir, name, out);
	int err = make_list(dir, wait);

	if (err)
		return err;
	const struct dir_item *item = map_get(&dir->index, name);

	if (!item)
		return -ENOENT;
	dir_item_entry(dir, item, out);
	return 0;
}
