/* A daemon in the background: this program again, in a session of its own. The command waits
 * until it is ready, by a pipe. */
#include "fs/daemon/daemon.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MS 30000
#define LOG_TAIL_MAX 1024

/* Between fork and exec: only system calls. */
static void run_child(const char *repo_path, bool offline, int log_fd, int ready_fd)
{
	char ready[16];
	const char *args[] = {
		"dagfs",
		"--repo",
		repo_path,
		"daemon",
		"--with-mounts",
		"--ready-fd",
		ready,
		offline ? "--offline" : NULL,
		NULL,
	};
	int null_fd = open("/dev/null", O_RDWR);

	snprintf(ready, sizeof(ready), "%d", ready_fd);
	setsid();
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_IGN); /* it outlives the terminal */
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	fcntl(ready_fd, F_SETFD, 0);
	execv("/proc/self/exe", (char *const *)args);
	_exit(127);
}

/* What the daemon wrote since it was started: the end of it. */
static char *log_since(int fd, off_t from)
{
	char text[LOG_TAIL_MAX + 1];
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n;

	if (end - from > LOG_TAIL_MAX)
		from = end - LOG_TAIL_MAX;
	n = pread(fd, text, LOG_TAIL_MAX, from);
	text[n > 0 ? n : 0] = 0;
	return xasprintf("%s", strncmp(text, "Error: ", 7) ? text : text + 7);
}

/* 0 when it is ready, else why not, with *why in its own words when it could tell them. */
static int take_reason(const char *text, char **why)
{
	char *rest = NULL;
	long number = strtol(text, &rest, 10);

	if (text[0] == '\n')
		return 0;
	if (number <= 0 || number > 4095 || *rest != ' ')
		return -ECHILD;
	*why = xstrdup(rest + 1);
	return (int)-number;
}

/* The pipe ends when the daemon is ready, or is no more. */
static int wait_ready(int fd, char **why)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint64_t until_ms = monotonic_ms() + READY_MS;
	char text[DAEMON_REASON_MAX + 1];
	size_t len = 0;

	while (len < DAEMON_REASON_MAX) {
		uint64_t now_ms = monotonic_ms();
		int n = poll(&ready, 1, now_ms < until_ms ? (int)(until_ms - now_ms) : 0);

		if (n == 0)
			return -ETIMEDOUT;
		if (n > 0) {
			ssize_t got = read(fd, text + len, DAEMON_REASON_MAX - len);

			if (got <= 0)
				break;
			len += (size_t)got;
		} else if (errno != EINTR) {
			return -errno;
		} else if (cli_interrupted()) {
			return -EINTR;
		}
	}
	text[len] = 0;
	return take_reason(text, why);
}

static int spawn_spawn(const char *repo_path, bool offline, int log_fd, int *pid, char **why)
{
	int pipe_fds[2], err;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	*pid = fork();
	if (*pid == 0)
		run_child(repo_path, offline, log_fd, pipe_fds[1]);
	err = *pid < 0 ? -errno : 0;
	close(pipe_fds[1]);
	if (!err)
		err = wait_ready(pipe_fds[0], why);
	close(pipe_fds[0]);
	return err;
}

/* *file: where it is. A descriptor, or -errno. */
static int open_log(const char *repo_path, char **file)
{
	const int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC;
	char *dir = NULL;

	*file = repo_file(repo_path, "daemon.log");
	int fd = open(*file, flags, 0600), err = fd < 0 ? -errno : 0;

	if (err == -EROFS && (dir = repo_run_dir(repo_path, true))) {
		free(*file);
		*file = repo_file(dir, "daemon.log");
		fd = open(*file, flags, 0600);
		err = fd < 0 ? -errno : 0;
	}
	free(dir);
	return err ? err : fd;
}

int daemon_spawn(const char *repo_path, bool offline, char **why)
{
	char *file, *said;
	int pid = -1, fd, err = repo_place_check(repo_path, why);
	off_t from;

	if (err)
		return err;
	fd = open_log(repo_path, &file);

	if (fd < 0) {
		err = fd;
		*why = err == -ENOENT
			       ? xasprintf("no repository at %s: run `dagfs init` first", repo_path)
			       : xasprintf("cannot write %s: %s", file, err_file_text(err));
		free(file);
		return err;
	}
	from = lseek(fd, 0, SEEK_END);
	err = spawn_spawn(repo_path, offline, fd, &pid, why);
	if (err) {
		if (pid > 0 && (err == -ETIMEDOUT || err == -EINTR))
			kill(pid, SIGTERM);
		if (pid > 0)
			waitpid(pid, NULL, err == -ETIMEDOUT || err == -EINTR ? WNOHANG : 0);
		said = *why ? *why : log_since(fd, from); /* the log may have another one's words */
		said[strcspn(said, "\n")] = 0;
		*why = xasprintf("the daemon did not start: %s (see %s)",
				 *said ? said : err_text(err), file);
		free(said);
	}
	close(fd);
	free(file);
	return err;
}
