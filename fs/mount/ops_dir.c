/* Listing directories, opened or not. What is in them, and which entries come with attributes, is
 * the tree's to say. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>

#define LISTING_MAX (1u << 20) /* bytes of one reply */
#define DOTS 2		       /* entries before the first of the tree's */

struct listing {
	fuse_req_t req;
	struct tree_call call;
	struct inode *inode;
	double entry_s;
	bool plus;
	char *at;
	size_t size, used;
	uint64_t *entered; /* inodes counted for this reply: their numbers */
	size_t entered_count, entered_cap;
};

/* Where nothing changes ENOSYS tells the kernel not to ask again, and to keep what it was listed.
 */
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	if (ops_mount(req)->dirs_unasked) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->cache_readdir = fi->keep_cache = ops_validity(inode).keep_list;
	fuse_reply_open(req, fi);
}

/* ---- one entry ---- */

/* False when it does not fit. */
static bool dir_add(struct listing *listing, const char *name, const struct fuse_entry_param *entry,
		    off_t next)
{
	char *at = listing->at + listing->used;
	size_t room = listing->size - listing->used;
	size_t need = listing->plus
			      ? fuse_add_direntry_plus(listing->req, at, room, name, entry, next)
			      : fuse_add_direntry(listing->req, at, room, name, &entry->attr, next);

	if (need > room)
		return false;
	listing->used += need;
	return true;
}

static void note_entered(struct listing *listing, uint64_t ino)
{
	if (listing->entered_count == listing->entered_cap) {
		listing->entered_cap = listing->entered_cap ? 2 * listing->entered_cap : 64;
		listing->entered =
			xrealloc(listing->entered, listing->entered_cap * sizeof *listing->entered);
	}
	listing->entered[listing->entered_count++] = ino;
}

/* A tree's. What cannot be told now is left to be looked up. */
static int add_entry(void *ctx, const struct tree_entry *found)
{
	struct listing *listing = ctx;
	struct inode *inode = found->inode;
	struct fuse_entry_param entry;
	bool fits;

	if (!inode || ops_entry(&listing->call, listing->entry_s, inode, &entry))
		entry = (struct fuse_entry_param){ .attr = { .st_ino = found->ino,
							     .st_mode = found->type } };
	fits = dir_add(listing, found->name, &entry, (off_t)(found->next + DOTS));
	if (inode && fits && entry.ino)
		note_entered(listing, inode->ino);
	else if (inode)
		inode_forget(listing->call.inodes, inode->ino, 1);
	return !fits;
}

static bool add_dot(struct listing *listing, const char *name, uint64_t ino, off_t next)
{
	struct fuse_entry_param entry = { .attr = { .st_ino = ino, .st_mode = S_IFDIR } };

	return dir_add(listing, name, &entry, next);
}

/* ---- the whole ---- */

static int dir_fill(struct listing *listing, off_t from)
{
	struct inode *inode = listing->inode;
	uint64_t parent = inode->place.parent ? inode->place.parent : INODE_ROOT;
	uint64_t after = from > DOTS ? (uint64_t)from - DOTS : 0;

	if (from < 1 && !add_dot(listing, ".", inode->ino, 1))
		return 0;
	if (from < DOTS && !add_dot(listing, "..", parent, DOTS))
		return 0;
	return inode->tree->ops->list(inode->tree, &listing->call, inode, after, listing->plus,
				      add_entry, listing);
}

/* readdir and readdirplus: one buffer of entries, whose lookups are taken back if it does not
 * arrive. */
static void dir_list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from, bool plus)
{
	struct listing listing = { .req = req, .call = ops_call(req), .plus = plus };

	listing.inode = ops_inode(req, ino);
	if (!listing.inode)
		return;
	listing.entry_s = ops_validity(listing.inode).entry_s;
	listing.size = size < LISTING_MAX ? size : LISTING_MAX;
	listing.at = xcalloc(1, listing.size);
	int err = listing.inode->type == DAG_DIRECTORY ? dir_fill(&listing, from) : -ENOTDIR;
	bool lost = false;

	if (err < 0)
		ops_fail_call(req, err, &listing.call, listing.inode);
	else
		lost = fuse_reply_buf(req, listing.at, listing.used) != 0;
	/* An interrupted caller knows nothing of what was counted for it. */
	for (size_t i = 0; (err < 0 || lost) && i < listing.entered_count; i++)
		inode_forget(listing.call.inodes, listing.entered[i], 1);
	free(listing.entered);
	free(listing.at);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from, struct fuse_file_info *fi)
{
	(void)fi;
	dir_list(req, ino, size, from, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from,
		     struct fuse_file_info *fi)
{
	(void)fi;
	dir_list(req, ino, size, from, true);
}
