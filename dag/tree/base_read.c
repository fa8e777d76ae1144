/* Directories of bases. Manifests are read as they are (radix.h); of plain UnixFS all names are
 * listed at once and put in the order of their hashes. */
#include "dag/tree/base_read.h"

#include "dag/dag.h"
#include "dag/tree/shown.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 64 /* children asked for ahead of a listing */

/* ---- plain directories ---- */

struct plain_name {
	uint64_t hash;
	struct bytes name; /* owned */
	struct cid cid;
};

struct plain_list {
	struct plain_name *names;
	size_t count, cap;
};

static void list_release(struct plain_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free((void *)list->names[i].name.at);
	free(list->names);
	*list = (struct plain_list){ 0 };
}

static int list_add(void *ctx, size_t index, const struct dir_entry *entry)
{
	struct plain_list *list = ctx;
	uint8_t *name = xcalloc(1, entry->name.len + 1);

	(void)index;
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 64;
		list->names = xrealloc(list->names, list->cap * sizeof(*list->names));
	}
	memcpy(name, entry->name.at, entry->name.len);
	list->names[list->count++] = (struct plain_name){ .hash = manifest_hash(entry->name),
							  .name = bytes_of(name, entry->name.len),
							  .cid = entry->cid };
	return 0;
}

static int name_order(const void *a, const void *b)
{
	const struct plain_name *x = a, *y = b;

	return manifest_order(x->hash, x->name, y->hash, y->name);
}

static int list_read(struct blocks *blocks, const struct cid *cid, struct wait *wait,
		     struct plain_list *list)
{
	struct dir *dir;
	int err = dir_open(blocks, cid, wait, &dir);

	if (err)
		return err;
	err = dir_each(dir, 0, wait, list_add, list);
	dir_close(dir);
	if (err)
		list_release(list);
	else if (list->count)
		qsort(list->names, list->count, sizeof(*list->names), name_order);
	return err;
}

/* An entry, and all that it points to. */
struct plain_said {
	struct manifest_value value;
	struct manifest_dot dot;
	struct manifest_meta meta;
	uint8_t name[MANIFEST_NAME_MAX];
	uint8_t target[MANIFEST_TARGET_MAX];
};

static int say_symlink(struct blocks *blocks, const struct cid *cid, struct wait *wait,
		       struct plain_said *said)
{
	struct buf target = { 0 };
	int err = dag_readlink(blocks, cid, wait, &target);

	if (!err &&
	    (!target.len || target.len > sizeof(said->target) || memchr(target.at, 0, target.len)))
		err = -EIO;
	if (!err) {
		memcpy(said->target, target.at, target.len);
		said->value.flags = MANIFEST_SYMLINK;
		said->value.target = bytes_of(said->target, target.len);
		said->value.size = target.len;
	}
	buf_release(&target);
	return err;
}

/* What the child's block says of itself. What is no UnixFS is shown as an empty file without
 * permissions. */
static int say_plain(struct blocks *blocks, struct bytes name, const struct cid *cid,
		     struct wait *wait, struct manifest_entry *out)
{
	struct dag_stat stat;
	int err = dag_stat(blocks, cid, wait, &stat);
	struct plain_said *said;

	if (err)
		return err;
	said = xnew(struct plain_said);
	memcpy(said->name, name.at, name.len);
	*out = (struct manifest_entry){ .name = bytes_of(said->name, name.len), .memory = said };
	uint64_t id = (manifest_hash(cid_bytes(cid)) >> 1) | 1;

	said->value = (struct manifest_value){ .stamp = 1,
					       .id = id,
					       .size = stat.size,
					       .mtime = stat.has_mtime ? stat.mtime : 0,
					       .mtime_nanos = stat.mtime_nanos,
					       .cid = *cid };
	said->meta = (struct manifest_meta){ .stamp = 1,
					     .mode = stat.mode & 07777,
					     .mtime = said->value.mtime,
					     .mtime_nanos = stat.mtime_nanos };
	if (stat.type == DAG_DIRECTORY) {
		said->dot = (struct manifest_dot){ .stamp = 1, .id = id };
		out->has_dir = true;
		out->dir = (struct manifest_dir){
			.dots = &said->dot, .dot_count = 1, .link = *cid, .tree = *cid
		};
		if (!said->meta.mode)
			said->meta.mode = SHOWN_DIR_MODE;
	} else {
		out->values = &said->value;
		out->value_count = 1;
	}
	if (stat.type == DAG_OTHER) {
		said->value.size = 0;
		said->value.cid = (struct cid){ 0 };
	}
	if (stat.type == DAG_SYMLINK)
		err = say_symlink(blocks, cid, wait, said);
	if (said->meta.mode || stat.type == DAG_OTHER) {
		out->metas = &said->meta;
		out->meta_count = 1;
	}
	if (err)
		manifest_entry_release(out);
	return err;
}

/* ---- either ---- */

static bool is_manifest(const struct cid *dir)
{
	return dir->codec == CODEC_DAG_CBOR;
}

int base_lookup(const struct base_reader *reader, const struct cid *cid, struct bytes name,
		struct wait *wait, struct manifest_entry *said)
{
	struct dir_entry entry;
	struct dir *dir;

	if (is_manifest(cid))
		return radix_lookup(reader->radix, cid, name, wait, said);
	int err = dir_open(reader->blocks, cid, wait, &dir);

	if (err)
		return err;
	err = dir_lookup(dir, name, wait, &entry);
	if (!err)
		err = say_plain(reader->blocks, name, &entry.cid, wait, said);
	dir_close(dir);
	return err;
}

struct base_iter {
	const struct base_reader *reader;
	struct radix_iter *radix; /* NULL: a plain directory */
	struct cid dir;
	uint64_t hash; /* where it begins */
	struct buf name;
	bool listed;
	struct plain_list list;
	size_t next;
	struct manifest_entry said;
};

struct base_iter *base_iter_new(const struct base_reader *reader, const struct cid *dir,
				uint64_t hash, struct bytes name)
{
	struct base_iter *iter = xnew(struct base_iter);

	iter->reader = reader;
	iter->dir = *dir;
	if (is_manifest(dir)) {
		iter->radix = radix_iter_new(reader->radix, dir, hash, name);
		return iter;
	}
	iter->hash = hash;
	buf_add(&iter->name, name);
	return iter;
}

void base_iter_free(struct base_iter *iter)
{
	if (!iter)
		return;
	radix_iter_free(iter->radix);
	buf_release(&iter->name);
	list_release(&iter->list);
	manifest_entry_release(&iter->said);
	free(iter);
}

static int list_names(struct base_iter *iter, struct wait *wait)
{
	struct bytes name = buf_bytes(&iter->name);
	int err = list_read(iter->reader->blocks, &iter->dir, wait, &iter->list);

	if (err)
		return err;
	iter->listed = true;
	while (iter->next < iter->list.count &&
	       manifest_order(iter->list.names[iter->next].hash, iter->list.names[iter->next].name,
			      iter->hash, name) < 0)
		iter->next++;
	return 0;
}

static void ask_ahead(struct base_iter *iter)
{
	struct cid cids[AHEAD];
	size_t count = 0;

	if (iter->next % AHEAD != 0 && iter->next != 1)
		return;
	for (size_t i = iter->next; i < iter->list.count && count < AHEAD; i++)
		cids[count++] = iter->list.names[i].cid;
	exchange_prefetch(iter->reader->blocks, cids, count);
}

int base_iter_next(struct base_iter *iter, struct wait *wait, const struct manifest_entry **said)
{
	int err;

	if (iter->radix)
		return radix_iter_next(iter->radix, wait, said);
	err = iter->listed ? 0 : list_names(iter, wait);
	if (err)
		return err;
	manifest_entry_release(&iter->said);
	if (iter->next == iter->list.count)
		return 0;
	ask_ahead(iter);
	const struct plain_name *name = &iter->list.names[iter->next];

	err = say_plain(iter->reader->blocks, name->name, &name->cid, wait, &iter->said);
	if (err)
		return err;
	iter->next++;
	*said = &iter->said;
	return 1;
}

/* ---- differences ---- */

/* Names and what they lead to; of a manifest, too, where the other side is plain. */
static int names_of(const struct base_reader *reader, const struct cid *dir, struct wait *wait,
		    struct plain_list *list)
{
	const struct manifest_entry *said;
	struct radix_iter *iter;
	int got;

	if (!cid_is_set(dir))
		return 0;
	if (!is_manifest(dir))
		return list_read(reader->blocks, dir, wait, list);
	iter = radix_iter_new(reader->radix, dir, 0, bytes_of(NULL, 0));
	while ((got = radix_iter_next(iter, wait, &said)) > 0) {
		const struct dir_entry entry = { .name = said->name };

		list_add(list, 0, &entry);
	}
	radix_iter_free(iter);
	if (got < 0)
		list_release(list);
	return got;
}

struct telling {
	int (*each)(void *ctx, struct bytes name);
	void *ctx;
};

static int tell_radix(void *ctx, struct bytes name, const struct manifest_entry *before,
		      const struct manifest_entry *after)
{
	const struct telling *telling = ctx;

	(void)before;
	(void)after;
	return telling->each(telling->ctx, name);
}

static int merge(const struct plain_list *a, const struct plain_list *b,
		 const struct telling *telling)
{
	size_t i = 0, k = 0;
	int stop = 0;

	while (!stop && (i < a->count || k < b->count)) {
		int order = i == a->count   ? 1
			    : k == b->count ? -1
					    : name_order(&a->names[i], &b->names[k]);
		const struct plain_name *name = order <= 0 ? &a->names[i] : &b->names[k];
		/* A manifest's entries have no CID here: they differ from any. */
		bool same = !order && cid_is_set(&name->cid) &&
			    cid_equal(&a->names[i].cid, &b->names[k].cid);

		if (!same)
			stop = telling->each(telling->ctx, name->name);
		i += order <= 0;
		k += order >= 0;
	}
	return stop;
}

int base_diff(const struct base_reader *reader, const struct cid *before, const struct cid *after,
	      struct wait *wait, int (*each)(void *ctx, struct bytes name), void *ctx)
{
	struct telling telling = { each, ctx };
	struct plain_list a = { 0 }, b = { 0 };
	bool plain_before = cid_is_set(before) && !is_manifest(before);
	bool plain_after = cid_is_set(after) && !is_manifest(after);

	if (!plain_before && !plain_after)
		return radix_diff(reader->radix, before, after, wait, tell_radix, &telling);
	int err = names_of(reader, before, wait, &a);

	if (!err)
		err = names_of(reader, after, wait, &b);
	if (!err)
		err = merge(&a, &b, &telling);
	list_release(&a);
	list_release(&b);
	return err;
}
