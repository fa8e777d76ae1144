/* `files` in Kubo's words: what its calls have in common. They work on the share "my", whose top is
 * "/". Blocking, on the thread that asks: a thread of the daemon when one runs. */
#ifndef FS_API_API_FILES_H
#define FS_API_API_FILES_H

#include "fs/api/api.h"
#include "fs/shares.h"

#define FILES_FLUSH                                                                                \
	{                                                                                          \
		"flush", 'f', OPTION_FLAG, NULL, "what was changed is on disk when this returns",  \
			"true"                                                                     \
	}
/* Of CIDs there is one kind here; others are refused. */
#define FILES_CIDS                                                                                 \
	{ "cid-version", 0, OPTION_INT, "N", "1 is the only one", NULL },                          \
	{                                                                                          \
		"hash", 0, OPTION_TEXT, "NAME", "sha2-256 is the only one", NULL                   \
	}

struct files {
	struct api_call *call;
	struct share *share; /* used */
	struct tree *tree;
};

/* A path of the share: cleaned, "/" or "/a/b". */
struct files_path {
	char text[DAG_PATH_MAX + 8];
	char *name;	/* of text: the last part; "" for the top */
	bool wants_dir; /* it was written with a slash at its end */
};

char *files_check_cids(const json_t *args);
/* False after the end of the call. */
bool files_path(struct api_call *call, const char *word, struct files_path *out);
/* Opens the share, which is made when it is missing. False after the end of the call. */
bool files_begin(struct files *files, struct api_call *call);
/* Ends the call, with err in Kubo's words behind what (may be NULL), or with 0. */
void files_end(struct files *files, int err, const char *what);
/* The same after a change: it is on disk first, unless the call's "flush" is false. */
void files_end_change(struct files *files, int err, const char *what);
/* err as Kubo says it. */
const char *files_err_text(int err);

/* The directory that holds path, one reference more of its node; with make it and those above it
 * are made. files_forget() takes it back. -ENOENT, -ENOTDIR; -EINVAL: path is the top. */
int files_parent(struct files *files, const struct files_path *path, bool make, uint64_t *dir);
void files_forget(struct files *files, uint64_t node);
/* If path is a directory, or was written as one, it becomes path/name. -ENAMETOOLONG; errors of
 * tree_find(). */
int files_into(struct files *files, struct files_path *path, const char *name);
/* What is at name in dir goes, with all below it. -ENOENT. */
int files_remove(struct files *files, uint64_t dir, struct bytes name);

/* What stands at path in the newest version, which is made now. */
struct files_found {
	struct tree_version version;
	struct cid cid;
	struct dag_stat stat;
	struct tree_attr attr; /* without a reference */
};
int files_find(struct files *files, struct blocks *blocks, const char *path,
	       struct files_found *out);
/* {"Hash", "Size", "CumulativeSize", "Blocks", "Type", "Mode", "Mtime", "MtimeNsecs"}. New. */
json_t *files_stat_json(const json_t *args, const struct files_found *found);

#endif
