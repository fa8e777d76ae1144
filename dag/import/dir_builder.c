/* Collects the entries of a directory and writes it, as one block, or as a HAMT when it would be
 * too large. Which of the two follows the rules of the import's profile. One thread. */
#include "dag/dagpb.h"
#include "dag/hamt.h"
#include "dag/import/builder.h"
#include "dag/import/hamt_write.h"
#include "dag/unixfs.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/map.h"

#include <stdlib.h>
#include <string.h>

#define NAME_LEN_MAX 255
#define ENTRIES_MAX (1u << 28)

/* Name and CID in the same memory: directories may have very many. */
struct entry {
	uint64_t tsize;
	uint16_t name_len, cid_len;
	uint8_t bytes[]; /* name, CID */
};

struct dir_builder {
	struct builder builder;
	struct map entries;  /* name -> struct entry */
	uint64_t names_size; /* of names and CIDs */
	uint64_t links_size; /* of the links of a basic directory's block */
};

static struct bytes entry_name(const struct entry *entry)
{
	return bytes_of(entry->bytes, entry->name_len);
}

static struct bytes entry_cid(const struct entry *entry)
{
	return bytes_of(entry->bytes + entry->name_len, entry->cid_len);
}

struct dir_builder *dir_builder_new(struct blocks *blocks, const struct import_config *config)
{
	struct dir_builder *dir = xnew(struct dir_builder);

	builder_init(&dir->builder, blocks, config);
	return dir;
}

void dir_builder_free(struct dir_builder *dir)
{
	struct bytes name;
	void *entry;
	size_t at = 0;

	if (!dir)
		return;
	while (map_next(&dir->entries, &at, &name, &entry))
		free(entry);
	map_release(&dir->entries);
	free(dir);
}

static bool name_allowed(struct bytes name)
{
	if (name.len == 0 || name.len > NAME_LEN_MAX || bytes_equal(name, bytes_str(".")) ||
	    bytes_equal(name, bytes_str("..")))
		return false;
	return !memchr(name.at, '/', name.len) && !memchr(name.at, '\0', name.len);
}

/* Takes the sizes of entry away and frees it. */
static void dir_builder_forget(struct dir_builder *dir, struct entry *entry)
{
	dir->names_size -= (uint64_t)entry->name_len + entry->cid_len;
	dir->links_size -= dagpb_link_len(entry->cid_len, entry->name_len, entry->tsize);
	free(entry);
}

int dir_builder_add(struct dir_builder *dir, struct bytes name, const struct cid *cid,
		    uint64_t tree_size)
{
	struct entry *entry, *old;

	if (!name_allowed(name))
		return -EINVAL;
	if (dir->entries.count == ENTRIES_MAX)
		return -EFBIG;
	entry = xrealloc(NULL, sizeof(*entry) + name.len + cid->len);
	*entry = (struct entry){ .tsize = tree_size,
				 .name_len = (uint16_t)name.len,
				 .cid_len = cid->len };
	memcpy(entry->bytes, name.at, name.len);
	memcpy(entry->bytes + name.len, cid->bytes, cid->len);
	dir->names_size += name.len + cid->len;
	dir->links_size += dagpb_link_len(cid->len, name.len, tree_size);
	old = map_set(&dir->entries, name, entry);
	if (old)
		dir_builder_forget(dir, old);
	return 0;
}

int dir_builder_remove(struct dir_builder *dir, struct bytes name)
{
	struct entry *entry = map_remove(&dir->entries, name);

	if (!entry)
		return -ENOENT;
	dir_builder_forget(dir, entry);
	return 0;
}

static void basic_data(const struct attributes *attributes, struct buf *out)
{
	struct unixfs unixfs = { .type = UNIXFS_DIRECTORY,
				 .mode = attributes->mode,
				 .has_mtime = attributes->has_mtime,
				 .mtime = attributes->mtime,
				 .mtime_nanos = attributes->mtime_nanos };

	unixfs_encode(out, &unixfs);
}

/* Judged as if it were basic: names without prefixes (wire/dag "Switch rules"). */
static bool too_large(const struct dir_builder *dir, const struct attributes *attributes)
{
	const struct import_config *config = &dir->builder.config;
	struct buf data = { 0 }, wrapped = { 0 };
	uint64_t size = dir->names_size;

	if (config->dir_links_max && dir->entries.count > config->dir_links_max)
		return true;
	if (config->hamt_estimate == ESTIMATE_BLOCK) {
		basic_data(attributes, &data);
		dagpb_put_data(&wrapped, buf_bytes(&data));
		size = dir->links_size + wrapped.len;
		buf_release(&data);
		buf_release(&wrapped);
	}
	return size > config->hamt_threshold;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *left = *(struct entry *const *)a, *right = *(struct entry *const *)b;

	return bytes_cmp(entry_name(left), entry_name(right));
}

/* Writes the directory as one block, sorted by name. */
static int finish_basic(struct dir_builder *dir, const struct attributes *attributes,
			struct child *root)
{
	size_t count = 0, at = 0;
	struct entry **sorted = xcalloc(dir->entries.count + 1, sizeof(*sorted));
	struct buf links = { 0 }, data = { 0 };
	struct bytes name;
	void *entry;

	while (map_next(&dir->entries, &at, &name, &entry))
		sorted[count++] = entry;
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), by_name);
	*root = (struct child){ 0 };
	for (size_t i = 0; i < count; i++) {
		dagpb_put_link(&links, entry_cid(sorted[i]), entry_name(sorted[i]),
			       sorted[i]->tsize);
		root->tsize += sorted[i]->tsize;
	}
	free(sorted);
	basic_data(attributes, &data);
	dagpb_put_data(&links, buf_bytes(&data));
	buf_release(&data);
	root->tsize += links.len;
	return builder_put(&dir->builder, &links, &root->cid);
}

static int finish_hamt(struct dir_builder *dir, const struct attributes *attributes,
		       struct child *root)
{
	struct hamt_item *items = xcalloc(dir->entries.count + 1, sizeof(*items));
	size_t count = 0, at = 0;
	struct bytes key;
	void *value;
	int err;

	while (map_next(&dir->entries, &at, &key, &value)) {
		struct entry *entry = value;
		struct bytes name = entry_name(entry);

		items[count++] = (struct hamt_item){ .hash = hamt_hash(name),
						     .name = name,
						     .cid = entry_cid(entry),
						     .tsize = entry->tsize };
	}
	err = hamt_write(&dir->builder, items, count, attributes, root);
	free(items);
	return err;
}

int dir_builder_finish(struct dir_builder *dir, uint32_t mode, bool has_mtime, int64_t mtime,
		       uint32_t mtime_nanos, struct cid *cid, uint64_t *tree_size)
{
	struct attributes attributes = {
		.mode = mode, .has_mtime = has_mtime, .mtime = mtime, .mtime_nanos = mtime_nanos
	};
	struct child root;
	int err = too_large(dir, &attributes) ? finish_hamt(dir, &attributes, &root)
					      : finish_basic(dir, &attributes, &root);

	if (err)
		return err;
	*cid = root.cid;
	*tree_size = root.tsize;
	return 0;
}
