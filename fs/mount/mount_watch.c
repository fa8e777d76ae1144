/* Is the mount still in the mount table? `umount -l` takes it out while something below it is in
 * use: nobody can reach it by name any more, another mount may be at its place, but the kernel does
 * not let go of it. When the table changes the kernel wakes threads that poll mountinfo; a thread
 * that waits for requests looks. */
#include "fs/mount/mount_private.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TABLE "/proc/self/mountinfo"

/* By its device, as it may have been moved or bound elsewhere. True when that cannot be told. */
static bool is_in_table(dev_t dev)
{
	FILE *file = fopen(TABLE, "re");
	unsigned long major, minor;
	bool found = false;
	char *line = NULL;
	size_t cap = 0;

	if (!file)
		return true;
	while (!found && getline(&line, &cap, file) > 0)
		found = sscanf(line, "%*s %*s %lu:%lu", &major, &minor) == 2 &&
			makedev(major, minor) == dev;
	if (ferror(file))
		found = true;
	free(line);
	fclose(file);
	return found;
}

void mount_watch_open(struct mount *mount)
{
	mount->table_fd = open(TABLE, O_RDONLY | O_CLOEXEC);
	if (mount->table_fd < 0)
		log_warn("mount", "mount table not watched err=%s", err_text(-errno));
}

void mount_watch_start(struct mount *mount, dev_t dev)
{
	pthread_mutex_lock(&mount->lock);
	mount->dev = dev;
	pthread_mutex_unlock(&mount->lock);
	mount_watch_look(mount);
}

void mount_watch_look(struct mount *mount)
{
	bool tell = false;

	pthread_mutex_lock(&mount->lock);
	dev_t dev = mount->dev;

	pthread_mutex_unlock(&mount->lock);
	if (!dev || is_in_table(dev))
		return;
	pthread_mutex_lock(&mount->lock);
	if (!mount->detached && !mount->unmounting && !mount->stopping)
		mount->detached = tell = true;
	pthread_mutex_unlock(&mount->lock);
	if (tell && mount->on_detached)
		mount->on_detached(mount->ctx);
}

/* The library unmounts by name unless the device says that the mount is gone. A pipe without a
 * reader says the same to poll(), and taking the device's place closes the device. */
void mount_watch_let_go(struct mount *mount)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC)) {
		log_error("mount", "cannot let go of a detached mount err=%s", err_text(-errno));
		return;
	}
	close(ends[0]);
	if (dup3(ends[1], fuse_session_fd(mount->session), O_CLOEXEC) < 0)
		log_error("mount", "cannot let go of a detached mount err=%s", err_text(-errno));
	close(ends[1]);
}
