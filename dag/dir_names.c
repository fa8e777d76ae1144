/* Which names a directory may show, and the list of the entries that it leaves out, each with a
 * reason. No entry is dropped without being listed there. Many threads; the directory's lock is
 * held for the list. */
#include "dag/dir_private.h"

#include "net/base/alloc.h"

#include <string.h>

bool dir_name_ok(struct bytes name)
{
	if (name.len == 0 || name.len > DIR_NAME_MAX)
		return false;
	if (name.at[0] == '.' && (name.len == 1 || (name.len == 2 && name.at[1] == '.')))
		return false;
	return !memchr(name.at, '/', name.len) && !memchr(name.at, '\0', name.len);
}

void dir_leave_out(struct dir *dir, const struct dir_shard *shard, size_t link, const char *why)
{
	if (dir->left_out_count == dir->left_out_cap) {
		dir->left_out_cap = dir->left_out_cap ? dir->left_out_cap * 2 : 4;
		dir->left_out = xrealloc(dir->left_out, dir->left_out_cap * sizeof(*dir->left_out));
	}
	dir->left_out[dir->left_out_count++] =
		(struct dir_left_out){ { shard, (uint32_t)link }, why };
}
