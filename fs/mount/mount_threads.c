/* The threads that serve a mount. Each reads a request from the device, which never blocks, and
 * answers it; when there is none it waits for the device or for stop_fd. One more is started
 * whenever none is left waiting, and one that finds too many waiting ends. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define IDLE_MAX 3 /* that wait; each request wakes all of them */
#define START_COUNT 2
#define LOCAL_MAX                                                                                  \
	8 /* threads that do not wait for blocks: more would only get in each other's way */
#define STACK_BYTES (1u << 20)

int worker_init(struct worker *worker, struct mount *mount)
{
	worker->mount = mount;
	worker->timeout_ms = mount->timeout_ms;
	worker->waited = false;
	worker->gave_up = 0;
	worker->req = NULL;
	worker->park = worker->unanswered = worker->asleep = false;
	worker->request = NULL;
	worker->wait_id = 0;
	int err = wait_init(&worker->wait);

	if (!err) {
		worker->wait.on_sleep = mount_fetch_sleep;
		wait_start(&worker->wait, 0);
	}
	return err;
}

void worker_release(struct worker *worker)
{
	wait_release(&worker->wait);
	free(worker->buf.mem);
	worker->buf.mem = NULL;
}

struct worker *worker_self(struct mount *mount)
{
	return pthread_getspecific(mount->self);
}

/* For another time, when fewer wait. The request was not answered. */
static void park(struct mount *mount, const struct fuse_buf *buf)
{
	struct parked *parked = xcalloc(1, sizeof *parked + buf->size);

	parked->buf = *buf;
	parked->buf.mem = parked + 1;
	memcpy(parked->buf.mem, buf->mem, buf->size);
	pthread_mutex_lock(&mount->lock);
	*mount->parked_end = parked;
	mount->parked_end = &parked->next;
	mount->parked_count++;
	mount->parked_bytes += buf->size;
	pthread_mutex_unlock(&mount->lock);
}

static struct parked *unpark(struct mount *mount)
{
	pthread_mutex_lock(&mount->lock);
	struct parked *parked = mount->blocked < MOUNT_BLOCKED_MAX ? mount->parked : NULL;

	if (parked) {
		mount->parked = parked->next;
		if (!mount->parked)
			mount->parked_end = &mount->parked;
		mount->parked_count--;
		mount->parked_bytes -= parked->buf.size;
	}
	pthread_mutex_unlock(&mount->lock);
	return parked;
}

static void threads_serve(struct worker *worker, const struct fuse_buf *buf)
{
	struct mount *mount = worker->mount;

	worker->request = buf;
	fuse_session_process_buf(mount->session, buf);
	if (worker->unanswered)
		park(mount, buf);
	worker->park = worker->unanswered = false;
	worker->req = NULL;
	worker->request = NULL;
	worker->gave_up = 0;
	worker->timeout_ms = mount->timeout_ms;
	/* What the last request left of deadline and cancellation is not the next one's. */
	if (worker->waited)
		wait_start(&worker->wait, 0);
	worker->waited = false;
}

static void serve_parked(struct worker *worker)
{
	struct parked *parked;

	while ((parked = unpark(worker->mount))) {
		threads_serve(worker, &parked->buf);
		free(parked);
	}
}

/* True when there may be a request; false when the mount is to stop. */
static bool wait_for_request(struct mount *mount)
{
	struct pollfd fds[] = {
		{ .fd = fuse_session_fd(mount->session), .events = POLLIN },
		{ .fd = mount->stop_fd, .events = POLLIN },
		{ .fd = mount->table_fd, .events = POLLPRI },
	};

	while (poll(fds, ARRAY_LEN(fds), -1) < 0)
		if (errno != EINTR)
			return false;
	if (fds[2].revents)
		mount_watch_look(mount);
	return !fds[1].revents;
}

/* True when this thread is to go on waiting for requests. */
static bool become_idle(struct mount *mount)
{
	pthread_mutex_lock(&mount->lock);
	bool stay = mount->idle < IDLE_MAX && !mount->stopping;

	if (stay)
		mount->idle++;
	pthread_mutex_unlock(&mount->lock);
	return stay;
}

static void become_busy(struct mount *mount)
{
	pthread_mutex_lock(&mount->lock);
	mount->idle--;
	if (mount->alive - mount->blocked < LOCAL_MAX)
		mount_threads_grow(mount);
	pthread_mutex_unlock(&mount->lock);
}

static void serve_requests(struct worker *worker)
{
	struct mount *mount = worker->mount;

	while (become_idle(mount)) {
		bool more = wait_for_request(mount);

		become_busy(mount);
		while (more && !fuse_session_exited(mount->session)) {
			int got = fuse_session_receive_buf(mount->session, &worker->buf);

			if (got > 0)
				threads_serve(worker, &worker->buf);
			else if (got != -EINTR)
				break;
			if (atomic_load(&mount->parked_count))
				serve_parked(worker);
		}
		if (!more || fuse_session_exited(mount->session))
			break;
	}
}

/* The device says that the mount is gone: all threads may end. True for the one thread that is to
 * call on_end. */
static bool note_end(struct mount *mount)
{
	uint64_t one = 1;

	pthread_mutex_lock(&mount->lock);
	bool first = fuse_session_exited(mount->session) && !mount->ended && !mount->stopping;
	bool tell = first && !mount->unmounting;

	mount->ended = mount->ended || first;
	pthread_mutex_unlock(&mount->lock);
	if (first && write(mount->stop_fd, &one, sizeof one) < 0)
		log_error("mount", "cannot stop threads: %s", err_text(errno));
	return tell;
}

static void *threads_run(void *ctx)
{
	struct worker *worker = ctx;
	struct mount *mount = worker->mount;

	pthread_setspecific(mount->self, worker);
	serve_requests(worker);
	bool tell = note_end(mount);

	if (tell && mount->on_end)
		mount->on_end(mount->ctx);
	pthread_mutex_lock(&mount->lock);
	worker->ended = true;
	mount->alive--;
	pthread_mutex_unlock(&mount->lock);
	return NULL;
}

/* lock is held. */
static int start_one(struct mount *mount, struct worker *worker)
{
	pthread_attr_t attributes;
	int err;

	if (worker->started) { /* one that ended before */
		pthread_join(worker->thread, NULL);
		worker->started = false;
		worker_release(worker);
	}
	err = worker_init(worker, mount);
	if (err)
		return err;
	worker->ended = false;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	err = thread_err(pthread_create(&worker->thread, &attributes, threads_run, worker));
	pthread_attr_destroy(&attributes);
	if (err) {
		worker_release(worker);
		return err;
	}
	worker->started = true;
	mount->alive++;
	return 0;
}

void mount_threads_grow(struct mount *mount)
{
	if (mount->idle || mount->stopping || mount->ended || mount->alive >= MOUNT_THREADS_MAX)
		return;
	for (unsigned i = 0; i < MOUNT_THREADS_MAX; i++) {
		struct worker *worker = &mount->workers[i];

		if (worker->started && !worker->ended)
			continue;
		int err = start_one(mount, worker);

		if (err)
			log_warn("mount", "no further thread: %s", err_text(err));
		return;
	}
}

int mount_threads_start(struct mount *mount)
{
	int fd = fuse_session_fd(mount->session);
	int flags = fcntl(fd, F_GETFL);
	int err = 0;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	pthread_mutex_lock(&mount->lock);
	for (unsigned i = 0; !err && i < START_COUNT; i++)
		err = start_one(mount, &mount->workers[i]);
	pthread_mutex_unlock(&mount->lock);
	return err;
}

void mount_threads_hurry(struct mount *mount)
{
	pthread_mutex_lock(&mount->lock);
	mount->hurrying = true;
	for (unsigned i = 0; i < MOUNT_THREADS_MAX; i++)
		if (mount->workers[i].started)
			wait_cancel(&mount->workers[i].wait);
	pthread_mutex_unlock(&mount->lock);
}

void mount_threads_stop(struct mount *mount)
{
	uint64_t one = 1;

	mount_threads_hurry(mount);
	pthread_mutex_lock(&mount->lock);
	mount->stopping = true;
	pthread_mutex_unlock(&mount->lock);
	if (write(mount->stop_fd, &one, sizeof one) < 0)
		log_error("mount", "cannot stop threads: %s", err_text(errno));
	/* No thread starts another from here on. */
	for (unsigned i = 0; i < MOUNT_THREADS_MAX; i++) {
		if (!mount->workers[i].started)
			continue;
		pthread_join(mount->workers[i].thread, NULL);
		mount->workers[i].started = false;
		worker_release(&mount->workers[i]);
	}
	/* What is parked is ended by the kernel, when the device is closed. */
	while (mount->parked) {
		struct parked *parked = mount->parked;

		mount->parked = parked->next;
		free(parked);
	}
}
