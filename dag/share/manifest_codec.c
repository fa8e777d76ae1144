/* Entries to and from canonical bytes. A decoder reads straight through a cursor into arrays that
 * grow with what is there, and judges the whole entry afterwards with the rules that hold for
 * writing, too. Pure; one thread a scratch. */
#include "dag/share/manifest_codec.h"

#include "dag/share/fields.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_ITEMS = 4, VALUE_ITEMS = 8, DIR_ITEMS = 5, META_ITEMS = 6, TRIPLE = 3 };

/* ---- spans ---- */

/* The first span whose pen is not below. */
static size_t span_place(const struct spans *spans, uint64_t pen)
{
	size_t low = 0, high = spans->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (spans->at[middle].pen < pen)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void spans_add(struct spans *spans, const struct manifest_span *span)
{
	size_t at = span_place(spans, span->pen);
	struct manifest_span *here = at < spans->count ? &spans->at[at] : NULL;

	if (here && here->pen == span->pen) {
		here->least = span->least < here->least ? span->least : here->least;
		here->most = span->most > here->most ? span->most : here->most;
		return;
	}
	if (spans->count == spans->cap) {
		spans->cap = spans->cap ? spans->cap * 2 : 4;
		spans->at = xrealloc(spans->at, spans->cap * sizeof(*spans->at));
	}
	memmove(&spans->at[at + 1], &spans->at[at], (spans->count - at) * sizeof(*spans->at));
	spans->at[at] = *span;
	spans->count++;
}

void spans_add_all(struct spans *spans, const struct manifest_span *at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		spans_add(spans, &at[i]);
}

static void add_span(void *ctx, const struct manifest_span *span)
{
	spans_add(ctx, span);
}

void spans_add_entry(struct spans *spans, const struct manifest_entry *entry)
{
	manifest_each_span(entry, add_span, spans);
}

void spans_release(struct spans *spans)
{
	free(spans->at);
	*spans = (struct spans){ 0 };
}

size_t spans_index(const struct spans *table, uint64_t pen)
{
	size_t at = span_place(table, pen);

	assert(at < table->count && table->at[at].pen == pen);
	return at;
}

void manifest_each_span(const struct manifest_entry *entry,
			void (*each)(void *ctx, const struct manifest_span *span), void *ctx)
{
	const struct manifest_dir *dir = &entry->dir;

	for (size_t i = 0; i < entry->value_count; i++) {
		const struct manifest_value *value = &entry->values[i];

		each(ctx, &(struct manifest_span){ value->pen, value->stamp, value->stamp });
	}
	for (size_t i = 0; entry->has_dir && i < dir->dot_count; i++)
		each(ctx, &(struct manifest_span){ dir->dots[i].pen, dir->dots[i].stamp,
						   dir->dots[i].stamp });
	for (size_t i = 0; entry->has_dir && i < dir->span_count; i++)
		each(ctx, &dir->spans[i]);
	for (size_t i = 0; i < entry->meta_count; i++) {
		const struct manifest_meta *meta = &entry->metas[i];

		each(ctx, &(struct manifest_span){ meta->pen, meta->stamp, meta->stamp });
	}
}

/* ---- encoding ---- */

static void put_pen(struct buf *out, const struct spans *table, uint64_t pen)
{
	field_put_uint(out, spans_index(table, pen));
}

static void put_value(struct buf *out, const struct spans *table,
		      const struct manifest_value *value)
{
	field_put_list(out, VALUE_ITEMS);
	put_pen(out, table, value->pen);
	field_put_uint(out, value->stamp);
	field_put_uint(out, value->flags);
	field_put_uint(out, value->id);
	field_put_uint(out, value->size);
	field_put_int(out, value->mtime);
	field_put_uint(out, value->mtime_nanos);
	if (value->flags & MANIFEST_SYMLINK)
		field_put_bytes(out, value->target);
	else
		field_put_link(out, &value->cid);
}

void manifest_spans_encode(const struct manifest_span *spans, size_t count,
			   const struct spans *table, struct buf *out)
{
	field_put_list(out, count);
	for (size_t i = 0; i < count; i++) {
		field_put_list(out, TRIPLE);
		put_pen(out, table, spans[i].pen);
		field_put_uint(out, spans[i].least);
		field_put_uint(out, spans[i].most);
	}
}

static void put_dir(struct buf *out, const struct spans *table, const struct manifest_dir *dir)
{
	field_put_list(out, DIR_ITEMS);
	field_put_list(out, dir->dot_count);
	for (size_t i = 0; i < dir->dot_count; i++) {
		field_put_list(out, TRIPLE);
		put_pen(out, table, dir->dots[i].pen);
		field_put_uint(out, dir->dots[i].stamp);
		field_put_uint(out, dir->dots[i].id);
	}
	field_put_link(out, &dir->link);
	field_put_link(out, &dir->tree);
	field_put_uint(out, dir->tree_size);
	manifest_spans_encode(dir->spans, dir->span_count, table, out);
}

static void put_meta(struct buf *out, const struct spans *table, const struct manifest_meta *meta)
{
	field_put_list(out, META_ITEMS);
	put_pen(out, table, meta->pen);
	field_put_uint(out, meta->stamp);
	field_put_uint(out, meta->mode);
	field_put_int(out, meta->mtime);
	field_put_uint(out, meta->mtime_nanos);
	if (!meta->xattr_count) {
		field_put_null(out);
		return;
	}
	field_put_map(out, meta->xattr_count);
	for (size_t i = 0; i < meta->xattr_count; i++) {
		field_put_text(out, meta->xattrs[i].name);
		field_put_bytes(out, meta->xattrs[i].value);
	}
}

void manifest_entry_encode(const struct manifest_entry *entry, const struct spans *table,
			   struct buf *out)
{
	field_put_list(out, ENTRY_ITEMS);
	field_put_bytes(out, entry->name);
	field_put_list(out, entry->value_count);
	for (size_t i = 0; i < entry->value_count; i++)
		put_value(out, table, &entry->values[i]);
	if (entry->has_dir)
		put_dir(out, table, &entry->dir);
	else
		field_put_null(out);
	field_put_list(out, entry->meta_count);
	for (size_t i = 0; i < entry->meta_count; i++)
		put_meta(out, table, &entry->metas[i]);
}

/* ---- decoding ---- */

void manifest_scratch_release(struct manifest_scratch *scratch)
{
	free(scratch->values);
	free(scratch->dots);
	free(scratch->spans);
	free(scratch->metas);
	free(scratch->xattrs);
	*scratch = (struct manifest_scratch){ 0 };
}

/* Room for one item more. */
static void *manifest_codec_grow(void *at, size_t *cap, size_t count, size_t size)
{
	if (count < *cap)
		return at;
	*cap = *cap ? *cap * 2 : 4;
	return xrealloc(at, *cap * size);
}

#define GROW(array, cap, count)                                                                    \
	((array) = manifest_codec_grow((array), &(cap), (count), sizeof(*(array))))

struct decoder {
	struct cursor *c;
	const uint8_t *end; /* behind the longest entry that is allowed */
	const uint64_t *pens;
	size_t pen_count;
	struct manifest_scratch *scratch;
	bool too_long;
};

/* A list of what is within the entry; ends all reading when that grew too long. */
static bool go_on(struct decoder *d)
{
	if (d->c->bad || d->c->at <= d->end)
		return !d->c->bad;
	d->too_long = true;
	d->c->bad = true;
	return false;
}

static uint64_t read_pen(struct cursor *c, const uint64_t *pens, size_t pen_count)
{
	uint64_t index = field_uint(c);

	if (index >= (pens ? pen_count : MANIFEST_PENS_MAX)) {
		c->bad = true;
		return 0;
	}
	return pens && !c->bad ? pens[index] : index;
}

static void read_value(struct decoder *d, struct manifest_value *value)
{
	*value = (struct manifest_value){ 0 };
	field_list_of(d->c, VALUE_ITEMS);
	value->pen = read_pen(d->c, d->pens, d->pen_count);
	value->stamp = field_uint(d->c);
	value->flags = (unsigned)field_uint_to(d->c, MANIFEST_SYMLINK | MANIFEST_ASIDE);
	value->id = field_uint(d->c);
	value->size = field_uint(d->c);
	value->mtime = field_int(d->c);
	value->mtime_nanos = (uint32_t)field_uint_to(d->c, UINT32_MAX);
	if (value->flags & MANIFEST_SYMLINK)
		value->target = field_bytes(d->c);
	else
		field_link(d->c, &value->cid);
}

size_t manifest_spans_decode(struct manifest_span **at, size_t *cap, struct cursor *c,
			     const uint64_t *pens, size_t pen_count)
{
	size_t count = field_list(c), i;

	if (count > MANIFEST_PENS_MAX)
		c->bad = true;
	for (i = 0; i < count && !c->bad; i++) {
		*at = manifest_codec_grow(*at, cap, i, sizeof(**at));
		field_list_of(c, TRIPLE);
		(*at)[i].pen = read_pen(c, pens, pen_count);
		(*at)[i].least = field_uint(c);
		(*at)[i].most = field_uint(c);
	}
	return c->bad ? 0 : i;
}

static void read_dir(struct decoder *d, struct manifest_dir *dir)
{
	struct manifest_scratch *scratch = d->scratch;
	size_t count;

	field_list_of(d->c, DIR_ITEMS);
	count = field_list(d->c);
	for (; dir->dot_count < count && go_on(d); dir->dot_count++) {
		struct manifest_dot *dot;

		GROW(scratch->dots, scratch->dots_cap, dir->dot_count);
		dot = &scratch->dots[dir->dot_count];
		field_list_of(d->c, TRIPLE);
		dot->pen = read_pen(d->c, d->pens, d->pen_count);
		dot->stamp = field_uint(d->c);
		dot->id = field_uint(d->c);
	}
	dir->dots = scratch->dots;
	if (!field_null(d->c))
		field_node_link(d->c, &dir->link);
	if (!field_null(d->c))
		field_link(d->c, &dir->tree);
	dir->tree_size = field_uint(d->c);
	dir->span_count = manifest_spans_decode(&scratch->spans, &scratch->spans_cap, d->c, d->pens,
						d->pen_count);
	dir->spans = scratch->spans;
}

/* The xattrs of a meta go behind those of the metas before, whose number is *used. */
static void read_xattrs(struct decoder *d, struct manifest_meta *meta, size_t *used)
{
	size_t count;

	if (field_null(d->c))
		return;
	count = field_map(d->c);
	if (!count)
		d->c->bad = true;
	for (; meta->xattr_count < count && go_on(d); meta->xattr_count++, ++*used) {
		struct manifest_xattr *xattr;

		GROW(d->scratch->xattrs, d->scratch->xattrs_cap, *used);
		xattr = &d->scratch->xattrs[*used];
		xattr->name = field_text(d->c);
		xattr->value = field_bytes(d->c);
	}
}

static void read_meta(struct decoder *d, struct manifest_meta *meta, size_t *xattrs)
{
	*meta = (struct manifest_meta){ 0 };
	field_list_of(d->c, META_ITEMS);
	meta->pen = read_pen(d->c, d->pens, d->pen_count);
	meta->stamp = field_uint(d->c);
	meta->mode = (uint32_t)field_uint_to(d->c, UINT32_MAX);
	meta->mtime = field_int(d->c);
	meta->mtime_nanos = (uint32_t)field_uint_to(d->c, UINT32_MAX);
	read_xattrs(d, meta, xattrs);
}

static void read_metas(struct decoder *d, struct manifest_entry *entry)
{
	struct manifest_scratch *scratch = d->scratch;
	size_t count = field_list(d->c), xattrs = 0;

	for (; entry->meta_count < count && go_on(d); entry->meta_count++) {
		GROW(scratch->metas, scratch->metas_cap, entry->meta_count);
		read_meta(d, &scratch->metas[entry->meta_count], &xattrs);
	}
	entry->metas = scratch->metas;
	xattrs = 0;
	for (size_t i = 0; i < entry->meta_count; i++) {
		entry->metas[i].xattrs =
			entry->metas[i].xattr_count ? &scratch->xattrs[xattrs] : NULL;
		xattrs += entry->metas[i].xattr_count;
	}
}

static void read_entry(struct decoder *d, struct manifest_entry *entry)
{
	struct manifest_scratch *scratch = d->scratch;
	size_t count;

	field_list_of(d->c, ENTRY_ITEMS);
	entry->name = field_bytes(d->c);
	count = field_list(d->c);
	for (; entry->value_count < count && go_on(d); entry->value_count++) {
		GROW(scratch->values, scratch->values_cap, entry->value_count);
		read_value(d, &scratch->values[entry->value_count]);
	}
	entry->values = scratch->values;
	entry->has_dir = !field_null(d->c);
	if (entry->has_dir)
		read_dir(d, &entry->dir);
	read_metas(d, entry);
	go_on(d);
}

int manifest_entry_decode(struct manifest_entry *entry, struct cursor *c, const uint64_t *pens,
			  size_t pen_count, struct manifest_scratch *scratch)
{
	size_t room = cursor_left(c);
	struct decoder d = {
		.c = c,
		.end = c->at + (room < MANIFEST_ENTRY_MAX ? room : MANIFEST_ENTRY_MAX),
		.pens = pens,
		.pen_count = pen_count,
		.scratch = scratch,
	};

	*entry = (struct manifest_entry){ 0 };
	read_entry(&d, entry);
	if (d.too_long)
		return -EMSGSIZE;
	return c->bad || !manifest_entry_sound(entry) ? -EBADMSG : 0;
}
