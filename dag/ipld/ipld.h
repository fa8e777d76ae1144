/* The IPLD data model in memory: what DAG-CBOR, DAG-JSON and dag-pb blocks say (wire/dag section
 * 6). A tree is one array of nodes in reading order and one arena of text, so nothing recurses and
 * nothing is allocated by a claimed length: a node needs at least a byte of input. Pure; one tree
 * belongs to one thread at a time.
 *
 * A container is followed by what it holds: a list by its items, a map by key, value, key, value...
 * Keys are unique texts. */
#ifndef DAG_IPLD_H
#define DAG_IPLD_H

#include "net/wire/cid.h"

#define IPLD_DEPTH_MAX 128	  /* containers within containers */
#define IPLD_NODES_MAX (4u << 20) /* 16 bytes each */
#define IPLD_TEXT_MAX (16u << 20) /* bytes of text, bytes and links of one tree */

enum ipld_kind {
	IPLD_NULL,
	IPLD_BOOL,
	IPLD_INT,
	IPLD_FLOAT, /* never NaN or infinite */
	IPLD_TEXT,
	IPLD_BYTES,
	IPLD_LINK, /* its text is the binary CID */
	IPLD_LIST,
	IPLD_MAP,
};

struct ipld_node {
	uint8_t kind;
	bool negative; /* INT: the value is -1 - number, so -2^64 ... 2^64-1 can be told */
	uint32_t span; /* nodes of this one and all below */
	union {
		bool yes;
		uint64_t number;
		double real;
		struct {
			uint32_t at, len;
		} text;		/* within the tree's text */
		uint32_t count; /* items of a list, pairs of a map */
	};
};

/* Zero-initialised is empty and valid: there is no value. */
struct ipld {
	struct ipld_node *nodes;
	size_t count, cap;
	struct buf text;
};

void ipld_release(struct ipld *tree); /* empty and valid again */

/* ---- reading ---- */

/* Text, bytes or binary CID of a node; borrowed until the tree changes. */
struct bytes ipld_text(const struct ipld *tree, const struct ipld_node *node);
int ipld_link(const struct ipld *tree, const struct ipld_node *node, struct cid *cid); /* -EINVAL */
/* The value of a key; NULL when absent or when map is none. */
const struct ipld_node *ipld_get(const struct ipld *tree, const struct ipld_node *map,
				 struct bytes key);
/* What name leads to: a key of a map, or the decimal index of a list. -ENOENT; -ENOTDIR for what
 * holds nothing. */
int ipld_step(const struct ipld *tree, const struct ipld_node *node, struct bytes name,
	      const struct ipld_node **out);
/* Whether the bytes are well-formed UTF-8. */
bool ipld_utf8(struct bytes text);

/* ---- walking in order, for encoders ---- */

typedef int ipld_order_fn(struct bytes a, struct bytes b);

struct ipld_event {
	const struct ipld_node *node;
	bool close; /* the end of this container; otherwise a value, a key, or its beginning */
	bool key;
	bool first; /* of its container */
	bool value; /* comes after its key */
};

struct ipld_frame {
	const struct ipld_node *node, *next, *key;
	uint32_t *order; /* of keys; NULL: as they stand */
	uint32_t done;
	bool value;
};

/* Zero-initialise, set tree, root and order, call ipld_next() until it says false, then
 * ipld_walk_release(). About 6 KiB. */
struct ipld_walk {
	const struct ipld *tree;
	const struct ipld_node *root;
	ipld_order_fn *order; /* of the keys of each map */
	bool begun;
	unsigned depth;
	struct ipld_frame stack[IPLD_DEPTH_MAX];
};

bool ipld_next(struct ipld_walk *walk, struct ipld_event *event);
void ipld_walk_release(struct ipld_walk *walk);

/* ---- building, for decoders: values in reading order ---- */

/* A scalar without text; span is set. -EMSGSIZE over IPLD_NODES_MAX. */
int ipld_put(struct ipld *tree, struct ipld_node node);
/* TEXT, BYTES or LINK, copied. -EMSGSIZE. */
int ipld_put_text(struct ipld *tree, enum ipld_kind kind, struct bytes text);
/* A list or map: its index, to be closed with it after its items; -EMSGSIZE. Depth is the decoder's
 * to bound. */
ssize_t ipld_open(struct ipld *tree, enum ipld_kind kind);
/* count: items or pairs put since. -EBADMSG when a key stands twice. */
int ipld_close(struct ipld *tree, size_t index, uint32_t count);
/* Forget the node at index and all behind it. */
void ipld_cut(struct ipld *tree, size_t index);

/* ---- blocks of any codec we know ---- */

/* "dag-cbor" and so on: 0 when unknown. */
uint64_t ipld_codec(const char *name);
/* The value a block holds: dag-pb, dag-cbor, dag-json, cbor, json; raw is BYTES. CBOR is read as
 * Go's decoder does (any key order and integer length). -EBADMSG, -EMSGSIZE, -ENOTSUP. On failure
 * the tree is empty. */
int ipld_decode(struct ipld *tree, uint64_t codec, struct bytes block);
/* As ipld_decode(), but what is not canonical is refused: what may be stored anew. */
int ipld_decode_strict(struct ipld *tree, uint64_t codec, struct bytes block);
/* The canonical bytes of node and what is below, appended to out. -EINVAL when the codec cannot say
 * it; -EMSGSIZE; -ENOTSUP. */
int ipld_encode(const struct ipld *tree, const struct ipld_node *node, uint64_t codec,
		struct buf *out);
/* Is there something to walk through by names? (not raw, not dag-pb, whose names are UnixFS's) */
bool ipld_has_paths(uint64_t codec);
/* Walk from the block's value by '/'-separated names, up to the first link met (*link set) or the
 * end (*link unset). *used: how much of path was walked, also on failure. -ENOENT, -ENOTDIR,
 * ipld_decode()'s. */
int ipld_walk_path(struct bytes block, uint64_t codec, const char *path, struct cid *link,
		   size_t *used);

#endif
