/* A fixed tree goes into a share directory by directory. Those still to be done wait in a list, not
 * on the stack, since a tree may be as deep as it likes; each holds a reference of its node. */
#include "fs/api/api_plant.h"

#include "dag/share.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_MODE 0644 /* where none is stored */
#define DIR_MODE 0755

/* A directory whose entries are still to be planted. */
struct bed {
	struct list node;
	uint64_t dir;
	struct cid cid, manifest; /* manifest not set: none, or empty */
};

struct planting {
	struct api_plant *plant;
	struct list beds;
	uint64_t dir;	     /* of the entries at hand */
	struct cid manifest; /* likewise */
	struct cid below;    /* of the directory that was just looked up in it */
};

static struct tree *tree_of(struct planting *planting)
{
	return share_tree(planting->plant->share);
}

static struct wait *next_wait(struct planting *planting)
{
	return api_wait(planting->plant->call);
}

static void plant_tell(struct planting *planting, uint64_t dir, struct bytes name)
{
	share_changed(planting->plant->share, TREE_ENTRY, dir, name, 0);
}

/* ---- modes and times of a manifest ---- */

/* What it shows: the value that was written last. (There is one where one person wrote.) */
static const struct manifest_value *value_of(const struct manifest_entry *entry)
{
	const struct manifest_value *last = NULL;

	for (size_t i = 0; i < entry->value_count; i++)
		if (!last || entry->values[i].stamp >= last->stamp)
			last = &entry->values[i];
	return last;
}

static const struct manifest_meta *meta_of(const struct manifest_entry *entry)
{
	const struct manifest_meta *last = NULL;

	for (size_t i = 0; i < entry->meta_count; i++)
		if (!last || entry->metas[i].stamp >= last->stamp)
			last = &entry->metas[i];
	return last;
}

/* Fills in what the manifest of the directory says of name; nothing if it says nothing. */
static int look_into_manifest(struct planting *planting, struct bytes name, struct dag_stat *stat)
{
	struct manifest_entry entry = { 0 };
	const struct manifest_value *value;
	const struct manifest_meta *meta;
	int err;

	planting->below = (struct cid){ 0 };
	if (!cid_is_set(&planting->manifest))
		return 0;
	err = radix_lookup(planting->plant->radix, &planting->manifest, name, next_wait(planting),
			   &entry);
	if (err)
		return err == -ENOENT ? 0 : err;
	value = value_of(&entry);
	meta = meta_of(&entry);
	if (entry.has_dir)
		planting->below = entry.dir.link;
	if (meta)
		stat->mode = meta->mode;
	if (value && !entry.has_dir) {
		stat->has_mtime = true;
		stat->mtime = value->mtime;
		stat->mtime_nanos = value->mtime_nanos;
	}
	manifest_entry_release(&entry);
	return 0;
}

int api_plant_from_state(struct api_plant *plant, const struct cid *state, const char *path)
{
	int err = 0;

	plant->radix = radix_new(plant->blocks);
	plant->manifest = *state;
	for (size_t len; !err && *(path += strspn(path, "/")); path += len) {
		struct manifest_entry entry = { 0 };

		len = strcspn(path, "/");
		if (!path[len])
			break; /* its own entry is in the directory reached */
		err = radix_lookup(plant->radix, &plant->manifest,
				   bytes_of((const uint8_t *)path, len), api_wait(plant->call),
				   &entry);
		plant->manifest = entry.dir.link;
		manifest_entry_release(&entry);
	}
	return err;
}

int api_plant_hold(struct api_plant *plant, const struct cid *cid, const char *name)
{
	struct api_call *call = plant->call;
	struct db *db = api_repo(call)->db;
	struct pin pin;
	bool pinned = pin_get(db, cid, &pin) == 0;

	if (pinned && pin.kind == PIN_RECURSIVE && pin.state == PIN_DONE)
		return 0;
	if (!pinned)
		plant->held = *cid;
	return pin_add(db, plant->blocks, cid, PIN_RECURSIVE, pinned ? "" : name, api_wait(call),
		       (uint64_t)api_int(call->args, "timeout"), NULL, NULL);
}

void api_plant_release(struct api_plant *plant)
{
	radix_free(plant->radix);
	plant->radix = NULL;
	if (cid_is_set(&plant->held)) /* also one that was not completed */
		pin_rm(api_repo(plant->call)->db, &plant->held, PIN_RECURSIVE);
	plant->held = (struct cid){ 0 };
}

/* ---- kinds of entries ---- */

static mode_t mode_of(const struct dag_stat *stat, mode_t fallback)
{
	return stat->mode ? stat->mode & 0777 : fallback;
}

static int plant_file(struct planting *planting, uint64_t dir, struct bytes name,
		      const struct cid *cid, const struct dag_stat *stat)
{
	struct tree_graft graft = { .root = *cid,
				    .size = stat->size,
				    .mode = mode_of(stat, FILE_MODE),
				    .mtime = { stat->mtime, stat->mtime_nanos } };
	struct tree_attr attr;
	int err;

	if (!stat->has_mtime)
		clock_gettime(CLOCK_REALTIME, &graft.mtime);
	err = tree_graft(tree_of(planting), dir, name, &graft, next_wait(planting), &attr);
	if (err)
		return err;
	tree_forget(tree_of(planting), attr.node, 1);
	plant_tell(planting, dir, name);
	planting->plant->files++;
	return 0;
}

/* What is at name, if it is no directory, goes. */
static int make_way(struct planting *planting, uint64_t dir, struct bytes name)
{
	int err = tree_unlink(tree_of(planting), dir, name, false, next_wait(planting));

	return err == -ENOENT ? 0 : err;
}

static int plant_symlink(struct planting *planting, uint64_t dir, struct bytes name,
			 const struct cid *cid)
{
	struct tree_new how = { .mode = S_IFLNK | 0777 };
	struct buf target = { 0 };
	struct tree_attr attr;
	int err = dag_readlink(planting->plant->blocks, cid, next_wait(planting), &target);

	how.target = buf_bytes(&target);
	if (!err)
		err = make_way(planting, dir, name);
	if (!err)
		err = tree_create(tree_of(planting), dir, name, &how, next_wait(planting), &attr);
	buf_release(&target);
	if (err)
		return err;
	tree_forget(tree_of(planting), attr.node, 1);
	plant_tell(planting, dir, name);
	planting->plant->files++;
	return 0;
}

/* The directory at name, made if it is missing; attr counts a reference. */
static int enter_dir(struct planting *planting, uint64_t dir, struct bytes name,
		     const struct dag_stat *stat, struct tree_attr *attr)
{
	const struct tree_new how = { .mode = S_IFDIR | mode_of(stat, DIR_MODE) };
	int err = tree_lookup(tree_of(planting), dir, name, next_wait(planting), attr);

	if (!err && S_ISDIR(attr->mode))
		return 0;
	if (!err) {
		tree_forget(tree_of(planting), attr->node, 1);
		err = make_way(planting, dir, name);
	}
	if (!err || err == -ENOENT)
		err = tree_create(tree_of(planting), dir, name, &how, next_wait(planting), attr);
	if (!err)
		plant_tell(planting, dir, name);
	return err;
}

static int plant_dir(struct planting *planting, uint64_t dir, struct bytes name,
		     const struct cid *cid, const struct dag_stat *stat)
{
	struct tree_attr attr;
	int err = enter_dir(planting, dir, name, stat, &attr);

	if (err)
		return err;
	struct bed *bed = xnew(struct bed);

	bed->dir = attr.node;
	bed->cid = *cid;
	bed->manifest = planting->below;
	list_add_head(&planting->beds, &bed->node);
	return 0;
}

static int plant_one(struct planting *planting, uint64_t dir, struct bytes name,
		     const struct cid *cid)
{
	struct dag_stat stat;
	int err = dag_stat(planting->plant->blocks, cid, next_wait(planting), &stat);

	if (!err)
		err = look_into_manifest(planting, name, &stat);
	if (err)
		return err;
	switch (stat.type) {
	case DAG_FILE:
		return plant_file(planting, dir, name, cid, &stat);
	case DAG_SYMLINK:
		return plant_symlink(planting, dir, name, cid);
	case DAG_DIRECTORY:
		return plant_dir(planting, dir, name, cid, &stat);
	case DAG_OTHER:
		break;
	}
	return -EMEDIUMTYPE;
}

static int plant_entry(void *ctx, size_t index, const struct dir_entry *entry)
{
	struct planting *planting = ctx;

	(void)index;
	return plant_one(planting, planting->dir, entry->name, &entry->cid);
}

static int plant_entries(struct planting *planting, uint64_t node, const struct cid *cid,
			 const struct cid *manifest)
{
	struct dir *dir;
	int err = dir_open(planting->plant->blocks, cid, next_wait(planting), &dir);

	if (err)
		return err;
	planting->dir = node;
	planting->manifest = *manifest;
	err = dir_each(dir, 0, next_wait(planting), plant_entry, planting);
	dir_close(dir);
	return err;
}

/* Until no directory is left, or one failed. */
static int plant_beds(struct planting *planting, int err)
{
	while (!list_empty(&planting->beds)) {
		struct bed *bed = list_first(&planting->beds, struct bed, node);

		list_remove(&bed->node);
		if (!err)
			err = plant_entries(planting, bed->dir, &bed->cid, &bed->manifest);
		tree_forget(tree_of(planting), bed->dir, 1);
		free(bed);
	}
	return err;
}

int api_plant(struct api_plant *plant, uint64_t dir, struct bytes name, const struct cid *cid)
{
	struct planting planting = { .plant = plant, .manifest = plant->manifest };

	list_init(&planting.beds);
	return plant_beds(&planting, plant_one(&planting, dir, name, cid));
}

int api_plant_below(struct api_plant *plant, uint64_t dir, const struct cid *cid)
{
	struct planting planting = { .plant = plant };

	list_init(&planting.beds);
	return plant_beds(&planting, plant_entries(&planting, dir, cid, &plant->manifest));
}
