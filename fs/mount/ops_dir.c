/* Listing directories. Only the directory's own blocks are waited for: children that are stored
 * come with their attributes, the others are asked for ahead and looked up when somebody wants to
 * know. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define LISTING_MAX (1u << 20) /* bytes of one reply */
#define ENTRY_BYTES 256	       /* of an entry in blocks, list and index, about */
#define DOTS 2		       /* entries before the first of dir/ */
#define PLUS_FIRST_MAX 65536   /* entries with attributes; huge directories are listed by name */

struct listing {
	fuse_req_t req;
	struct mount *mount;
	struct inode *inode;
	struct view *view; /* NULL: not content */
	bool plus;
	char *at;
	size_t size, used;
	uint64_t *entered; /* inodes counted for this reply: their numbers */
	size_t entered_count, entered_cap;
};

/* Of a tree nothing changes: ENOSYS tells the kernel not to ask again, and to keep what it was
 * listed. In a namespace pins come and go. */
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inode *inode = ops_inode(req, ino);

	if (!inode)
		return;
	if (ops_mount(req)->dirs_stay) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if (inode->kind != INODE_ROOTS) { /* pins come and go, all else is as it is */
		fi->cache_readdir = 1;
		fi->keep_cache = 1;
	}
	fuse_reply_open(req, fi);
}

/* ---- one entry ---- */

/* False when it does not fit. */
static bool add(struct listing *listing, const char *name, const struct fuse_entry_param *entry,
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

/* The child with its attributes, one lookup counted, when that needs no waiting; else NULL. */
static struct inode *known_child(struct listing *listing, const struct cid *cid, struct place place)
{
	struct mount *mount = listing->mount;
	struct root *root = listing->inode->root;
	struct inode *inode = inode_known(&mount->inodes, cid, place);
	struct dag_stat stat;

	if (inode || !blocks_has(&root->blocks, cid))
		return inode;
	struct worker *worker = worker_self(mount);
	int gave_up = worker->gave_up;

	worker->gave_up = -ETIMEDOUT; /* were it evicted just now: no fetching */
	int err = dag_stat(&root->blocks, cid, &worker->wait, &stat);

	worker->gave_up = gave_up;
	return err ? NULL : inode_enter(&mount->inodes, root, cid, place, &stat);
}

/* Without attributes. The kernel will look it up when needed; its kind is known when it is a raw
 * block. */
static void unknown_child(const struct cid *cid, struct place place, struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){ 0 };
	entry->attr.st_ino = inode_number(cid, place);
	if (cid->codec == CODEC_RAW)
		entry->attr.st_mode = S_IFREG;
}

static int add_child(void *ctx, size_t index, const struct dir_entry *child)
{
	struct listing *listing = ctx;
	struct place place = place_of(listing->inode, child->name);
	struct fuse_entry_param entry;
	struct inode *inode = NULL;
	char name[256];

	memcpy(name, child->name.at, child->name.len);
	name[child->name.len] = 0;
	if (listing->plus && index < PLUS_FIRST_MAX)
		inode = known_child(listing, &child->cid, place);
	if (inode)
		ops_entry(listing->mount, inode, &entry);
	else
		unknown_child(&child->cid, place, &entry);
	if (!add(listing, name, &entry, (off_t)(index + DOTS + 1))) {
		if (inode)
			inode_forget(&listing->mount->inodes, inode->ino, 1);
		return 1;
	}
	if (inode)
		note_entered(listing, inode->ino);
	return 0;
}

/* ---- fixed directories ---- */

static bool add_dot(struct listing *listing, const char *name, uint64_t ino, off_t next)
{
	struct fuse_entry_param entry = { .attr = { .st_ino = ino, .st_mode = S_IFDIR } };

	return add(listing, name, &entry, next);
}

struct pins {
	struct listing *listing;
	size_t index, from;
};

static int add_pin(void *ctx, const struct pin *pin)
{
	struct pins *pins = ctx;
	struct fuse_entry_param entry;
	char text[CID_TEXT_MAX];

	if (pins->index++ < pins->from)
		return 0;
	cid_text(&pin->cid, text);
	unknown_child(&pin->cid, place_of(pins->listing->inode, bytes_str(text)), &entry);
	return !add(pins->listing, text, &entry, (off_t)(pins->index + DOTS));
}

static int list_fixed(struct listing *listing, size_t from)
{
	struct pins pins = { .listing = listing, .from = from };

	if (listing->inode->kind == INODE_NAMESPACE) {
		if (from == 0)
			add_dot(listing, "ipfs", INODE_IPFS, DOTS + 1);
		return 0;
	}
	return listing->mount->db ? pin_each(listing->mount->db, add_pin, &pins) : 0;
}

/* ---- the whole ---- */

static int list_content(struct listing *listing, size_t from)
{
	struct mount *mount = listing->mount;
	struct wait *wait = &worker_self(mount)->wait;
	struct view *view;
	size_t count;
	int err = view_get(&mount->inodes, listing->inode, wait, &view);

	if (err)
		return err;
	listing->view = view;
	err = dir_count(view->dir, wait, &count);
	if (!err && !atomic_exchange(&view->listed, true))
		view_weigh(&mount->inodes, view, count * ENTRY_BYTES);
	if (!err && listing->plus && from == 0 && mount->below)
		mount_ahead_listed(mount, view, wait, listing->inode->place.parent != 0);
	return err ? err : dir_each(view->dir, from, wait, add_child, listing);
}

static int fill(struct listing *listing, off_t from)
{
	const struct inode *inode = listing->inode;
	uint64_t parent = inode->place.parent ? inode->place.parent : INODE_ROOT;
	size_t index = from > DOTS ? (size_t)from - DOTS : 0;

	if (from < 1 && !add_dot(listing, ".", inode->ino, 1))
		return 0;
	if (from < DOTS && !add_dot(listing, "..", parent, DOTS))
		return 0;
	return inode->kind == INODE_CONTENT ? list_content(listing, index)
					    : list_fixed(listing, index);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from, bool plus)
{
	struct listing listing = { .req = req, .mount = ops_mount(req), .plus = plus };
	struct cid cid;

	listing.inode = ops_inode(req, ino);
	if (!listing.inode)
		return;
	listing.size = size < LISTING_MAX ? size : LISTING_MAX;
	listing.at = xcalloc(1, listing.size);
	int err = listing.inode->type == DAG_DIRECTORY ? fill(&listing, from) : -ENOTDIR;
	bool lost = false;

	if (err < 0)
		ops_fail(req, err, inode_cid(listing.inode, &cid) ? &cid : NULL);
	else
		lost = fuse_reply_buf(req, listing.at, listing.used) != 0;
	/* An interrupted caller knows nothing of what was counted for it. */
	for (size_t i = 0; (err < 0 || lost) && i < listing.entered_count; i++)
		inode_forget(&listing.mount->inodes, listing.entered[i], 1);
	if (listing.view)
		view_put(&listing.mount->inodes, listing.view);
	free(listing.entered);
	free(listing.at);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, from, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t from,
		     struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, from, true);
}
