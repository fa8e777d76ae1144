/* Bringing files and trees in, with the CIDs that Kubo gives (wire/dag section 3). Plain blocking
 * code; hashing runs on threads of its own, beside reading and writing; the result does not depend
 * on their number. */
#ifndef DAG_IMPORT_H
#define DAG_IMPORT_H

#include "exchange/exchange.h"
#include "net/db/db.h"

#define IMPORT_THREADS_MAX 16
#define IMPORT_DEPTH_MAX 1000 /* directories within each other */
#define IMPORT_INLINE_MAX 128 /* bytes of a block within its CID */
#define IMPORT_INLINE_DEFAULT 32

enum import_layout { LAYOUT_BALANCED, LAYOUT_TRICKLE };
enum import_estimate { ESTIMATE_LINKS, ESTIMATE_BLOCK }; /* how a directory's size is judged */

/* What a finished entry is told as. Borrowed for the call. path is relative to what was added, name
 * first. */
struct import_event {
	const char *path;
	const struct cid *cid;
	uint64_t size;	/* cumulative, as Kubo prints */
	uint64_t bytes; /* file bytes */
};

struct import_config {
	unsigned cid_version; /* 0 or 1 */
	uint64_t hash_code;
	bool raw_leaves;
	unsigned inline_max; /* blocks of up to so many bytes stay in their CID; 0: none */
	char chunker[64];    /* "size-1048576"... */
	unsigned links_max;  /* per file node */
	enum import_layout layout;
	unsigned hamt_fanout;
	uint64_t hamt_threshold; /* a directory over this becomes a HAMT; 0: every one */
	enum import_estimate hamt_estimate;
	unsigned dir_links_max;	     /* a directory of more entries becomes a HAMT; 0: no limit */
	bool only_hash;		     /* nothing is stored */
	bool hidden;		     /* names beginning with '.' below the top too */
	bool skip_empty_dirs;	     /* directories in which nothing is found, but for the top */
	const struct ignore *ignore; /* borrowed; NULL: nothing is left out */
	bool follow_symlinks;	     /* those given on the command line are judged by the caller */
	bool preserve_mode, preserve_mtime; /* either turns raw_leaves off, as Kubo does */
	uint32_t mode;			    /* of everything but symlinks; 0: not said */
	bool has_mtime;			    /* of everything; both turn raw_leaves off, too */
	int64_t mtime;
	uint32_t mtime_nanos;
	struct db *seen;  /* import_path() remembers added files there; borrowed; NULL: nowhere */
	unsigned threads; /* for hashing; 0: as many as there are processors */
	/* Called on the importing thread; may be NULL. on_done for every file, symlink and
	 * directory of import_path(), in the order of names, children before their directory;
	 * on_bytes as file bytes are read, or known from before, with how many more. */
	void (*on_done)(void *ctx, const struct import_event *event);
	void (*on_bytes)(void *ctx, uint64_t bytes);
	void *ctx;
};

/* "unixfs-v1-2025" or "unixfs-v0-2015"; -ENOENT for another name. */
int import_profile(struct import_config *config, const char *name);
/* Checks the chunker and the numbers; *why is static text. */
int import_config_check(const struct import_config *config, const char **why);

/* All bytes of fd (a file, pipe...) up to its end. wait carries interruption (its deadline is not
 * used). size is the cumulative size. The blocks are queued; blocks_sync() makes them durable, and
 * a blocks_batch_begin() before holds them against collection. -ESTALE: a file whose bytes changed
 * while they were read. */
int import_fd(struct blocks *blocks, int fd, const struct import_config *config, struct wait *wait,
	      struct cid *root, uint64_t *tree_size);
/* A file, symlink or directory tree. name is what events call it. *failed_path (may be NULL) gets a
 * malloc'd path on error. -EINVAL config; -ENOENT vanished; -ENOTSUP neither file, directory nor
 * symlink ("unrecognized file type"); -ESTALE its bytes changed while they were read; -E2BIG over
 * IMPORT_DEPTH_MAX directories within each other; -ELOOP followed symlinks in a circle; -EINTR;
 * blocks_put()'s. Nothing is recorded then.
 *
 * If config->seen is set, table "added" remembers what became of each file: by path and settings,
 * with device, inode, size, mtime and ctime. A file that is found there is not read again if all
 * its blocks are still stored. Files that changed within two seconds before they were read are not
 * remembered, because a further change might not show in their times. A change through a memory map
 * shows only when the kernel has dated it. */
int import_path(struct blocks *blocks, const char *path, const char *name,
		const struct import_config *config, struct wait *wait, struct cid *root,
		uint64_t *tree_size, char **failed_path);

/* ---- what is left out ----
 * Rules as in .gitignore: "name" anywhere, "dir/" directories only, "a/b" and "/a" from the top
 * that is added, "**" for any directories, "!" to take back; the last rule that fits decides; what
 * is below a directory left out is not looked at. The top itself is never left out. */
struct ignore;
struct ignore *ignore_new(void);
void ignore_free(struct ignore *ignore); /* NULL is ignored */
/* One line. Blank lines and comments are fine. -E2BIG over IGNORE_RULES_MAX rules or
 * IGNORE_LINE_MAX bytes. */
#define IGNORE_RULES_MAX 4096
#define IGNORE_LINE_MAX 4096
int ignore_add(struct ignore *ignore, const char *line);
/* All lines of a file: open()'s errors too. */
int ignore_add_file(struct ignore *ignore, const char *path);
/* path is "/a/b" from the top, where "/a" was not left out itself. */
bool ignore_matches(const struct ignore *ignore, const char *path, bool is_dir);

/* ---- directories by hand: `add -w`, mutable trees ---- */

/* Collects entries and makes a directory, basic or HAMT as the size demands; the result depends
 * only on the entries. */
struct dir_builder;
struct dir_builder *dir_builder_new(struct blocks *blocks, const struct import_config *config);
void dir_builder_free(struct dir_builder *builder);
/* Replaces an entry of the same name. -EINVAL for a name no directory may hold. */
int dir_builder_add(struct dir_builder *builder, struct bytes name, const struct cid *cid,
		    uint64_t tree_size);
int dir_builder_remove(struct dir_builder *builder, struct bytes name); /* -ENOENT */
/* mode 0 and has_mtime false: none. Queues all blocks of the directory. -EOVERFLOW: of a HAMT,
 * names have hashes that are equal in all 64 bits. */
int dir_builder_finish(struct dir_builder *builder, uint32_t mode, bool has_mtime, int64_t mtime,
		       uint32_t mtime_nanos, struct cid *cid, uint64_t *tree_size);

#endif
