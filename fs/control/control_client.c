/* A command's side of the control socket: one connection, one CALL at a time, blocking. One
 * thread for each connection. */
#include "fs/control/control_frame.h"
#include "fs/control/control_socket.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 65536
#define CANCEL_MS 200 /* for the daemon to end a call that was given up */
#define LOOK_MS 10    /* how often to look again for a daemon that starts or ends */

struct control {
	int fd;
	uint32_t next_id;
	struct buf in;
	bool gone; /* the last call broke off before any part of an answer */
};

int control_connect(const char *repo_path, struct control **out)
{
	int fd = control_socket_connect(repo_path);

	if (fd < 0)
		return fd;
	*out = xnew(struct control);
	(*out)->fd = fd;
	return 0;
}

/* A while, or until the wait ends. */
static int client_nap(struct wait *wait)
{
	struct pollfd ready = { .fd = wait->fd, .events = POLLIN };
	int err = wait_check(wait);

	if (!err && poll(&ready, 1, LOOK_MS) > 0)
		err = wait_sleep(wait); /* takes the wake-up */
	return err;
}

/* The order matters: one that binds its socket between the two looks holds the lock at the second.
 */
int control_reach(const char *repo_path, struct wait *wait, struct control **out)
{
	for (;;) {
		int pid, err = control_connect(repo_path, out);

		if (err != -ENOENT && err != -ECONNREFUSED)
			return err;
		if (!control_owned(repo_path, &pid))
			return -ENOENT;
		err = client_nap(wait);
		if (err)
			return err;
	}
}

bool control_gone(const struct control *control)
{
	return control->gone;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	close(control->fd);
	buf_release(&control->in);
	free(control);
}

/* Until the socket is ready for events or the wait ends. */
static int wait_socket(struct control *control, short events, struct wait *wait)
{
	for (;;) {
		struct pollfd ready[2] = {
			{ .fd = control->fd, .events = events },
			{ .fd = wait->fd, .events = POLLIN },
		};
		int timeout = -1, err = wait_check(wait);

		if (err)
			return err;
		if (wait->deadline_ms != UINT64_MAX) {
			uint64_t left = wait->deadline_ms - monotonic_ms();

			timeout = left < INT_MAX ? (int)left : INT_MAX;
		}
		if (poll(ready, 2, timeout) < 0 && errno != EINTR)
			return -errno;
		if (ready[0].revents)
			return 0;
		if (ready[1].revents)
			wait_sleep(wait); /* takes the wake-up; cancellation shows in the check */
	}
}

static int send_all(struct control *control, struct bytes data, struct wait *wait)
{
	while (data.len) {
		ssize_t n = send(control->fd, data.at, data.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			data = bytes_skip(data, (size_t)n);
			continue;
		}
		if (errno == EAGAIN) {
			int err = wait_socket(control, POLLOUT, wait);

			if (err)
				return err;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* The next whole frame; *used is to be consumed when it was handled. -EPIPE: the daemon is gone. */
static int next_frame(struct control *control, struct wait *wait, struct control_frame *frame,
		      size_t *used)
{
	for (;;) {
		ssize_t n = control_frame_decode(frame, buf_bytes(&control->in));
		int err;

		if (n < 0)
			return (int)n;
		if (n > 0) {
			*used = (size_t)n;
			return 0;
		}
		err = wait_socket(control, POLLIN, wait);
		if (err)
			return err;
		n = recv(control->fd, buf_reserve(&control->in, READ_BYTES), READ_BYTES,
			 MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n > 0)
			control->in.len += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}

/* DONE: null, or {"error", "errno"}. */
static int take_done(const json_t *value, char **why)
{
	const char *message = json_string_value(json_object_get(value, "error"));
	json_int_t number = json_integer_value(json_object_get(value, "errno"));

	if (!message)
		return 0;
	*why = xstrdup(message);
	return number > 0 && number < 4096 ? -(int)number : -EIO;
}

/* One frame of the answer: 1 to go on, 0 when it was the last, -errno. */
static int take_frame(const struct control_frame *frame,
		      int (*take)(void *ctx, enum control_kind kind, json_t *value), void *ctx,
		      char **why)
{
	json_t *value =
		json_loadb((const char *)frame->body.at, frame->body.len, JSON_DECODE_ANY, NULL);
	int err = 1;

	if (!value || (frame->kind != CONTROL_ITEM && frame->kind != CONTROL_TROUBLE &&
		       frame->kind != CONTROL_DONE))
		err = -EBADMSG;
	else if (frame->kind == CONTROL_DONE)
		err = take_done(value, why);
	else if (take && take(ctx, frame->kind, value))
		err = -ECANCELED;
	json_decref(value);
	return err;
}

static int send_call(struct control *control, uint32_t id, const char *name, json_t *args,
		     struct wait *wait)
{
	json_t *call = json_pack("{s:s, s:o}", "cmd", name, "args", args ? args : json_object());
	char *text = json_dumps(call, JSON_COMPACT);
	struct buf out = { 0 };
	int err = -EINVAL;

	json_decref(call);
	if (text && strlen(text) <= CONTROL_FRAME_MAX) {
		control_frame_encode(&out, id, CONTROL_CALL, bytes_str(text));
		err = send_all(control, buf_bytes(&out), wait);
	}
	buf_release(&out);
	free(text);
	return err;
}

/* Best effort: what is not sent at once stays unsent, and closing the connection cancels too. */
static void send_cancel(struct control *control, uint32_t id)
{
	uint8_t head[CONTROL_HEAD_LEN];
	ssize_t n;

	control_head_encode(head, id, CONTROL_CANCEL, 0);
	n = send(control->fd, head, sizeof(head), MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)n;
}

/* Frames until the last of the call: 0 or -errno. *answered: at least one came. */
static int client_receive(struct control *control, uint32_t id, struct wait *wait,
			  int (*take)(void *ctx, enum control_kind kind, json_t *value), void *ctx,
			  bool *answered, char **why)
{
	int err = 1;

	while (err == 1) {
		struct control_frame frame;
		size_t used = 0;
		int failed = next_frame(control, wait, &frame, &used);

		if (failed)
			return failed;
		if (frame.id == id) {
			*answered = true;
			err = take_frame(&frame, take, ctx, why);
		} /* else the rest of a cancelled call */
		buf_consume(&control->in, used);
	}
	return err;
}

/* What the daemon still says to a call that was interrupted: 0 when that is a good end. */
static int last_words(struct control *control, uint32_t id, struct wait *wait,
		      int (*take)(void *ctx, enum control_kind kind, json_t *value), void *ctx)
{
	char *why = NULL;
	bool answered;
	int err;

	wait_start(wait, CANCEL_MS);
	err = client_receive(control, id, wait, take, ctx, &answered, &why);
	free(why);
	return err ? -EINTR : 0;
}

int control_call(struct control *control, const char *name, json_t *args, struct wait *wait,
		 int (*take)(void *ctx, enum control_kind kind, json_t *value), void *ctx,
		 char **why)
{
	uint32_t id = ++control->next_id;
	int err = send_call(control, id, name, args, wait);
	bool answered = false;

	*why = NULL;
	if (!err)
		err = client_receive(control, id, wait, take, ctx, &answered, why);
	/* With a reason it is the daemon's own end of the call. */
	if (!*why && (err == -EINTR || err == -ETIMEDOUT || err == -ECANCELED)) {
		send_cancel(control, id);
		if (err == -EINTR)
			err = last_words(control, id, wait, take, ctx);
	}
	/* Not when it told why itself: those may be errors of its own connections. */
	control->gone = !answered && (err == -EPIPE || err == -ECONNRESET);
	if (!*why && (err == -EPIPE || err == -ECONNRESET))
		*why = xstrdup("the daemon is gone");
	return err;
}
