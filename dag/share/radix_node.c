/* Nodes of manifests, to and from canonical bytes. In a node the pens follow what names them, so a
 * decoder reads indexes first, and puts the pens in their place when it comes to them. Pure, but
 * for the count of references; any thread. */
#include "dag/share/radix_node.h"

#include "dag/share/fields.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { NODE_FIELDS = 2, ROW_ITEMS = 4 };

void radix_root_release(struct radix_root *root)
{
	free(root->spans);
	*root = (struct radix_root){ 0 };
}

void radix_root_copy(struct radix_root *to, const struct radix_root *from)
{
	*to = *from;
	to->spans = NULL;
	if (from->span_count) {
		to->spans = xcalloc(from->span_count, sizeof(*to->spans));
		memcpy(to->spans, from->spans, from->span_count * sizeof(*to->spans));
	}
}

struct radix_node *radix_node_ref(struct radix_node *node)
{
	atomic_fetch_add(&node->refs, 1);
	return node;
}

void radix_node_unref(struct radix_node *node)
{
	if (!node || atomic_fetch_sub(&node->refs, 1) != 1)
		return;
	for (size_t i = 0; node->rows && i < RADIX_FANOUT; i++)
		radix_root_release(&node->rows[i]);
	free(node->rows);
	free(node->items);
	radix_root_release(&node->sum);
	block_unref(node->block);
	free(node);
}

/* ---- decoding ---- */

/* The spans of a node while its pens are known by index alone. */
struct indexed {
	struct manifest_span of[MANIFEST_PENS_MAX];
	size_t count; /* 1 + the greatest index */
	size_t used;
};

static void indexed_add(void *ctx, const struct manifest_span *span)
{
	struct indexed *indexed = ctx;
	struct manifest_span *of = &indexed->of[span->pen];

	assert(span->pen < MANIFEST_PENS_MAX);
	if (!of->most) {
		*of = *span;
		indexed->used++;
		if (span->pen >= indexed->count)
			indexed->count = (size_t)span->pen + 1;
		return;
	}
	of->least = span->least < of->least ? span->least : of->least;
	of->most = span->most > of->most ? span->most : of->most;
}

/* The table of pens, which ends the node: those that were named, each once, ascending. */
static void read_pens(struct radix_node *node, struct cursor *c, const struct indexed *indexed)
{
	field_key(c, "p");
	node->pen_count = field_list(c);
	if (node->pen_count != indexed->count || indexed->used != indexed->count) {
		c->bad = true;
		node->pen_count = 0;
	}
	for (size_t i = 0; i < node->pen_count && !c->bad; i++) {
		node->pens[i] = field_pen(c);
		if (i && node->pens[i] <= node->pens[i - 1])
			c->bad = true;
	}
	if (c->bad || !node->pen_count)
		return;
	node->sum.spans = xcalloc(node->pen_count, sizeof(*node->sum.spans));
	node->sum.span_count = node->pen_count;
	for (size_t i = 0; i < node->pen_count; i++) {
		node->sum.spans[i] = indexed->of[i];
		node->sum.spans[i].pen = node->pens[i];
	}
}

static int add_item(struct radix_node *node, size_t *cap, const struct manifest_entry *entry,
		    struct bytes data)
{
	size_t count = (size_t)node->sum.entries;
	struct radix_item item = {
		.hash = manifest_hash(entry->name),
		.name = entry->name,
		.data = data,
	};
	const struct radix_item *last = count ? &node->items[count - 1] : NULL;

	if (last && manifest_order(last->hash, last->name, item.hash, item.name) >= 0)
		return -EBADMSG;
	/* Only names of one hash cannot be parted by branches. */
	node->sum.weight += manifest_weight(entry);
	if (last && node->sum.weight > MANIFEST_LEAF_MAX && item.hash != node->items[0].hash)
		return -EBADMSG;
	if (count == *cap) {
		*cap = *cap ? *cap * 2 : 16;
		node->items = xrealloc(node->items, *cap * sizeof(*node->items));
	}
	node->items[count] = item;
	node->sum.entries++;
	return 0;
}

static int read_entries(struct radix_node *node, struct cursor *c, struct indexed *indexed)
{
	struct manifest_scratch scratch = { 0 };
	size_t count = field_list(c), cap = 0;
	int err = 0;

	for (size_t i = 0; !err && !c->bad && i < count; i++) {
		struct manifest_entry entry;
		const uint8_t *at = c->at;

		err = manifest_entry_decode(&entry, c, NULL, 0, &scratch);
		if (err)
			break;
		struct bytes data = bytes_of(at, (size_t)(c->at - at));

		if (manifest_entry_len(&entry, NULL, data.len) > MANIFEST_ENTRY_MAX)
			err = -EMSGSIZE;
		else
			err = add_item(node, &cap, &entry, data);
		if (!err)
			manifest_each_span(&entry, indexed_add, indexed);
	}
	manifest_scratch_release(&scratch);
	return err;
}

static void read_row(struct radix_root *row, struct cursor *c, struct indexed *indexed)
{
	size_t cap = 0;

	field_list_of(c, ROW_ITEMS);
	field_node_link(c, &row->cid);
	row->entries = field_uint_to(c, RADIX_SUM_MAX);
	row->weight = field_uint_to(c, RADIX_SUM_MAX);
	row->span_count = manifest_spans_decode(&row->spans, &cap, c, NULL, 0);
	if (!row->entries || !row->weight || !row->span_count)
		c->bad = true;
	for (size_t i = 0; i < row->span_count && !c->bad; i++) {
		const struct manifest_span *span = &row->spans[i];

		if (!span->least || span->most < span->least || (i && span[-1].pen >= span->pen))
			c->bad = true;
		else
			indexed_add(indexed, span);
	}
}

static int read_rows(struct radix_node *node, struct cursor *c, struct indexed *indexed)
{
	field_list_of(c, RADIX_FANOUT);
	node->rows = xcalloc(RADIX_FANOUT, sizeof(*node->rows));
	for (size_t i = 0; i < RADIX_FANOUT && !c->bad; i++) {
		if (field_null(c))
			continue;
		read_row(&node->rows[i], c, indexed);
		node->sum.entries += node->rows[i].entries;
		node->sum.weight += node->rows[i].weight;
	}
	return c->bad || node->sum.weight <= MANIFEST_LEAF_MAX ||
			       node->sum.weight > RADIX_SUM_MAX || node->sum.entries > RADIX_SUM_MAX
		       ? -EBADMSG
		       : 0;
}

/* "e" is a leaf's key, "b" a branch's. */
static int read_node(struct radix_node *node, struct cursor *c, struct indexed *indexed)
{
	int err;

	if (field_map(c) != NODE_FIELDS)
		c->bad = true;
	node->leaf = cursor_left(c) > 1 && c->at[1] == 'e';
	field_key(c, node->leaf ? "e" : "b");
	if (c->bad)
		return -EBADMSG;
	err = node->leaf ? read_entries(node, c, indexed) : read_rows(node, c, indexed);
	if (err)
		return err;
	read_pens(node, c, indexed);
	if (c->bad || cursor_left(c))
		return -EBADMSG;
	for (size_t i = 0; node->rows && i < RADIX_FANOUT; i++)
		for (size_t k = 0; k < node->rows[i].span_count; k++)
			node->rows[i].spans[k].pen = node->pens[node->rows[i].spans[k].pen];
	return 0;
}

int radix_node_decode(struct block *block, struct radix_node **out)
{
	struct radix_node *node = xnew(struct radix_node);
	struct indexed *indexed = xnew(struct indexed);
	struct cursor c = cursor_over(block->data);
	int err;

	atomic_init(&node->refs, 1);
	list_init(&node->kept);
	node->block = block_ref(block);
	err = read_node(node, &c, indexed);
	free(indexed);
	if (err) {
		radix_node_unref(node);
		return err;
	}
	node->sum.cid = block->cid;
	*out = node;
	return 0;
}

static bool sums_equal(const struct radix_root *a, const struct radix_root *b)
{
	if (a->entries != b->entries || a->weight != b->weight || a->span_count != b->span_count)
		return false;
	for (size_t i = 0; i < a->span_count; i++)
		if (a->spans[i].pen != b->spans[i].pen || a->spans[i].least != b->spans[i].least ||
		    a->spans[i].most != b->spans[i].most)
			return false;
	return true;
}

bool radix_node_fits(const struct radix_node *node, unsigned depth, uint64_t low,
		     const struct radix_root *row)
{
	uint64_t high = radix_high(low, depth);

	if (row ? !sums_equal(&node->sum, row) : depth > 0)
		return false;
	if (!node->leaf)
		return depth < MANIFEST_LEVELS;
	if (!node->sum.entries)
		return depth == 0;
	return node->items[0].hash >= low && node->items[node->sum.entries - 1].hash <= high &&
	       (node->sum.weight <= MANIFEST_LEAF_MAX || depth == MANIFEST_LEVELS);
}

void radix_node_entry(const struct radix_node *node, size_t i, struct manifest_scratch *scratch,
		      struct manifest_entry *entry)
{
	struct cursor c = cursor_over(node->items[i].data);
	int err = manifest_entry_decode(entry, &c, node->pens, node->pen_count, scratch);

	assert(err == 0);
}

/* ---- encoding ---- */

/* The table of pens; spans become the sum's. */
static int finish_node(struct spans *spans, struct buf *out, struct radix_root *sum)
{
	field_put_key(out, "p");
	field_put_list(out, spans->count);
	for (size_t i = 0; i < spans->count; i++)
		field_put_pen(out, spans->at[i].pen);
	sum->spans = spans->at;
	sum->span_count = spans->count;
	return 0;
}

int radix_leaf_encode(struct manifest_entry *const *entries, size_t count, struct buf *out,
		      struct radix_root *sum)
{
	struct spans spans = { 0 };

	for (size_t i = 0; i < count; i++)
		spans_add_entry(&spans, entries[i]);
	if (spans.count > MANIFEST_PENS_MAX) {
		spans_release(&spans);
		return -EMSGSIZE;
	}
	field_put_map(out, NODE_FIELDS);
	field_put_key(out, "e");
	field_put_list(out, count);
	for (size_t i = 0; i < count; i++) {
		manifest_entry_encode(entries[i], &spans, out);
		sum->weight += manifest_weight(entries[i]);
	}
	sum->entries = count;
	return finish_node(&spans, out, sum);
}

int radix_branch_encode(const struct radix_root rows[static RADIX_FANOUT], struct buf *out,
			struct radix_root *sum)
{
	struct spans spans = { 0 };

	for (size_t i = 0; i < RADIX_FANOUT; i++)
		spans_add_all(&spans, rows[i].spans, rows[i].span_count);
	if (spans.count > MANIFEST_PENS_MAX) {
		spans_release(&spans);
		return -EMSGSIZE;
	}
	field_put_map(out, NODE_FIELDS);
	field_put_key(out, "b");
	field_put_list(out, RADIX_FANOUT);
	for (size_t i = 0; i < RADIX_FANOUT; i++) {
		const struct radix_root *row = &rows[i];

		if (!cid_is_set(&row->cid)) {
			field_put_null(out);
			continue;
		}
		field_put_list(out, ROW_ITEMS);
		field_put_link(out, &row->cid);
		field_put_uint(out, row->entries);
		field_put_uint(out, row->weight);
		manifest_spans_encode(row->spans, row->span_count, &spans, out);
		sum->entries += row->entries;
		sum->weight += row->weight;
	}
	return finish_node(&spans, out, sum);
}
