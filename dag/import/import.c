/* Imports files and directories. The owner reads and cuts, a pool of threads hashes, and the
 * owner collects the results in the order in which it read, so that blocks and CIDs do not depend
 * on the number of threads. */
#include "dag/import.h"

#include "dag/dagpb.h"
#include "dag/hamt.h"
#include "dag/import/import_private.h"
#include "dag/unixfs.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 8192
#define HAMT_THRESHOLD 262144

/* ---- configuration ---- */

int import_profile(struct import_config *config, const char *name)
{
	struct import_config profile = {
		.cid_version = 1,
		.hash_code = HASH_SHA2_256,
		.raw_leaves = true,
		.chunker = "size-1048576",
		.links_max = 1024,
		.layout = LAYOUT_BALANCED,
		.hamt_fanout = HAMT_FANOUT_DEFAULT,
		.hamt_threshold = HAMT_THRESHOLD,
		.hamt_estimate = ESTIMATE_BLOCK,
	};

	if (strcmp(name, "unixfs-v0-2015") == 0) {
		profile.cid_version = 0;
		profile.raw_leaves = false;
		strcpy(profile.chunker, "size-262144");
		profile.links_max = 174;
		profile.hamt_estimate = ESTIMATE_LINKS;
	} else if (strcmp(name, "unixfs-v1-2025") != 0) {
		return -ENOENT;
	}
	*config = profile;
	return 0;
}

int import_config_check(const struct import_config *config, const char **why)
{
	struct chunker chunker;
	struct hamt_shape shape;
	struct multihash hash = { .code = config->hash_code };
	ssize_t digest_len = hash_native_len(config->hash_code);

	*why = NULL;
	hash.digest.len = digest_len > 0 ? (size_t)digest_len : 0;
	if (config->cid_version > 1)
		*why = "CID version is neither 0 nor 1";
	else if (config->hash_code == HASH_IDENTITY || digest_len < 0 || multihash_allowed(&hash))
		*why = "hash function is not known or not allowed";
	else if (config->cid_version == 0 && config->hash_code != HASH_SHA2_256)
		*why = "CID version 0 has no hash function but sha2-256";
	else if (config->links_max < 2 || config->links_max > LINKS_MAX)
		*why = "links of a file node are not 2..8192";
	else if (hamt_shape(&shape, config->hamt_fanout))
		*why = "HAMT fanout is no power of two in 8..1024";
	else if (config->inline_max > IMPORT_INLINE_MAX)
		*why = "blocks over 128 bytes cannot be inlined";
	else if (config->mode > 07777)
		*why = "mode is not within 0..07777";
	else if (config->mtime_nanos > 999999999)
		*why = "nanoseconds are not 0..999999999";
	else if (config->threads > IMPORT_THREADS_MAX)
		*why = "more than 16 threads";
	else if (!memchr(config->chunker, '\0', sizeof(config->chunker)))
		*why = "chunker's name is too long";
	else
		return chunker_init(&chunker, config->chunker, why);
	return -EINVAL;
}

/* ---- one import ---- */

int importer_init(struct importer *importer, struct blocks *blocks,
		  const struct import_config *config, struct wait *wait)
{
	const char *why;
	int err;

	*importer = (struct importer){ .wait = wait };
	list_init(&importer->live);
	err = import_config_check(config, &why);
	if (err)
		return err;
	builder_init(&importer->builder, blocks, config);
	err = chunker_init(&importer->chunker, config->chunker, &why);
	assert(!err);
	importer->leaves = leaf_pool_new(importer->chunker.max);
	importer->hash = hash_pool_new(&importer->builder.config);
	return 0;
}

static void entry_attributes(const struct import_config *config, enum entry_type type,
			     const struct stat *stat, struct attributes *out)
{
	/* As Kubo, a symlink's mode is not kept: it has none of its own. */
	if (stat && config->preserve_mode && type != ENTRY_SYMLINK)
		out->mode = stat->st_mode & 07777;
	else if (type != ENTRY_SYMLINK)
		out->mode = config->mode;
	if (stat && config->preserve_mtime) {
		out->has_mtime = true;
		out->mtime = stat->st_mtim.tv_sec;
		out->mtime_nanos = (uint32_t)stat->st_mtim.tv_nsec;
	} else if (config->has_mtime) {
		out->has_mtime = true;
		out->mtime = config->mtime;
		out->mtime_nanos = config->mtime_nanos;
	}
}

struct import_entry *importer_entry(struct importer *importer, struct import_entry *parent,
				    const char *name, enum entry_type type, const struct stat *stat)
{
	const struct import_config *config = &importer->builder.config;
	size_t name_len = strlen(name);
	struct import_entry *entry = xcalloc(1, sizeof(*entry) + name_len + 1);

	memcpy(entry->name, name, name_len + 1);
	entry->parent = parent;
	entry->type = type;
	if (type == ENTRY_FILE)
		file_tree_init(&entry->tree, &importer->builder);
	else if (type == ENTRY_DIRECTORY)
		entry->dir = dir_builder_new(importer->builder.blocks, config);
	entry_attributes(config, type, stat, &entry->attributes);
	list_add_tail(&importer->live, &entry->live);
	return entry;
}

void importer_forget(struct import_entry *entry)
{
	list_remove(&entry->live);
	if (entry->type == ENTRY_FILE)
		file_tree_release(&entry->tree);
	else if (entry->type == ENTRY_DIRECTORY)
		dir_builder_free(entry->dir);
	else
		free(entry->target);
	free(entry);
}

void importer_release(struct importer *importer)
{
	if (importer->hash)
		hash_pool_free(importer->hash);
	list_for_each_safe(entry, &importer->live, struct import_entry, live)
		importer_forget(entry);
	leaf_pool_free(importer->leaves);
	buf_release(&importer->window);
	import_seen_close(importer->seen);
	free(importer->real_path);
	free(importer->failed_path);
}

int importer_check(const struct importer *importer)
{
	return wait_check(importer->wait) == -EINTR ? -EINTR : 0;
}

void importer_path(struct buf *out, const struct import_entry *entry, const char *top,
		   const char *name)
{
	size_t len = 0;
	uint8_t *end;

	for (const struct import_entry *at = entry; at && at->parent; at = at->parent)
		len += strlen(at->name) + 1;
	buf_add_str(out, top);
	end = buf_reserve(out, len) + len;
	for (const struct import_entry *at = entry; at && at->parent; at = at->parent) {
		size_t name_len = strlen(at->name);

		end -= name_len;
		memcpy(end, at->name, name_len);
		*--end = '/';
	}
	out->len += len;
	if (entry && name) {
		buf_add_u8(out, '/');
		buf_add_str(out, name);
	}
}

int importer_failed(struct importer *importer, const struct import_entry *entry, const char *name,
		    int err)
{
	struct buf path = { 0 };

	if (importer->failed_path || !importer->path)
		return err;
	if (entry)
		importer_path(&path, entry, importer->path, name);
	else if (name)
		buf_add_str(&path, name);
	importer->failed_path = buf_take_text(&path);
	return err;
}

/* ---- collecting ---- */

static int collect_leaf(struct importer *importer, struct job *job)
{
	struct child leaf = { .cid = job->cid,
			      .file_size = job->leaf->len,
			      .tsize = job->data.len };
	int err = job->err;

	if (!err && !importer->builder.config.only_hash && !cid_is_identity(&job->cid)) {
		struct block *block = leaf_block(job->leaf, &job->cid, job->data);

		job->leaf = NULL;
		err = blocks_put(importer->builder.blocks, block);
		block_unref(block);
	}
	if (!err)
		err = file_tree_add(&job->entry->tree, &leaf);
	return err;
}

static int put_symlink(const struct importer *importer, const struct import_entry *entry,
		       struct child *out)
{
	struct unixfs unixfs = { .type = UNIXFS_SYMLINK,
				 .has_data = true,
				 .data = bytes_str(entry->target),
				 .has_mtime = entry->attributes.has_mtime,
				 .mtime = entry->attributes.mtime,
				 .mtime_nanos = entry->attributes.mtime_nanos };
	struct buf data = { 0 }, block = { 0 };

	unixfs_encode(&data, &unixfs);
	dagpb_put_data(&block, buf_bytes(&data));
	buf_release(&data);
	out->tsize = block.len;
	return builder_put(&importer->builder, &block, &out->cid);
}

static void import_tell(struct importer *importer, const struct import_entry *entry,
			const struct child *root)
{
	const struct import_config *config = &importer->builder.config;
	struct buf path = { 0 };

	if (!config->on_done || !importer->name)
		return;
	importer_path(&path, entry, importer->name, NULL);
	buf_add_u8(&path, '\0');
	config->on_done(config->ctx, &(struct import_event){ .path = (const char *)path.at,
							     .cid = &root->cid,
							     .size = root->tsize,
							     .bytes = entry->bytes });
	buf_release(&path);
}

/* All leaves or entries of entry were collected before: its root, into its directory. */
static int collect_done(struct importer *importer, struct import_entry *entry)
{
	const struct attributes *attributes = &entry->attributes;
	struct import_entry *parent = entry->parent;
	struct child root = { 0 };
	int err = 0;

	if (entry->is_known)
		root = entry->seen.root;
	else if (entry->type == ENTRY_FILE)
		err = file_tree_finish(&entry->tree, attributes, &root);
	else if (entry->type == ENTRY_SYMLINK)
		err = put_symlink(importer, entry, &root);
	else
		err = dir_builder_finish(entry->dir, attributes->mode, attributes->has_mtime,
					 attributes->mtime, attributes->mtime_nanos, &root.cid,
					 &root.tsize);
	if (!err && entry->is_noted) {
		entry->seen.root = root;
		import_seen_note(importer->seen, &entry->seen);
	}
	if (!err && parent)
		err = dir_builder_add(parent->dir, bytes_str(entry->name), &root.cid, root.tsize);
	if (err)
		return err;
	if (parent)
		parent->bytes += entry->bytes;
	else
		importer->root = root;
	import_tell(importer, entry, &root);
	importer_forget(entry);
	return 0;
}

static int import_collect(struct importer *importer, struct job *job)
{
	int err = job->kind == JOB_LEAF ? collect_leaf(importer, job)
					: collect_done(importer, job->entry);

	if (err)
		importer_failed(importer, job->entry, NULL, err);
	job_free(job);
	return err;
}

int importer_give(struct importer *importer, struct job *job)
{
	int err = 0;

	hash_give(importer->hash, job);
	while (!err) {
		struct job *ready = hash_take(importer->hash, hash_full(importer->hash));

		if (!ready)
			break;
		err = import_collect(importer, ready);
	}
	return err ? err : importer_check(importer);
}

int importer_done(struct importer *importer, struct import_entry *entry)
{
	struct job *job = xnew(struct job);

	job->kind = JOB_DONE;
	job->entry = entry;
	return importer_give(importer, job);
}

int importer_drain(struct importer *importer)
{
	struct job *job;
	int err = 0;

	while (!err && (job = hash_take(importer->hash, true))) {
		err = import_collect(importer, job);
		if (!err)
			err = importer_check(importer);
	}
	return err;
}

/* ---- the door ---- */

int import_fd(struct blocks *blocks, int fd, const struct import_config *config, struct wait *wait,
	      struct cid *root, uint64_t *tree_size)
{
	struct importer importer;
	struct import_entry *entry;
	struct stat stat, after;
	int err = importer_init(&importer, blocks, config, wait);

	if (!err && fstat(fd, &stat))
		err = -errno;
	if (!err) {
		bool regular = S_ISREG(stat.st_mode);

		entry = importer_entry(&importer, NULL, "", ENTRY_FILE, regular ? &stat : NULL);
		err = importer_read(&importer, fd, regular,
				    regular && stat.st_size > 0 ? (uint64_t)stat.st_size : 0,
				    entry);
		if (!err && fstat(fd, &after))
			err = -errno;
		if (!err && regular && !importer_same_bytes(&stat, &after))
			err = -ESTALE;
		if (!err)
			err = importer_done(&importer, entry);
	}
	if (!err)
		err = importer_drain(&importer);
	if (!err) {
		*root = importer.root.cid;
		*tree_size = importer.root.tsize;
	}
	importer_release(&importer);
	return err;
}

int import_path(struct blocks *blocks, const char *path, const char *name,
		const struct import_config *config, struct wait *wait, struct cid *root,
		uint64_t *tree_size, char **failed_path)
{
	struct importer importer;
	int err = importer_init(&importer, blocks, config, wait);

	if (failed_path)
		*failed_path = NULL;
	importer.path = path;
	importer.name = name;
	if (!err)
		importer.seen = import_seen_open(blocks, &importer.builder.config);
	if (importer.seen)
		importer.real_path = realpath(path, NULL);
	if (!err)
		err = importer_walk(&importer);
	if (!err)
		err = importer_drain(&importer);
	if (!err) {
		*root = importer.root.cid;
		*tree_size = importer.root.tsize;
	} else if (failed_path) {
		*failed_path = importer.failed_path;
		importer.failed_path = NULL;
	}
	importer_release(&importer);
	return err;
}
