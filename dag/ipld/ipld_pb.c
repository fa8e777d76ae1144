/* dag-pb as IPLD sees it: a map of Data and Links, read from a block and written to one. Pure;
 * any thread. */
#include "dag/ipld/ipld_pb.h"

#include "dag/dagpb.h"
#include "net/base/err.h"
#include "net/wire/pb.h"

enum { NODE_DATA = 1, NODE_LINKS = 2, LINK_HASH = 1, LINK_NAME = 2, LINK_TSIZE = 3 };

/* ---- from a block ---- */

static int put_key(struct ipld *tree, const char *key)
{
	return ipld_put_text(tree, IPLD_TEXT, bytes_str(key));
}

static int put_text(struct ipld *tree, const char *key, enum ipld_kind kind, struct bytes text)
{
	int err = put_key(tree, key);

	return err ? err : ipld_put_text(tree, kind, text);
}

/* dagpb_decode() has checked the link's form already. */
static int put_link(struct ipld *tree, struct bytes link)
{
	struct pb_reader r = pb_over(link);
	struct pb_field f;
	uint32_t count = 0;
	ssize_t index = ipld_open(tree, IPLD_MAP);
	int err = index < 0 ? (int)index : 0;

	while (!err && pb_next(&r, &f)) {
		count++;
		if (f.number == LINK_HASH) {
			err = put_text(tree, "Hash", IPLD_LINK, pb_bytes(&f));
		} else if (f.number == LINK_NAME) {
			err = put_text(tree, "Name", IPLD_TEXT, pb_bytes(&f));
		} else {
			err = put_key(tree, "Tsize");
			if (!err)
				err = ipld_put(tree, (struct ipld_node){ .kind = IPLD_INT,
									 .number = pb_u64(&f) });
		}
	}
	if (!err && r.bad)
		err = -EBADMSG;
	return err ? err : ipld_close(tree, (size_t)index, count);
}

static int put_links(struct ipld *tree, const struct dagpb *node)
{
	ssize_t index;
	int err = put_key(tree, "Links");

	if (err)
		return err;
	index = ipld_open(tree, IPLD_LIST);
	err = index < 0 ? (int)index : 0;
	for (size_t i = 0; !err && i < node->link_count; i++)
		err = put_link(tree, node->links[i]);
	return err ? err : ipld_close(tree, (size_t)index, (uint32_t)node->link_count);
}

int ipld_of_dagpb(struct ipld *tree, struct bytes block)
{
	struct dagpb node;
	ssize_t index;
	int err = dagpb_decode(&node, block);

	if (err)
		return err;
	index = ipld_open(tree, IPLD_MAP);
	err = index < 0 ? (int)index : 0;
	if (!err && node.has_data)
		err = put_text(tree, "Data", IPLD_BYTES, node.data);
	if (!err)
		err = put_links(tree, &node);
	if (!err)
		err = ipld_close(tree, (size_t)index, node.has_data ? 2 : 1);
	dagpb_release(&node);
	if (err)
		ipld_release(tree);
	return err;
}

/* ---- to a block ---- */

struct link {
	struct bytes hash, name;
	uint64_t tsize;
	bool has_name, has_tsize;
};

static int read_link(const struct ipld *tree, const struct ipld_node *map, struct link *link)
{
	const struct ipld_node *hash = ipld_get(tree, map, bytes_str("Hash"));
	const struct ipld_node *name = ipld_get(tree, map, bytes_str("Name"));
	const struct ipld_node *tsize = ipld_get(tree, map, bytes_str("Tsize"));

	if (!hash || hash->kind != IPLD_LINK || (name && name->kind != IPLD_TEXT) ||
	    (tsize && (tsize->kind != IPLD_INT || tsize->negative)) ||
	    map->count != 1u + (name != NULL) + (tsize != NULL))
		return -EINVAL;
	link->hash = ipld_text(tree, hash);
	link->has_name = name != NULL;
	if (name)
		link->name = ipld_text(tree, name);
	link->has_tsize = tsize != NULL;
	if (tsize)
		link->tsize = tsize->number;
	return 0;
}

static void write_link(const struct link *link, struct buf *out)
{
	size_t len = pb_len_bytes(LINK_HASH, link->hash.len);

	if (link->has_name)
		len += pb_len_bytes(LINK_NAME, link->name.len);
	if (link->has_tsize)
		len += pb_len_u64(LINK_TSIZE, link->tsize);
	pb_put_head(out, NODE_LINKS, len);
	pb_put_bytes(out, LINK_HASH, link->hash);
	if (link->has_name)
		pb_put_bytes(out, LINK_NAME, link->name);
	if (link->has_tsize)
		pb_put_u64(out, LINK_TSIZE, link->tsize);
}

static int write_links(const struct ipld *tree, const struct ipld_node *list, struct buf *out)
{
	const struct ipld_node *at = list + 1;
	struct bytes before = { 0 };

	if (list->count > DAGPB_LINKS_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < list->count; i++, at += at->span) {
		struct link link = { 0 };

		if (read_link(tree, at, &link) || bytes_cmp(before, link.name) > 0)
			return -EINVAL;
		before = link.name;
		write_link(&link, out);
	}
	return 0;
}

int ipld_to_dagpb(const struct ipld *tree, const struct ipld_node *node, struct buf *out)
{
	const struct ipld_node *data = ipld_get(tree, node, bytes_str("Data"));
	const struct ipld_node *links = ipld_get(tree, node, bytes_str("Links"));
	int err;

	if (!links || links->kind != IPLD_LIST || (data && data->kind != IPLD_BYTES) ||
	    node->count != 1u + (data != NULL))
		return -EINVAL;
	err = write_links(tree, links, out);
	if (!err && data)
		pb_put_bytes(out, NODE_DATA, ipld_text(tree, data));
	return err;
}
