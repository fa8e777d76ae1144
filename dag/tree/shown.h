/* What a manifest's entry shows at its name (SHARES: section 5): a directory, if it has dots or
 * anything below it; else the value of greatest (stamp, pen) that is not aside, or if all are, the
 * greatest of those. Private to dag/tree. Pure; any thread. */
#ifndef DAG_TREE_SHOWN_H
#define DAG_TREE_SHOWN_H

#include "dag/share/manifest.h"

#include <sys/stat.h>

#define SHOWN_FILE_MODE 0644 /* where no meta tells another */
#define SHOWN_DIR_MODE 0755

struct shown {
	mode_t mode; /* with the type */
	uint64_t id;
	struct timespec mtime;
	uint64_t size;			    /* of a file or target */
	uint64_t stamp;			    /* of the commit that last wrote it */
	const struct manifest_value *value; /* borrowed from the entry; NULL: a directory */
	const struct manifest_meta *meta;   /* borrowed; NULL: none */
};

/* False: the entry shows nothing. */
bool shown_entry(const struct manifest_entry *entry, struct shown *out);

#endif
