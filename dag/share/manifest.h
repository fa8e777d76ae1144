/* Manifests: what a state says of each entry of a directory, in memory and as bytes. radix.h makes,
 * reads and changes directories of them. Pure; any thread.
 *
 *	node  = { "e":[entries], "p":[pens] } | { "b":[null | [link, entries, weight, spans] x 16],
 *		  "p":[pens] }
 *	entry = [ name, [value...], dir|null, [meta...] ]
 *	value = [ pen, stamp, flags, id u64, size, mtime s, ns, link|target ]
 *	dir   = [ [[pen, stamp, id]...], link|null, tree link|null, tree size, spans ]
 *	meta  = [ pen, stamp, mode, mtime s, ns, {xattr: bytes}|null ]
 *	spans = [[pen, least, most]...]                        of all dots below
 *
 * Names and targets are byte strings. A pen is an index into "p", which holds the 8 bytes of each
 * pen that the node names, ascending. Entries ascend by (murmur3-64(name), name); values, dots and
 * metas by (pen, stamp), each once; spans by pen. Canonical DAG-CBOR; links to nodes are CIDv1,
 * dag-cbor, sha2-256.
 *
 * A node is a leaf if its weight is at most MANIFEST_LEAF_MAX or it is MANIFEST_LEVELS down; else
 * it branches by the next 4 bits of the hash, from the most significant on. The weight of an entry:
 * length of the name, 96 a value, 64 a dir and 32 for each of its dots after the first, 48 a meta,
 * targets, names and values of xattrs. So an equal state has an equal CID, whatever came before.
 *
 * An empty directory has no node: its dir's link is null, its spans are []. */
#ifndef DAG_SHARE_MANIFEST_H
#define DAG_SHARE_MANIFEST_H

#include "net/base/bytes.h"
#include "net/wire/cid.h"

#include <stdbool.h>

#define MANIFEST_LEAF_MAX 32768 /* weight */
#define MANIFEST_LEVELS 16
#define MANIFEST_PENS_MAX 256
#define MANIFEST_ENTRY_MAX 16384 /* bytes of an encoded entry */
#define MANIFEST_NAME_MAX 255
#define MANIFEST_TARGET_MAX 4095
#define MANIFEST_XATTR_NAME_MAX 255

enum manifest_flags { MANIFEST_SYMLINK = 1, MANIFEST_ASIDE = 2 };

/* Content at a name: a file or a symlink. */
struct manifest_value {
	uint64_t pen, stamp;
	unsigned flags; /* MANIFEST_* */
	uint64_t id;	/* st_ino; given at creation, kept by rename */
	uint64_t size;	/* of the file; of the target */
	int64_t mtime;
	uint32_t mtime_nanos;
	struct cid cid;	     /* of a file; not set for symlinks */
	struct bytes target; /* of a symlink: 1..4095 bytes without NUL */
};

struct manifest_dot {
	uint64_t pen, stamp, id;
};

/* Least and greatest stamp of a pen, of all dots below. */
struct manifest_span {
	uint64_t pen, least, most;
};

/* A directory at a name. */
struct manifest_dir {
	struct manifest_dot *dots; /* of its existence; none if only what is below keeps it */
	size_t dot_count;
	struct cid link;	     /* its manifest; not set: empty */
	struct cid tree;	     /* plain UnixFS of what it shows; not set: encrypted */
	uint64_t tree_size;	     /* cumulative, as a dag-pb link to tree tells */
	struct manifest_span *spans; /* of all below link */
	size_t span_count;
};

struct manifest_xattr {
	struct bytes name, value; /* manifest_xattr_allowed() */
};

/* Mode and xattrs of what is at a name. Of files only if the mode is not 0644 or xattrs are there;
 * mtime is a directory's (a file's is in its value, and 0 here). */
struct manifest_meta {
	uint64_t pen, stamp;
	uint32_t mode; /* 07777 */
	int64_t mtime;
	uint32_t mtime_nanos;
	struct manifest_xattr *xattrs; /* the shorter name first, then by bytes */
	size_t xattr_count;
};

/* All that a state says of one name. Pointers are borrowed unless memory is set: then all that they
 * point to is in it. Zero-initialised says nothing. */
struct manifest_entry {
	struct bytes name;
	struct manifest_value *values;
	size_t value_count;
	bool has_dir;
	struct manifest_dir dir;
	struct manifest_meta *metas;
	size_t meta_count;
	void *memory;
};

/* Frees an owned entry; zero again. One that borrows is only zeroed. */
void manifest_entry_release(struct manifest_entry *entry);
/* An owned copy; to is not released before. */
void manifest_entry_copy(struct manifest_entry *to, const struct manifest_entry *from);
/* Equal bytes. */
bool manifest_entry_equal(const struct manifest_entry *a, const struct manifest_entry *b);

/* 1..255 bytes without '/' and NUL, not "." or "..". */
bool manifest_name_allowed(struct bytes name);
/* "user." and more, UTF-8 without NUL, 255 bytes at most; not user.ipfs.* or user.dagfs.*. (A key
 * of a DAG-CBOR map is a text.) */
bool manifest_xattr_allowed(struct bytes name);
/* murmur3-64: the order of entries. */
uint64_t manifest_hash(struct bytes name);
/* (hash, name): as memcmp tells. */
int manifest_order(uint64_t hash_a, struct bytes a, uint64_t hash_b, struct bytes b);

/* May the entry be written? 0; -EINVAL: order, names, sizes, dots twice, an unset link, nothing
 * said; -EMSGSIZE: MANIFEST_ENTRY_MAX. */
int manifest_entry_check(const struct manifest_entry *entry);
uint64_t manifest_weight(const struct manifest_entry *entry);

#endif
