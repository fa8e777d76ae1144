/* One import under way. The importing thread walks and reads, gives leaves to the hash threads, and
 * collects them in order: into the store, into their file's tree, and finished entries into their
 * directory. */
#ifndef DAG_IMPORT_PRIVATE_H
#define DAG_IMPORT_PRIVATE_H

#include "dag/import/chunker.h"
#include "dag/import/file_tree.h"
#include "dag/import/import_hash.h"
#include "dag/import/import_seen.h"
#include "net/base/list.h"

#include <sys/stat.h>

enum entry_type { ENTRY_FILE, ENTRY_DIRECTORY, ENTRY_SYMLINK };

/* A file, directory or symlink from when it is met to when it is finished. */
struct import_entry {
	struct list live;
	struct import_entry *parent; /* NULL: the top */
	enum entry_type type;
	struct attributes attributes;
	uint64_t bytes; /* of files, so far */
	bool is_known;	/* a file not read again: seen.root is its root */
	bool is_noted;	/* a file to be remembered with its root */
	struct import_seen_file seen;
	union {
		struct file_tree tree;
		struct dir_builder *dir;
		char *target;
	};
	char name[];
};

struct importer {
	struct builder builder;
	struct chunker chunker;
	struct leaf_pool *leaves;
	struct hash_pool *hash;
	struct import_seen *seen; /* NULL: nothing is remembered */
	char *real_path;	  /* of the top, when something is */
	struct wait *wait;
	const char *path;  /* of the top, to open it; NULL: a descriptor is read */
	const char *name;  /* of the top, in events */
	struct list live;  /* entries */
	struct buf window; /* for chunkers that look at the bytes */
	struct child root; /* the result */
	char *failed_path;
};

/* -EINVAL for a bad config. importer_release() in any case. */
int importer_init(struct importer *importer, struct blocks *blocks,
		  const struct import_config *config, struct wait *wait);
void importer_release(struct importer *importer);

/* Owned by the importer. stat is that of the entry, or NULL. */
struct import_entry *importer_entry(struct importer *importer, struct import_entry *parent,
				    const char *name, enum entry_type type,
				    const struct stat *stat);
/* Takes an entry back that has no parts and was not handed over. */
void importer_forget(struct import_entry *entry);
/* -EINTR when the user gave up. */
int importer_check(const struct importer *importer);
/* Remembers that this failed, unless something did before; name may be NULL. Returns err. */
int importer_failed(struct importer *importer, const struct import_entry *entry, const char *name,
		    int err);
/* top, the names below it down to entry (NULL: the top is not met yet), and name (may be NULL). */
void importer_path(struct buf *out, const struct import_entry *entry, const char *top,
		   const char *name);
/* All leaves of a file: wait_check() between them. size_hint: 0 when unknown. */
int importer_read(struct importer *importer, int fd, bool regular, uint64_t size_hint,
		  struct import_entry *file);
/* Does a file hold what it held before, as far as its size and times tell? */
bool importer_same_bytes(const struct stat *before, const struct stat *after);
/* Hand over a job, and collect what is ready. */
int importer_give(struct importer *importer, struct job *job);
/* The entry has all its parts. */
int importer_done(struct importer *importer, struct import_entry *entry);
/* Collect everything. */
int importer_drain(struct importer *importer);
/* importer->path and all below it. */
int importer_walk(struct importer *importer);

#endif
