/* Whether a directory is fit to be mounted on. If it is not, the message says why and what to do:
 * it is a mount whose process died, it is busy, or it belongs to somebody else. Any thread. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOUNTINFO_LINE_MAX 8192

extern char **environ;

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	char *copy = xstrdup(path ? path : "/usr/bin:/bin"), *save = NULL;
	bool found = false;

	for (char *dir = strtok_r(copy, ":", &save); dir && !found;
	     dir = strtok_r(NULL, ":", &save)) {
		char *file = xasprintf("%s/%s", dir, program);

		found = !access(file, X_OK);
		free(file);
	}
	free(copy);
	return found;
}

/* The helper may do what only root may. Its only sort of failure that matters is "busy". */
static int helper_unmount(const char *point, bool lazy)
{
	char *argv[] = { MOUNT_HELPER,
			 "-u",
			 "-q",
			 lazy ? "-z" : "--",
			 lazy ? "--" : (char *)point,
			 lazy ? (char *)point : NULL,
			 NULL };
	int status;
	pid_t pid;
	int err = -posix_spawnp(&pid, MOUNT_HELPER, NULL, NULL, argv, environ);

	if (err)
		return err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static int unmount(const char *point, bool lazy)
{
	if (geteuid() != 0)
		return helper_unmount(point, lazy);
	return umount2(point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) ? -errno : 0;
}

int mount_point_check_empty(const char *point, char **why)
{
	DIR *dir = opendir(point);
	struct dirent *entry;
	bool empty = true;

	if (!dir)
		return 0; /* a user who may not look may not mount either; the kernel reports it */
	while (empty && (entry = readdir(dir)))
		empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
	closedir(dir);
	if (empty)
		return 0;
	*why = xasprintf("%s is not empty: mount elsewhere, or with -o nonempty to cover what is "
			 "there",
			 point);
	return -ENOTEMPTY;
}

int mount_point_unmount(const char *point)
{
	return unmount(point, false);
}

/* mountinfo writes spaces and the like as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] && at[3]) {
			*to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = 0;
}

bool mount_is_at(const char *point)
{
	char line[MOUNTINFO_LINE_MAX], at[PATH_MAX];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	if (!file)
		return false;
	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1)
			continue;
		unescape(at);
		if (strcmp(at, point) == 0)
			found = strstr(line, " - fuse.dagfs ") != NULL; /* the last is on top */
	}
	fclose(file);
	return found;
}

static int check_directory(const char *point, char **why)
{
	struct statvfs answer;
	struct stat st;
	int err = stat(point, &st) ? -errno : 0;

	/* stat() of a dead mount may be answered from the kernel's cache; statvfs() asks the mount.
	 */
	if (!err && mount_is_at(point) && statvfs(point, &answer))
		err = -errno;
	if (err == -ENOTCONN || err == -ECONNABORTED) {
		log_info("mount", "taking away the dead mount at=%s", point);
		err = unmount(point, true);
		if (err) {
			*why = xasprintf(
				"%s: a dead mount is there that cannot be taken away (%s): "
				"try `" MOUNT_HELPER " -uz %s`",
				point, err_text(err), point);
			return err;
		}
		err = stat(point, &st) ? -errno : 0;
	}
	if (err == -ENOENT)
		*why = xasprintf("%s does not exist: make it first (mkdir)", point);
	else if (err)
		*why = xasprintf("%s: %s", point, err_text(err));
	else if (!S_ISDIR(st.st_mode)) {
		*why = xasprintf("%s is not a directory", point);
		err = -ENOTDIR;
	}
	return err;
}

static int check_fuse(char **why)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (err)
		*why = xasprintf(
			"/dev/fuse cannot be opened (%s): %s", err_text(err),
			err == -EACCES || err == -EPERM
				? "you may not use FUSE here"
				: "load the kernel module fuse, or give the container the device");
	else if (geteuid() != 0 && !in_path(MOUNT_HELPER)) {
		*why = xstrdup(MOUNT_HELPER
			       " is not installed: only root can mount without it (package fuse3)");
		err = -ENOENT;
	}
	return err;
}

/* A store seen through the mount that reads from it would wait for itself. */
static int check_store(const char *point, struct store *store, char **why)
{
	struct store_stat stat = { 0 };
	char place[PATH_MAX], own[PATH_MAX];
	size_t len;

	if (store_stat(store, &stat) || !stat.path[0] || !realpath(stat.path, own) ||
	    !realpath(point, place))
		return 0;
	len = strlen(place);
	if (strcmp(place, "/") != 0 && (strncmp(own, place, len) || (own[len] && own[len] != '/')))
		return 0;
	*why = xasprintf("%s holds the store itself (%s): mount elsewhere", point, own);
	return -EINVAL;
}

int mount_point_check(const char *point, struct store *store, char **why)
{
	int err = check_directory(point, why);

	if (!err && mount_is_at(point)) {
		*why = xasprintf("%s is a dagfs mount already: unmount it first", point);
		err = -EBUSY;
	}
	if (!err)
		err = check_fuse(why);
	if (!err)
		err = check_store(point, store, why);
	return err;
}
