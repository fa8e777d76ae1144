/* Shares in calls: found, opened and told. Blocking, on the thread that asks. */
#ifndef FS_API_API_SHARE_H
#define FS_API_API_SHARE_H

#include "fs/api/api.h"
#include "fs/shares.h"

/* The share that text means. False after the end of the call. */
bool api_share_find(struct api_call *call, const char *text, struct share_record *out);
/* Its tree, used once more: shares_release(). NULL after the end of the call. */
struct share *api_share_open(struct api_call *call, const struct share_record *record);
/* Ends the call with an error of shares_open(). */
void api_share_fail(struct api_call *call, int err, const char *name);
/* The version that text means (fs/share_version.h; NULL: the newest). False after the end of the
 * call. */
bool api_share_version(struct api_call *call, const struct share_record *record, const char *text,
		       struct tree_version *out);
/* NAME, NAME@V, NAME@V/PATH: the name in a copy of word (malloc'd), and within it what stands
 * behind
 * '@' (NULL: there is none) and behind the next '/' (NULL: there is none). */
char *api_share_split(const char *word, char **version, char **path);

/* A version as an item: {"Name", "Version", "Time", "Commit", "Tree", "Added", "Changed",
 * "Removed", "NewBytes", "Files", "Size"}. New. */
json_t *api_version_json(const json_t *args, const char *name, const struct tree_version *version);
/* "+12 ~0 -0 files, 1.3 MB new" of such an item. */
void api_version_changes(FILE *out, const json_t *item);

#endif
