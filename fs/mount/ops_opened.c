/* Files that the kernel has open. A mount may end before the kernel has told of the last close, as
 * it tells later than close(2) returns: what is open then is closed with the mount. Any thread. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"

#include <stdlib.h>

struct opened {
	struct list link; /* in mount->opened */
	struct mount_tree *tree;
	void *file;
};

uint64_t opened_add(struct mount *mount, struct mount_tree *tree, void *file)
{
	struct opened *opened = xnew(struct opened);

	opened->tree = mount_tree_ref(tree);
	opened->file = file;
	pthread_mutex_lock(&mount->lock);
	list_add_tail(&mount->opened, &opened->link);
	pthread_mutex_unlock(&mount->lock);
	return (uintptr_t)opened;
}

void *opened_file(uint64_t handle)
{
	return handle ? ((struct opened *)(uintptr_t)handle)->file : NULL;
}

static void close_one(struct opened *opened)
{
	if (opened->tree->ops->close)
		opened->tree->ops->close(opened->tree, opened->file);
	mount_tree_unref(opened->tree);
	free(opened);
}

void opened_close(struct mount *mount, uint64_t handle)
{
	struct opened *opened = (struct opened *)(uintptr_t)handle;

	if (!opened)
		return;
	pthread_mutex_lock(&mount->lock);
	list_remove(&opened->link);
	pthread_mutex_unlock(&mount->lock);
	close_one(opened);
}

void opened_close_all(struct mount *mount)
{
	list_for_each_safe(opened, &mount->opened, struct opened, link) {
		list_remove(&opened->link);
		close_one(opened);
	}
}
