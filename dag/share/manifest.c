/* Entries in memory: what one may say, its weight and place, copies in one piece of memory. Pure;
 * any thread. */
#include "dag/share/manifest.h"

#include "dag/ipld/cbor.h"
#include "dag/share/fields.h"
#include "dag/share/manifest_codec.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define NANOS 1000000000u
#define MODE_MAX 07777
#define WEIGHT_VALUE 96
#define WEIGHT_DIR 64
#define WEIGHT_DOT 32 /* of a directory, after the first */
#define WEIGHT_META 48
#define INDEX_SHORT_MAX 23 /* index of a pen in one byte; others take two */

/* ---- what may be said ---- */

bool manifest_name_allowed(struct bytes name)
{
	if (name.len == 0 || name.len > MANIFEST_NAME_MAX)
		return false;
	if (name.at[0] == '.' && (name.len == 1 || (name.len == 2 && name.at[1] == '.')))
		return false;
	return !memchr(name.at, '/', name.len) && !memchr(name.at, 0, name.len);
}

bool manifest_xattr_allowed(struct bytes name)
{
	struct bytes user = bytes_str("user.");

	return name.len > user.len && name.len <= MANIFEST_XATTR_NAME_MAX &&
	       bytes_start_with(name, user) && !bytes_start_with(name, bytes_str("user.ipfs.")) &&
	       !bytes_start_with(name, bytes_str("user.dagfs.")) && !memchr(name.at, 0, name.len) &&
	       ipld_utf8(name);
}

uint64_t manifest_hash(struct bytes name)
{
	return murmur3_x64_64(name);
}

int manifest_order(uint64_t hash_a, struct bytes a, uint64_t hash_b, struct bytes b)
{
	if (hash_a != hash_b)
		return hash_a < hash_b ? -1 : 1;
	return bytes_cmp(a, b);
}

/* Does a dot follow upon the one before it? */
static bool dots_ascend(uint64_t pen, uint64_t stamp, uint64_t next_pen, uint64_t next_stamp)
{
	return pen < next_pen || (pen == next_pen && stamp < next_stamp);
}

static bool value_sound(const struct manifest_value *value)
{
	if (!value->stamp || value->mtime_nanos >= NANOS ||
	    value->flags & ~(unsigned)(MANIFEST_SYMLINK | MANIFEST_ASIDE))
		return false;
	if (!(value->flags & MANIFEST_SYMLINK))
		return cid_is_set(&value->cid) && !value->target.len;
	return !cid_is_set(&value->cid) && value->target.len &&
	       value->target.len <= MANIFEST_TARGET_MAX && value->size == value->target.len &&
	       !memchr(value->target.at, 0, value->target.len);
}

static bool values_sound(const struct manifest_entry *entry)
{
	for (size_t i = 0; i < entry->value_count; i++) {
		const struct manifest_value *value = &entry->values[i];

		if (!value_sound(value) ||
		    (i && !dots_ascend(value[-1].pen, value[-1].stamp, value->pen, value->stamp)))
			return false;
	}
	return true;
}

static bool dir_sound(const struct manifest_dir *dir)
{
	for (size_t i = 0; i < dir->dot_count; i++) {
		const struct manifest_dot *dot = &dir->dots[i];

		if (!dot->stamp ||
		    (i && !dots_ascend(dot[-1].pen, dot[-1].stamp, dot->pen, dot->stamp)))
			return false;
	}
	for (size_t i = 0; i < dir->span_count; i++) {
		const struct manifest_span *span = &dir->spans[i];

		if (!span->least || span->most < span->least || (i && span[-1].pen >= span->pen))
			return false;
	}
	if (cid_is_set(&dir->link) && !field_is_node_cid(&dir->link))
		return false;
	return cid_is_set(&dir->link) == (dir->span_count > 0) &&
	       (dir->dot_count || cid_is_set(&dir->link));
}

static bool meta_sound(const struct manifest_meta *meta)
{
	if (!meta->stamp || meta->mode > MODE_MAX || meta->mtime_nanos >= NANOS)
		return false;
	for (size_t i = 0; i < meta->xattr_count; i++) {
		const struct manifest_xattr *xattr = &meta->xattrs[i];

		if (!manifest_xattr_allowed(xattr->name) ||
		    (i && cbor_key_order(xattr[-1].name, xattr->name) >= 0))
			return false;
	}
	return true;
}

static bool metas_sound(const struct manifest_entry *entry)
{
	for (size_t i = 0; i < entry->meta_count; i++) {
		const struct manifest_meta *meta = &entry->metas[i];

		if (!meta_sound(meta) ||
		    (i && !dots_ascend(meta[-1].pen, meta[-1].stamp, meta->pen, meta->stamp)))
			return false;
	}
	return true;
}

bool manifest_entry_sound(const struct manifest_entry *entry)
{
	return manifest_name_allowed(entry->name) && values_sound(entry) &&
	       (!entry->has_dir || dir_sound(&entry->dir)) && metas_sound(entry) &&
	       (entry->value_count || entry->has_dir || entry->meta_count);
}

struct measure {
	const struct spans *table; /* NULL: pens are told as their index */
	size_t len;
};

static void add_wide(void *ctx, const struct manifest_span *span)
{
	struct measure *measure = ctx;
	size_t index = measure->table ? spans_index(measure->table, span->pen) : span->pen;

	measure->len += index <= INDEX_SHORT_MAX;
}

size_t manifest_entry_len(const struct manifest_entry *entry, const struct spans *table, size_t len)
{
	struct measure measure = { .table = table, .len = len };

	manifest_each_span(entry, add_wide, &measure);
	return measure.len;
}

int manifest_entry_check(const struct manifest_entry *entry)
{
	struct spans spans = { 0 };
	struct buf bytes = { 0 };
	int err = 0;

	if (!manifest_entry_sound(entry))
		return -EINVAL;
	spans_add_entry(&spans, entry);
	manifest_entry_encode(entry, &spans, &bytes);
	if (spans.count > MANIFEST_PENS_MAX ||
	    manifest_entry_len(entry, &spans, bytes.len) > MANIFEST_ENTRY_MAX)
		err = -EMSGSIZE;
	spans_release(&spans);
	buf_release(&bytes);
	return err;
}

uint64_t manifest_weight(const struct manifest_entry *entry)
{
	uint64_t weight = entry->name.len;

	for (size_t i = 0; i < entry->value_count; i++)
		weight += WEIGHT_VALUE + entry->values[i].target.len;
	if (entry->has_dir)
		weight += WEIGHT_DIR;
	if (entry->has_dir && entry->dir.dot_count > 1)
		weight += WEIGHT_DOT * (entry->dir.dot_count - 1);
	for (size_t i = 0; i < entry->meta_count; i++) {
		const struct manifest_meta *meta = &entry->metas[i];

		weight += WEIGHT_META;
		for (size_t k = 0; k < meta->xattr_count; k++)
			weight += meta->xattrs[k].name.len + meta->xattrs[k].value.len;
	}
	return weight;
}

/* ---- copies ---- */

/* Parts of one piece of memory: first counted, then, once it is there, given out. */
struct slab {
	uint8_t *at; /* NULL: counting */
	size_t used;
};

/* A copy of an array in the slab. */
static void *slab_copy(struct slab *slab, const void *from, size_t count, size_t size)
{
	uint8_t *to = slab->at ? slab->at + slab->used : NULL;
	size_t len = count * size;

	if (to && len)
		memcpy(to, from, len);
	slab->used += (len + 7) / 8 * 8;
	return len ? to : NULL;
}

static struct bytes slab_bytes(struct slab *slab, struct bytes from)
{
	return bytes_of(slab_copy(slab, from.at, from.len, 1), from.len);
}

/* Everything that from points to. While counting, only slab->used is of use. */
static void copy_parts(struct slab *slab, struct manifest_entry *to,
		       const struct manifest_entry *from)
{
	*to = *from;
	to->values = slab_copy(slab, from->values, from->value_count, sizeof(*from->values));
	to->metas = slab_copy(slab, from->metas, from->meta_count, sizeof(*from->metas));
	if (from->has_dir) {
		to->dir.dots = slab_copy(slab, from->dir.dots, from->dir.dot_count,
					 sizeof(*from->dir.dots));
		to->dir.spans = slab_copy(slab, from->dir.spans, from->dir.span_count,
					  sizeof(*from->dir.spans));
	}
	to->name = slab_bytes(slab, from->name);
	for (size_t i = 0; i < from->value_count; i++) {
		struct bytes target = slab_bytes(slab, from->values[i].target);

		if (slab->at)
			to->values[i].target = target;
	}
	for (size_t i = 0; i < from->meta_count; i++) {
		const struct manifest_meta *meta = &from->metas[i];
		struct manifest_xattr *xattrs =
			slab_copy(slab, meta->xattrs, meta->xattr_count, sizeof(*xattrs));

		if (slab->at)
			to->metas[i].xattrs = xattrs;
		for (size_t k = 0; k < meta->xattr_count; k++) {
			struct manifest_xattr xattr = {
				.name = slab_bytes(slab, meta->xattrs[k].name),
				.value = slab_bytes(slab, meta->xattrs[k].value),
			};

			if (slab->at)
				xattrs[k] = xattr;
		}
	}
}

void manifest_entry_copy(struct manifest_entry *to, const struct manifest_entry *from)
{
	struct slab slab = { 0 };

	copy_parts(&slab, to, from);
	slab.at = xcalloc(1, slab.used ? slab.used : 1);
	slab.used = 0;
	copy_parts(&slab, to, from);
	to->memory = slab.at;
}

void manifest_entry_release(struct manifest_entry *entry)
{
	free(entry->memory);
	*entry = (struct manifest_entry){ 0 };
}

bool manifest_entry_equal(const struct manifest_entry *a, const struct manifest_entry *b)
{
	struct spans spans = { 0 };
	struct buf x = { 0 }, y = { 0 };
	bool equal;

	spans_add_entry(&spans, a);
	spans_add_entry(&spans, b);
	manifest_entry_encode(a, &spans, &x);
	manifest_entry_encode(b, &spans, &y);
	equal = bytes_equal(buf_bytes(&x), buf_bytes(&y));
	spans_release(&spans);
	buf_release(&x);
	buf_release(&y);
	return equal;
}
