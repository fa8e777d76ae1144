/* Saved mounts: each is mounted at the start by a `dagfs mount` of its own, which resolves its
 * source through this daemon as a person's does, and again after a while as long as it fails. The
 * loop thread.
 *
 *	WAITING --timer--> RUNNING --exit 0--> done
 *	   ^                  |  fails: the reason is kept for the list, the delay doubles
 *	   +------------------+
 */
#include "fs/daemon/daemon_private.h"
#include "fs/saved_mounts.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MS 1000
#define LONGEST_MS 60000
#define AT_ONCE_MAX 4 /* processes */
#define BUSY_MS 200   /* until there may be room for one more */
#define SAID_MAX 1024 /* bytes of what one says that failed */

struct saved {
	struct list node;
	struct daemon *daemon;
	char *mountpoint;
	struct timer timer; /* to the next attempt */
	uint64_t delay_ms;
	unsigned attempts; /* that failed */
	bool done;	   /* it was mounted, or is not to be any more */
	char *why;	   /* of the last that failed */
	/* while its process runs */
	bool running;
	uv_process_t process;
	uv_pipe_t errors;
	unsigned open; /* handles */
	int64_t exit_code;
	char said[SAID_MAX + 1];
	size_t said_len;
};

struct daemon_saved {
	struct list mounts; /* struct saved */
	unsigned running;
};

static void attempt(void *ctx);

static struct saved *saved_find(const struct daemon *daemon, const char *mountpoint)
{
	struct daemon_saved *all = daemon->saved;

	if (!all)
		return NULL;
	list_for_each(saved, &all->mounts, struct saved, node)
		if (strcmp(saved->mountpoint, mountpoint) == 0)
			return saved;
	return NULL;
}

static void saved_free(struct saved *saved)
{
	timer_stop(loop_timers(saved->daemon->loop), &saved->timer);
	list_remove(&saved->node);
	free(saved->mountpoint);
	free(saved->why);
	free(saved);
}

static void try_later(struct saved *saved, uint64_t delay_ms)
{
	timer_start(loop_timers(saved->daemon->loop), &saved->timer, delay_ms, attempt, saved);
}

static void tell_status(struct daemon *daemon)
{
	unsigned mounted = 0, count = 0;

	list_for_each(saved, &daemon->saved->mounts, struct saved, node) {
		count++;
		mounted += saved->done;
	}
	if (count)
		daemon_notify_status(daemon, "Ready; %u of %u saved mounts", mounted, count);
}

/* ---- a process ---- */

static void on_failed(struct saved *saved, const char *why)
{
	bool news = !saved->why || strcmp(saved->why, why) != 0;

	saved->attempts++;
	free(saved->why);
	saved->why = xstrdup(why);
	if (news)
		log_warn("daemon", "saved mount failed, tried again at=%s err=\"%s\"",
			 saved->mountpoint, why);
	try_later(saved, saved->delay_ms);
	saved->delay_ms = saved->delay_ms * 2 < LONGEST_MS ? saved->delay_ms * 2 : LONGEST_MS;
}

/* What it said without its beginning, one line. */
static const char *reason_of(struct saved *saved)
{
	char *text = saved->said;

	text[saved->said_len] = 0;
	text[strcspn(text, "\n")] = 0;
	if (strncmp(text, "Error: ", 7) == 0)
		text += 7;
	return *text ? text : "it ended without a word";
}

static void on_closed(uv_handle_t *handle)
{
	struct saved *saved = handle->data;
	struct daemon *daemon = saved->daemon;
	char safe[SAID_MAX];
	const char *why;

	if (--saved->open)
		return;
	saved->running = false;
	daemon->saved->running--;
	if (daemon->stopping) {
		saved_free(saved);
		daemon_part_gone(daemon);
		return;
	}
	if (saved->exit_code == 0) {
		saved->done = true;
		log_info("daemon", "saved mount is up at=%s", saved->mountpoint);
	} else {
		why = reason_of(saved);
		on_failed(saved, cli_safe(safe, sizeof(safe), why, strlen(why)));
	}
	tell_status(daemon);
}

static void close_once(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static void on_exit_of(uv_process_t *process, int64_t exit_code, int signal)
{
	struct saved *saved = process->data;

	saved->exit_code = exit_code ? exit_code : signal;
	uv_close((uv_handle_t *)process, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	struct saved *saved = handle->data;
	size_t left = SAID_MAX - saved->said_len;

	(void)size;
	/* What is too much is read into the last byte. */
	*buf = left ? uv_buf_init(saved->said + saved->said_len, (unsigned)left)
		    : uv_buf_init(saved->said + SAID_MAX, 1);
}

static void on_said(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct saved *saved = stream->data;

	(void)buf;
	if (len > 0 && saved->said_len < SAID_MAX)
		saved->said_len += (size_t)len;
	else if (len < 0)
		close_once((uv_handle_t *)stream);
}

static int saved_spawn(struct saved *saved, const struct saved_mount *mount)
{
	struct daemon *daemon = saved->daemon;
	char *args[] = { "dagfs",
			 "--repo",
			 (char *)daemon->options->repo_path,
			 mount->offline ? "--offline" : "--offline=false",
			 "mount",
			 "--running",
			 "-o",
			 mount->options,
			 "--",
			 mount->source ? mount->source : mount->mountpoint,
			 mount->source ? mount->mountpoint : NULL,
			 NULL };
	uv_stdio_container_t stdio[] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_IGNORE },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&saved->errors },
	};
	uv_process_options_t options = { .exit_cb = on_exit_of,
					 .file = "/proc/self/exe",
					 .args = args,
					 .stdio = stdio,
					 .stdio_count = ARRAY_LEN(stdio) };
	int err;

	uv_pipe_init(loop_uv(daemon->loop), &saved->errors, 0);
	saved->errors.data = saved->process.data = saved;
	saved->said_len = 0;
	saved->open = 2;
	saved->running = true;
	daemon->saved->running++;
	err = uv_spawn(loop_uv(daemon->loop), &saved->process, &options);
	if (!err) {
		uv_read_start((uv_stream_t *)&saved->errors, on_alloc, on_said);
		return 0;
	}
	saved->exit_code = EXIT_FAILED;
	saved->said_len =
		(size_t)snprintf(saved->said, SAID_MAX, "cannot run dagfs: %s", err_text(err));
	uv_close((uv_handle_t *)&saved->process, on_closed);
	uv_close((uv_handle_t *)&saved->errors, on_closed);
	return err;
}

/* Saved still, and by nobody mounted meanwhile? */
static void attempt(void *ctx)
{
	struct saved *saved = ctx;
	struct daemon *daemon = saved->daemon;
	const struct saved_mount *mount;
	struct saved_mounts list;
	char *why = NULL;

	if (daemon->saved->running >= AT_ONCE_MAX) {
		try_later(saved, BUSY_MS);
		return;
	}
	if (daemon_mount_runs(daemon, saved->mountpoint)) {
		saved->done = true;
		return;
	}
	if (saved_mounts_read(daemon->options->repo_path, &list, &why)) {
		on_failed(saved, why);
	} else if ((mount = saved_mounts_find(&list, saved->mountpoint))) {
		saved_spawn(saved, mount);
	} else {
		saved_free(saved);
	}
	saved_mounts_release(&list);
	free(why);
}

/* ---- start and end ---- */

void daemon_saved_start(struct daemon *daemon)
{
	struct daemon_saved *all = xnew(struct daemon_saved);
	struct saved_mounts list;
	char *why = NULL;

	list_init(&all->mounts);
	daemon->saved = all;
	if (saved_mounts_read(daemon->options->repo_path, &list, &why))
		log_error("daemon", "saved mounts are not mounted err=\"%s\"", why);
	free(why);
	for (size_t i = 0; i < list.count; i++) {
		struct saved *saved = xnew(struct saved);

		saved->daemon = daemon;
		saved->mountpoint = xstrdup(list.at[i].mountpoint);
		saved->delay_ms = FIRST_MS;
		list_add_tail(&all->mounts, &saved->node);
		try_later(saved, 0);
	}
	saved_mounts_release(&list);
}

void daemon_saved_stop(struct daemon *daemon)
{
	if (!daemon->saved)
		return;
	list_for_each_safe(saved, &daemon->saved->mounts, struct saved, node) {
		if (!saved->running) {
			saved_free(saved);
			continue;
		}
		if (!uv_is_closing((uv_handle_t *)&saved->process))
			uv_process_kill(&saved->process, SIGKILL); /* it only asks us */
		close_once((uv_handle_t *)&saved->errors);
	}
}

bool daemon_saved_gone(struct daemon *daemon)
{
	if (daemon->saved && daemon->saved->running)
		return false;
	free(daemon->saved);
	daemon->saved = NULL;
	return true;
}

/* ---- the list ---- */

static json_t *item_of(const struct daemon *daemon, const struct saved_mount *mount)
{
	const struct saved *saved = saved_find(daemon, mount->mountpoint);
	uint64_t now = timers_now(loop_timers(daemon->loop)), wait_ms = 0;
	const char *state = "unmounted", *why = "";

	if (daemon_mount_runs(daemon, mount->mountpoint)) {
		state = "mounted";
	} else if (saved && saved->running) {
		state = "mounting";
	} else if (saved && !saved->done) {
		state = "waiting";
		why = saved->why ? saved->why : "";
		if (timer_running(&saved->timer) && saved->timer.at_ms > now)
			wait_ms = saved->timer.at_ms - now;
	}
	return json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:i, s:I}", "Mountpoint",
			 mount->mountpoint, "Source", mount->source ? mount->source : "dagfs",
			 "Options", mount->options, "Offline", (int)mount->offline, "State", state,
			 "Reason", why, "Attempts", saved ? (int)saved->attempts : 0, "NextSeconds",
			 (json_int_t)((wait_ms + 999) / 1000));
}

void daemon_run_saved_mounts(struct api_call *call)
{
	const struct daemon *daemon = call->host;
	struct saved_mounts list;
	char *why = NULL;
	int err = saved_mounts_read(daemon->options->repo_path, &list, &why);

	for (size_t i = 0; i < list.count; i++)
		api_item(call, item_of(daemon, &list.at[i]));
	saved_mounts_release(&list);
	api_end(call, err, why);
	free(why);
}
