/* Plain directories of versions: every entry that a manifest shows is added to a dir_builder, which
 * makes a basic directory or a HAMT of all. The caller's thread. */
#include "dag/tree/commit_plain.h"

#include "dag/dag.h"
#include "dag/import.h"
#include "dag/tree/shown.h"
#include "net/base/alloc.h"

#include <errno.h>

struct plain {
	struct blocks *blocks;
	struct dir_builder *builder;
	struct wait *wait;
	bool one_a_hash; /* of names that collide, only the first is added */
	bool any;	 /* an entry was added; the last one's hash: */
	uint64_t hash;
};

static int put_symlink(struct blocks *blocks, struct bytes target, struct cid *cid, uint64_t *size)
{
	struct unixfs unixfs = { .type = UNIXFS_SYMLINK, .has_data = true, .data = target };
	struct buf data = { 0 }, block = { 0 };

	unixfs_encode(&data, &unixfs);
	dagpb_put_data(&block, buf_bytes(&data));
	buf_release(&data);
	*size = block.len;
	int err = cid_of_data(cid, 1, CODEC_DAG_PB, HASH_SHA2_256, buf_bytes(&block));

	if (!err) {
		struct block *put = block_take(cid, &block);

		err = blocks_put(blocks, put);
		block_unref(put);
	}
	buf_release(&block);
	return err;
}

/* What a link to a file claims: all bytes of its blocks. */
static int file_tree_size(const struct plain *plain, const struct manifest_value *value,
			  uint64_t *size)
{
	struct dag_stat stat;
	int err;

	*size = value->size;
	if (value->cid.codec == CODEC_RAW)
		return 0;
	err = dag_stat(plain->blocks, &value->cid, plain->wait, &stat);
	if (!err)
		*size = stat.tree_size;
	return err;
}

static int add_entry(struct plain *plain, const struct manifest_entry *entry)
{
	struct shown shown;
	struct cid cid;
	uint64_t size, hash = manifest_hash(entry->name);
	int err = 0;

	if (!shown_entry(entry, &shown))
		return 0;
	if (plain->one_a_hash && plain->any && plain->hash == hash)
		return 0;
	plain->any = true;
	plain->hash = hash;
	if (!shown.value) {
		cid = entry->dir.tree;
		size = entry->dir.tree_size;
	} else if (S_ISLNK(shown.mode)) {
		err = put_symlink(plain->blocks, shown.value->target, &cid, &size);
	} else {
		cid = shown.value->cid;
		err = file_tree_size(plain, shown.value, &size);
	}
	return err ? err : dir_builder_add(plain->builder, entry->name, &cid, size);
}

static int add_all(struct plain *plain, struct radix *radix, const struct cid *manifest)
{
	struct radix_iter *iter = radix_iter_new(radix, manifest, 0, bytes_of(NULL, 0));
	const struct manifest_entry *entry;
	int got;

	while ((got = radix_iter_next(iter, plain->wait, &entry)) > 0) {
		got = add_entry(plain, entry);
		if (got < 0)
			break;
	}
	radix_iter_free(iter);
	return got;
}

static int commit_plain_make(struct plain *plain, struct radix *radix, const struct cid *manifest,
			     struct cid *tree, uint64_t *size)
{
	struct import_config config;
	int err = import_profile(&config, "unixfs-v1-2025");

	if (err)
		return err;
	plain->builder = dir_builder_new(plain->blocks, &config);
	if (cid_is_set(manifest))
		err = add_all(plain, radix, manifest);
	if (!err)
		err = dir_builder_finish(plain->builder, 0, false, 0, 0, tree, size);
	dir_builder_free(plain->builder);
	return err;
}

int plain_make(struct blocks *blocks, struct radix *radix, const struct cid *manifest,
	       struct wait *wait, struct cid *tree, uint64_t *size)
{
	struct plain plain = { .blocks = blocks, .wait = wait };
	int err = commit_plain_make(&plain, radix, manifest, tree, size);

	if (err != -EOVERFLOW) /* of a HAMT: names collide */
		return err;
	plain.one_a_hash = true;
	return commit_plain_make(&plain, radix, manifest, tree, size);
}
