/* Start: lock, repository, loop, network, control socket, shares, pins, "Daemon is ready". Stop:
 * control socket, mounts, pins and calls, then shares (on threads of their own, while the loop
 * still runs for them), network, loop, repository, lock. */
#include "fs/daemon/daemon_followed.h"
#include "fs/daemon/daemon_pins.h"
#include "fs/daemon/daemon_private.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/trim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_MS 5000
#define SHARES_STOP_MS 60000 /* for changes to be written */
#define UNUSED_MS 2000	     /* a command that started it for a mount connects within this time */

/* ---- stopping ---- */

static void on_swarm_closed(void *ctx)
{
	struct daemon *daemon = ctx;

	loop_stop(daemon->loop);
}

/* A part that does not end must not keep the process: all that was acknowledged is on disk already.
 */
static void on_stop_deadline(void *ctx)
{
	(void)ctx;
	log_error("daemon", "stopping took too long, ending at once");
	_exit(EXIT_FAILED);
}

void daemon_stop(struct daemon *daemon)
{
	if (daemon->stopping)
		return;
	daemon->stopping = true;
	daemon_notify(daemon, "STOPPING=1\nSTATUS=Ending");
	timer_stop(loop_timers(daemon->loop), &daemon->idle);
	timer_start(loop_timers(daemon->loop), &daemon->deadline, STOP_MS, on_stop_deadline,
		    daemon);
	control_server_stop(daemon->control);
	daemon->control = NULL;
	daemon_pins_stop(daemon);
	daemon_followed_stop(daemon);
	daemon_saved_stop(daemon);
	daemon_mounts_stop(daemon);
	daemon_part_gone(daemon);
}

void daemon_part_gone(struct daemon *daemon)
{
	if (!daemon->stopping || !list_empty(&daemon->mounts) || daemon->pins ||
	    !daemon_saved_gone(daemon) || !list_empty(&daemon->jobs))
		return;
	timer_start(loop_timers(daemon->loop), &daemon->deadline, SHARES_STOP_MS, on_stop_deadline,
		    daemon);
	if (!daemon_shares_stop(daemon))
		return;
	timer_start(loop_timers(daemon->loop), &daemon->deadline, STOP_MS, on_stop_deadline,
		    daemon);
	daemon_net_stop(daemon, on_swarm_closed);
}

void daemon_mounts_gone(struct daemon *daemon)
{
	if (daemon->stopping)
		daemon_part_gone(daemon);
	else
		daemon_look_idle(daemon);
}

static bool is_idle(const struct daemon *daemon)
{
	return daemon->options->with_mounts && !daemon->stopping && list_empty(&daemon->mounts) &&
	       !control_server_clients(daemon->control);
}

static void on_idle(void *ctx)
{
	struct daemon *daemon = ctx;

	if (is_idle(daemon))
		daemon_stop(daemon);
}

void daemon_look_idle(void *ctx)
{
	struct daemon *daemon = ctx;

	if (is_idle(daemon))
		timer_start(loop_timers(daemon->loop), &daemon->idle,
			    daemon->had_mount ? 0 : UNUSED_MS, on_idle, daemon);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;

	if (daemon->stopping) {
		log_warn("daemon", "signal %d again, ending at once", number);
		_exit(EXIT_FAILED);
	}
	daemon_stop(daemon);
}

/* Of the terminal that started it, if one did. */
static bool is_in_front(void)
{
	int tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
	bool is = tty >= 0 && tcgetpgrp(tty) == getpgrp();

	if (tty >= 0)
		close(tty);
	return is;
}

/* When its terminal goes, a daemon in front of it ends, and one in the background goes on. */
static bool heeds_hangup(void)
{
	struct sigaction now;
	bool ignored = !sigaction(SIGHUP, NULL, &now) && now.sa_handler == SIG_IGN;

	if (ignored || is_in_front())
		return !ignored;
	signal(SIGHUP, SIG_IGN);
	return false;
}

static void start_signals(struct daemon *daemon)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

	daemon->signal_count = ARRAY_LEN(numbers) - !heeds_hangup();
	for (size_t i = 0; i < daemon->signal_count; i++) {
		uv_signal_init(loop_uv(daemon->loop), &daemon->signals[i]);
		daemon->signals[i].data = daemon;
		uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
	}
}

static void stop_signals(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->signal_count; i++)
		uv_close((uv_handle_t *)&daemon->signals[i], NULL);
}

/* ---- starting ---- */

/* Values were checked at opening. What nothing reads is refused here: somebody relies on it. */
static int daemon_check(struct daemon *daemon, char **why)
{
	char *message = NULL;
	int err = config_check_names(daemon->repo->config, &message);

	if (err)
		*why = xasprintf("%s: %s (`dagfs config --unset KEY` removes one)",
				 daemon->repo->config->file, message);
	free(message);
	return err;
}

/* Prints the addresses and tells the command that started the daemon that it is ready. */
static void tell_ready(struct daemon *daemon)
{
	json_t *addrs = daemon_addrs(daemon, true, false), *addr;
	size_t i;

	if (daemon->options->json) {
		cli_print_json(json_pack("{s:O, s:b}", "Addresses", addrs, "Ready", 1));
	} else {
		json_array_foreach(addrs, i, addr)
			printf("Swarm listening on %s\n", json_string_value(addr));
		puts("Daemon is ready");
	}
	json_decref(addrs);
	if (fflush(stdout)) { /* nobody listens: no reason to end */
		log_warn("daemon", "cannot write the output err=%s", err_text(errno));
		__fpurge(stdout);
		clearerr(stdout);
	}
	if (daemon->options->ready_fd >= 0) {
		ssize_t n = write(daemon->options->ready_fd, "\n", 1);

		(void)n; /* the waiting command may have gone */
		close(daemon->options->ready_fd);
	}
}

/* The network and the socket run; until the loop was stopped. */
static int run_parts(struct daemon *daemon, char **why)
{
	int err = daemon_net_start(daemon, why);

	if (!err) {
		err = control_server_start(daemon->loop, daemon->options->repo_path,
					   daemon->exchange, daemon->repo->store, api_rows, daemon,
					   &daemon->control);
		if (err)
			*why = xasprintf("cannot make the control socket: %s", err_file_text(err));
	}
	if (daemon->exchange)
		daemon_shares_start(daemon);
	if (!err && !daemon->options->offline) {
		daemon_pins_start(daemon);
		daemon_followed_start(daemon);
	}
	if (err)
		daemon_stop(daemon);
	else {
		control_server_on_idle(daemon->control, daemon_look_idle);
		daemon_look_idle(daemon);
		tell_ready(daemon);
		daemon_notify(daemon, "READY=1\nSTATUS=Ready");
		daemon_saved_start(daemon);
	}
	if (cli_interrupted()) /* before the loop took the signals over */
		daemon_stop(daemon);
	loop_run(daemon->loop);
	return err;
}

/* The daemon's life with the lock of the repository held: opens, runs until it is told to end,
 * closes. */
static int run_locked(const struct daemon_options *options, char **why)
{
	struct daemon daemon = { .options = options };
	struct trim trim = { 0 };
	int err;

	daemon_notify_take(&daemon);
	err = repo_open(options->repo_path, &daemon.repo, why);
	if (err)
		goto out;
	err = daemon_check(&daemon, why);
	if (!err) {
		list_init(&daemon.mounts);
		list_init(&daemon.jobs);
		daemon.loop = loop_new();
		daemon.random = random_system();
		start_signals(&daemon);
		trim_start(&trim, loop_timers(daemon.loop));
		err = run_parts(&daemon, why);
		trim_stop(&trim);
		timer_stop(loop_timers(daemon.loop), &daemon.deadline);
		if (daemon.swarm)
			swarm_free(daemon.swarm);
		stop_signals(&daemon);
		loop_free(daemon.loop);
		daemon_names_free(&daemon);
		daemon_followed_free(&daemon);
		daemon_shares_free(&daemon);
	}
	repo_close(daemon.repo);
out:
	free(daemon.notify);
	return err;
}

static char *already_runs(const char *repo_path)
{
	int pid = 0;

	control_owned(repo_path, &pid);
	if (!pid) /* on a full disk it could not tell */
		return xasprintf("a daemon runs for %s already", repo_path);
	return xasprintf("a daemon runs for %s already (process %d)", repo_path, pid);
}

/* One that ends is waited for; one that answers stays the only one. */
static int take_lock(const struct daemon_options *options)
{
	struct control *other = NULL;
	int err, fd;

	do {
		fd = control_lock(options->repo_path);
		if (fd != -EADDRINUSE)
			return fd;
		err = control_reach(options->repo_path, options->wait, &other);
		control_close(other);
	} while (err == -ENOENT);
	return err == -EINTR ? err : -EADDRINUSE;
}

int daemon_run(const struct daemon_options *options, char **why)
{
	int lock_fd, err = repo_place_check(options->repo_path, why);

	if (err)
		return err;
	lock_fd = take_lock(options);
	if (lock_fd == -EADDRINUSE)
		*why = already_runs(options->repo_path);
	else if (lock_fd == -ENOENT)
		*why = xasprintf("no repository at %s: run `dagfs init` first", options->repo_path);
	else if (lock_fd < 0)
		*why = xasprintf("cannot lock %s: %s", options->repo_path, err_file_text(lock_fd));
	if (lock_fd < 0)
		return lock_fd;
	err = run_locked(options, why);
	close(lock_fd);
	return err;
}
