/* Trees of blocks as files and directories, in plain blocking code: a tree walk reads like the
 * algorithm. Any thread but the loop's. Called by fs; calls exchange (struct blocks).
 *
 * Rooms behind this door:
 *   dag/file.h    reading files            dag/import.h  making trees from files (CIDs as Kubo's)
 *   dag/dir.h     reading directories      dag/pin.h     what is kept
 *   dag/dagpb.h   dag/unixfs.h  dag/ipld/ipld.h (CBOR, JSON) the codecs
 *   dag/car.h     archives of blocks             dag/scout.h   fetching ahead of a reader
 */
#ifndef DAG_DAG_H
#define DAG_DAG_H

#include "dag/car.h"
#include "dag/dagpb.h"
#include "dag/dir.h"
#include "dag/file.h"
#include "dag/import.h"
#include "dag/ipld/ipld.h"
#include "dag/pin.h"
#include "dag/scout.h"
#include "dag/sweep.h"
#include "dag/unixfs.h"
#include "exchange/exchange.h"

#define DAG_PATH_MAX 4096
#define DAG_PATH_PARTS_MAX (DAG_PATH_MAX / 2)
#define DAG_DEPTH_MAX 64
#define DAG_SYMLINK_MAX 4096

enum dag_type { DAG_FILE, DAG_DIRECTORY, DAG_SYMLINK, DAG_OTHER /* no UnixFS: dag-cbor... */ };

struct dag_stat {
	enum dag_type type;
	uint64_t size;	    /* bytes of the file or of the link's target; 0 for directories */
	uint64_t tree_size; /* as Kubo's cumulative size: this block and what its links claim */
	size_t block_size;  /* this block */
	size_t links;
	uint32_t mode; /* permissions as stored, 0: none */
	bool has_mtime;
	int64_t mtime;
	uint32_t mtime_nanos;
};

/* What cid is, from its own block alone. */
int dag_stat(struct blocks *blocks, const struct cid *cid, struct wait *wait,
	     struct dag_stat *stat);
/* The same from a block at hand. */
int dag_stat_block(const struct block *block, struct dag_stat *stat);
/* Target of a symlink, appended to out; -EINVAL when cid is none. */
int dag_readlink(struct blocks *blocks, const struct cid *cid, struct wait *wait, struct buf *out);

struct dag_path {
	struct cid root;
	char text[DAG_PATH_MAX + 8]; /* "/ipfs/CID/a/b" */
	const char *rest;	     /* of text, behind the root: "/a/b" or "" */
};

/* Parses a path as users write it: CID, CID/a/b, /ipfs/CID/a/b, ipfs://CID/a/b. It is cleaned
 * first, as Kubo does: "." and repeated or trailing slashes are removed, and ".." removes the part
 * before it, even the root (CID/../OTHER is OTHER). -EINVAL with a reason in why (static text).
 * /ipns and names are resolved before this. */
int dag_path_parse(const char *path, struct dag_path *out, const char **why);
/* Cleans a path so, which stands on its own: "a/./b//../c/" is "/a/c". -ENAMETOOLONG beyond
 * DAG_PATH_MAX bytes. */
int dag_path_clean(const char *path, char out[static DAG_PATH_MAX + 8]);
/* Walk down from root by names ('/'-separated, may be empty; at most DAG_PATH_PARTS_MAX of 255
 * bytes, else -ENAMETOOLONG). "." and ".." are names like others, which no directory has:
 * dag_path_parse() takes them out. Symlinks inside are not followed. -ENOENT the name is proven
 * absent; -ENOTDIR a middle part is a file. *resolved_len (may be NULL) is how much of rest was
 * resolved. Maps and lists of DAG-CBOR, DAG-JSON, CBOR and JSON blocks are walked through too;
 * -ENOTDIR when rest ends within such a block. */
int dag_resolve(struct blocks *blocks, const struct cid *root, const char *rest, struct wait *wait,
		struct cid *out, size_t *resolved_len);
/* The same, but rest may end within a block: *out is that block, *inner the part of rest to walk in
 * it (ipld_walk_path(); "" when it is the whole block). */
int dag_resolve_node(struct blocks *blocks, const struct cid *root, const char *rest,
		     struct wait *wait, struct cid *out, const char **inner, size_t *resolved_len);
/* Both in one. */
int dag_resolve_path(struct blocks *blocks, const char *path, struct wait *wait, struct cid *out);

/* ---- walking whole DAGs ---- */

struct dag_walk_config {
	size_t ahead_max;   /* blocks on their way at once [1024] */
	uint64_t bytes_max; /* stop with -EFBIG after this many bytes; 0: no limit */
	bool skip_seen;	    /* visit each block once, remembering them (pins, export) */
	bool stored_only;   /* nothing is fetched: -EHOSTUNREACH for a block that is not stored */
};

/* Every block below root (root first, depth first, links in order), fetching ahead in parallel.
 * Memory is bounded by depth and ahead_max (plus 32 bytes a block with skip_seen). The timeout is
 * per block: each() gets the block borrowed; non-zero stops and is returned. prune (may be NULL):
 * true leaves out the block and all below, without fetching it; it is asked when a link is fetched
 * ahead and again before the block is visited, so it must only answer. Links are followed as
 * dag_links() tells them. blocks_get()'s errors; -EBADMSG; -ENOTSUP a codec not known; -EFBIG;
 * -EINTR. */
typedef int dag_walk_fn(void *ctx, const struct block *block, unsigned depth);
typedef bool dag_prune_fn(void *ctx, const struct cid *cid);
int dag_walk(struct blocks *blocks, const struct cid *root, const struct dag_walk_config *config,
	     struct wait *wait, uint64_t timeout_ms, dag_walk_fn *each, dag_prune_fn *prune,
	     void *ctx);
/* Calls each for every link of a block, in order: dag-pb, dag-cbor and dag-json; raw, plain CBOR
 * and JSON and keys have none. -EBADMSG for a malformed block, -ENOTSUP for a codec not known.
 * Non-zero from each() is returned. */
int dag_links(struct bytes data, uint64_t codec, int (*each)(void *ctx, const struct cid *cid),
	      void *ctx);

#endif
