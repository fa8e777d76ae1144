/* Questions about the folder of a repository that must be answered before anything in it is
 * touched. */
#include "fs/repo_place.h"

#include "fs/repo.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_NAMES_MAX                                                                             \
	128 /* of the longest path of a file in a repository, behind the repository's own */
#define ROOM_BYTES ((uint64_t)1 << 19) /* of a new repository */
#define ROOM_FILES 24

static bool is_read_only(const char *path)
{
	struct statvfs disk;

	return !statvfs(path, &disk) && disk.f_flag & ST_RDONLY;
}

int repo_place_check(const char *path, char **why)
{
	char text[1024];
	struct passwd entry, *found = NULL;
	struct stat folder;

	if (strlen(path) > PATH_MAX - FILE_NAMES_MAX) {
		*why = xasprintf("the path of a repository may have %d bytes, this one has %zu",
				 PATH_MAX - FILE_NAMES_MAX, strlen(path));
		return -ENAMETOOLONG;
	}
	if (geteuid() != 0 || stat(path, &folder) || folder.st_uid == 0 || is_read_only(path))
		return 0;
	getpwuid_r(folder.st_uid, &entry, text, sizeof(text), &found);
	*why = xasprintf("%s belongs to %s (user %u), who could not use what root makes in it: run "
			 "this as that user, "
			 "or give root the folder and all in it",
			 path, found ? found->pw_name : "another", (unsigned)folder.st_uid);
	return -EPERM;
}

/* The deepest folder that is there. */
static int look_at_disk(const char *path, struct statvfs *disk)
{
	char *part = xstrdup(path), *slash;
	int err = statvfs(part, disk);

	while (err && errno == ENOENT && (slash = strrchr(part, '/'))) {
		slash[slash == part] = 0;
		err = statvfs(part, disk);
		if (slash == part)
			break;
	}
	if (err && errno == ENOENT)
		err = statvfs(".", disk);
	free(part);
	return err;
}

int repo_place_room(const char *path, char **why)
{
	struct statvfs disk;

	if (look_at_disk(path, &disk))
		return 0;
	uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;

	if (disk.f_blocks && room < ROOM_BYTES)
		*why = xasprintf("no space left: a repository at %s needs %u KiB at its beginning, "
				 "and %llu KiB are free",
				 path, (unsigned)(ROOM_BYTES >> 10),
				 (unsigned long long)(room >> 10));
	else if (disk.f_files && disk.f_favail < ROOM_FILES)
		*why = xasprintf("no space left: a repository at %s needs %d files at its "
				 "beginning, and the disk has inodes "
				 "for %llu",
				 path, ROOM_FILES, (unsigned long long)disk.f_favail);
	else
		return 0;
	return -ENOSPC;
}

/* Made by root it would keep its owner out. */
static void give_to_owner(int fd, const char *path)
{
	struct stat folder, file;

	if (geteuid() == 0 && !stat(path, &folder) && !fstat(fd, &file) &&
	    file.st_uid != folder.st_uid && fchown(fd, folder.st_uid, folder.st_gid))
		return; /* as good as it can be */
}

int repo_lock_file(const char *path, const char *name)
{
	char *file = repo_file(path, name);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600),
	    err = fd < 0 ? -errno : 0;

	if (err == -EROFS) {
		fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = fd < 0 ? -errno : 0;
	} else if (!err) {
		give_to_owner(fd, path);
	}
	free(file);
	return err ? err : fd;
}

char *repo_run_dir(const char *path, bool make)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (stat(path, &st))
		return NULL;
	char *dir = xasprintf("%s/dagfs-%u-%llx-%llx", base && *base ? base : "/tmp",
			      (unsigned)geteuid(), (unsigned long long)st.st_dev,
			      (unsigned long long)st.st_ino);

	if (make)
		mkdir(dir, 0700);
	/* In /tmp anybody may have made it. */
	if (!lstat(dir, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	    !(st.st_mode & 077))
		return dir;
	free(dir);
	return NULL;
}
