/* Trees of IPLD values: one array of nodes in reading order, in which a container knows where it
 * ends. It grows by appending and is freed at once. One thread for each tree. */
#include "dag/ipld/ipld.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_DIGITS_MAX 9

void ipld_release(struct ipld *tree)
{
	free(tree->nodes);
	buf_release(&tree->text);
	*tree = (struct ipld){ 0 };
}

struct bytes ipld_text(const struct ipld *tree, const struct ipld_node *node)
{
	assert(node->kind == IPLD_TEXT || node->kind == IPLD_BYTES || node->kind == IPLD_LINK);
	return bytes_of(node->text.len ? tree->text.at + node->text.at : NULL, node->text.len);
}

int ipld_link(const struct ipld *tree, const struct ipld_node *node, struct cid *cid)
{
	if (node->kind != IPLD_LINK || cid_from_bytes(cid, ipld_text(tree, node)))
		return -EINVAL;
	return 0;
}

const struct ipld_node *ipld_get(const struct ipld *tree, const struct ipld_node *map,
				 struct bytes key)
{
	const struct ipld_node *at = map + 1;

	if (map->kind != IPLD_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->count; i++) {
		if (bytes_equal(ipld_text(tree, at), key))
			return at + 1;
		at += 1 + at[1].span;
	}
	return NULL;
}

static const struct ipld_node *list_item(const struct ipld_node *list, struct bytes name)
{
	const struct ipld_node *at = list + 1;
	uint32_t index = 0;

	if (!name.len || name.len > INDEX_DIGITS_MAX || (name.len > 1 && name.at[0] == '0'))
		return NULL;
	for (size_t i = 0; i < name.len; i++) {
		if (name.at[i] < '0' || name.at[i] > '9')
			return NULL;
		index = index * 10 + (name.at[i] - '0');
	}
	if (index >= list->count)
		return NULL;
	while (index--)
		at += at->span;
	return at;
}

int ipld_step(const struct ipld *tree, const struct ipld_node *node, struct bytes name,
	      const struct ipld_node **out)
{
	if (node->kind != IPLD_MAP && node->kind != IPLD_LIST)
		return -ENOTDIR;
	*out = node->kind == IPLD_MAP ? ipld_get(tree, node, name) : list_item(node, name);
	return *out ? 0 : -ENOENT;
}

/* Bytes of the character that begins text, 0 when it is none (overlong, a surrogate, too high). */
static size_t utf8_len(struct bytes text)
{
	uint8_t c = text.at[0], low = 0x80, high = 0xbf;
	size_t len;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (text.len < len)
		return 0;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < len; i++) {
		if (text.at[i] < low || text.at[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

bool ipld_utf8(struct bytes text)
{
	while (text.len) {
		size_t len = utf8_len(text);

		if (!len)
			return false;
		text = bytes_skip(text, len);
	}
	return true;
}

/* ---- building ---- */

int ipld_put(struct ipld *tree, struct ipld_node node)
{
	if (tree->count == IPLD_NODES_MAX)
		return -EMSGSIZE;
	if (tree->count == tree->cap) {
		tree->cap = tree->cap ? tree->cap * 2 : 16;
		tree->nodes = xrealloc(tree->nodes, tree->cap * sizeof(*tree->nodes));
	}
	node.span = 1;
	tree->nodes[tree->count++] = node;
	return 0;
}

int ipld_put_text(struct ipld *tree, enum ipld_kind kind, struct bytes text)
{
	struct ipld_node node = { .kind = kind };

	if (text.len > IPLD_TEXT_MAX - tree->text.len)
		return -EMSGSIZE;
	node.text.at = (uint32_t)tree->text.len;
	node.text.len = (uint32_t)text.len;
	buf_add(&tree->text, text);
	return ipld_put(tree, node);
}

ssize_t ipld_open(struct ipld *tree, enum ipld_kind kind)
{
	int err = ipld_put(tree, (struct ipld_node){ .kind = kind });

	return err ? err : (ssize_t)tree->count - 1;
}

struct key_order {
	const struct ipld *tree;
	ipld_order_fn *order;
};

static int compare_keys(const void *a, const void *b, void *ctx)
{
	const struct key_order *by = ctx;

	return by->order(ipld_text(by->tree, &by->tree->nodes[*(const uint32_t *)a]),
			 ipld_text(by->tree, &by->tree->nodes[*(const uint32_t *)b]));
}

/* Indices of a map's keys, sorted: to be freed. NULL when they stand in that order, without a
 * double, already. */
static uint32_t *sort_keys(const struct ipld *tree, const struct ipld_node *map,
			   ipld_order_fn *order)
{
	struct key_order by = { tree, order };
	const struct ipld_node *at = map + 1, *before = NULL;
	uint32_t *keys, i;

	for (i = 0; i < map->count; i++, before = at, at += 1 + at[1].span)
		if (before && order(ipld_text(tree, before), ipld_text(tree, at)) >= 0)
			break;
	if (i == map->count)
		return NULL;
	keys = xcalloc(map->count, sizeof(*keys));
	for (i = 0, at = map + 1; i < map->count; i++, at += 1 + at[1].span)
		keys[i] = (uint32_t)(at - tree->nodes);
	qsort_r(keys, map->count, sizeof(*keys), compare_keys, &by);
	return keys;
}

int ipld_close(struct ipld *tree, size_t index, uint32_t count)
{
	struct key_order by = { tree, bytes_cmp };
	struct ipld_node *node = &tree->nodes[index];
	uint32_t *keys;
	int err = 0;

	node->count = count;
	node->span = (uint32_t)(tree->count - index);
	if (node->kind != IPLD_MAP)
		return 0;
	keys = sort_keys(tree, node, bytes_cmp);
	for (uint32_t i = 1; keys && i < count; i++)
		if (compare_keys(&keys[i - 1], &keys[i], &by) == 0)
			err = -EBADMSG;
	free(keys);
	return err;
}

void ipld_cut(struct ipld *tree, size_t index)
{
	tree->count = index;
}

/* ---- walking ---- */

static void ipld_enter(struct ipld_walk *walk, const struct ipld_node *node)
{
	struct ipld_frame *frame = &walk->stack[walk->depth++];

	assert(walk->depth <= IPLD_DEPTH_MAX);
	*frame = (struct ipld_frame){ .node = node, .next = node + 1 };
	if (node->kind == IPLD_MAP)
		frame->order = sort_keys(walk->tree, node, walk->order);
}

static void ipld_leave(struct ipld_walk *walk)
{
	free(walk->stack[--walk->depth].order);
}

static void give_key(const struct ipld_walk *walk, struct ipld_frame *frame,
		     struct ipld_event *event)
{
	frame->key = frame->order ? &walk->tree->nodes[frame->order[frame->done]] : frame->next;
	frame->value = true;
	*event = (struct ipld_event){ .node = frame->key, .key = true, .first = frame->done == 0 };
}

bool ipld_next(struct ipld_walk *walk, struct ipld_event *event)
{
	struct ipld_frame *frame = walk->depth ? &walk->stack[walk->depth - 1] : NULL;

	if (!frame) {
		if (walk->begun)
			return false;
		walk->begun = true;
		*event = (struct ipld_event){ .node = walk->root, .first = true };
	} else if (frame->done == frame->node->count) {
		*event = (struct ipld_event){ .node = frame->node, .close = true };
		ipld_leave(walk);
		return true;
	} else if (frame->node->kind == IPLD_MAP && !frame->value) {
		give_key(walk, frame, event);
		return true;
	} else {
		*event = (struct ipld_event){ .first = frame->done == 0, .value = frame->value };
		event->node = frame->value ? frame->key + 1 : frame->next;
		frame->next = event->node + event->node->span;
		frame->value = false;
		frame->done++;
	}
	if (event->node->kind == IPLD_LIST || event->node->kind == IPLD_MAP)
		ipld_enter(walk, event->node);
	return true;
}

void ipld_walk_release(struct ipld_walk *walk)
{
	while (walk->depth)
		ipld_leave(walk);
}
