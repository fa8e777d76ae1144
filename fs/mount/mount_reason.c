/* Why mounting failed. The library says only that it did; its reason goes to its log, which is
 * caught here, and that of the helper fusermount3 to the standard error: when the log is silent the
 * helper is run again, and heard. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REASON_MAX 1024

extern char **environ;

/* Of the thread that mounts, while it does. The library's log function has no argument for it. */
static _Thread_local char *heard;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_log(enum fuse_log_level level, const char *fmt, va_list args)
{
	char text[REASON_MAX];

	vsnprintf(text, sizeof text, fmt, args);
	text[strcspn(text, "\n")] = 0;
	if (!heard)
		log_warn("mount", "libfuse: %s", text);
	else if (!*heard && level <= FUSE_LOG_ERR)
		snprintf(heard, REASON_MAX, "%s", text);
}

static void catch_log(void)
{
	fuse_set_log_func(on_log);
}

/* Without "fuse: ", "fusermount3: " and the full stop. */
static char *cleaned(const char *text)
{
	const char *colon = strstr(text, ": ");
	char *reason;
	size_t len;

	if (colon && (!strncmp(text, "fuse", 4)))
		text = colon + 2;
	reason = xstrdup(text);
	len = strlen(reason);
	if (len && reason[len - 1] == '.')
		reason[len - 1] = 0;
	return reason;
}

/* Runs the helper as the library does, with its error output in a pipe. Returns whether it mounted.
 */
static bool ask_helper(const char *point, const char *options, int comm, int out)
{
	char *argv[] = { MOUNT_HELPER, "-o", (char *)options, "--", (char *)point, NULL };
	char *with[] = { NULL, "LC_ALL=C",
			 getenv("PATH") ? xasprintf("PATH=%s", getenv("PATH")) : NULL, NULL };
	posix_spawn_file_actions_t actions;
	int status = 1;
	pid_t pid;

	with[0] = xasprintf("_FUSE_COMMFD=%d", comm);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	posix_spawn_file_actions_adddup2(&actions, comm, comm); /* stays open in it */
	if (posix_spawnp(&pid, MOUNT_HELPER, &actions, NULL, argv, with) == 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	posix_spawn_file_actions_destroy(&actions);
	free(with[0]);
	free(with[2]);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void hear_helper(const char *point, const char *options)
{
	int comm[2], out[2];
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, comm))
		return;
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) == 0) {
		if (ask_helper(point, options, comm[1], out[1]))
			mount_point_unmount(point);
		n = read(out[0], heard, REASON_MAX - 1);
		heard[n > 0 ? n : 0] = 0;
		heard[strcspn(heard, "\n")] = 0;
		close(out[0]);
		close(out[1]);
	}
	close(comm[0]);
	close(comm[1]);
}

int mount_with_reason(struct fuse_session *session, const char *point, const char *options,
		      char **reason)
{
	char text[REASON_MAX] = "";
	int failed;

	pthread_once(&once, catch_log);
	*reason = NULL;
	heard = text;
	failed = fuse_session_mount(session, point);
	/* Words of the library's own, which the helper does not know. */
	if (failed && !*text && !strstr(options, "allow_root") && !strstr(options, "debug"))
		hear_helper(point, options);
	heard = NULL;
	if (failed)
		*reason = *text ? cleaned(text) : xstrdup("the system gave no reason");
	return failed ? -EPERM : 0;
}
