/* How a blocking thread waits for the loop: poll() on an eventfd, with a deadline. Waking and
 * cancelling write to the eventfd, which is safe in signal handlers. Each struct wait belongs to
 * one thread; any thread may wake it. */
#include "net/base/wait.h"

#include "net/base/err.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;
	int err = clock_gettime(clock, &now);

	assert(!err);
	(void)err;
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t monotonic_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

uint64_t wallclock_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int wait_init(struct wait *wait)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	wait->fd = fd;
	wait->deadline_ms = UINT64_MAX;
	wait->tried = (struct wait_tried){ 0 };
	wait->on_sleep = NULL;
	atomic_init(&wait->cancelled, false);
	return 0;
}

void wait_release(struct wait *wait)
{
	if (wait->fd >= 0)
		close(wait->fd);
	wait->fd = -1;
}

/* Forgets the wake-ups so far; true if there were any. */
static int take_wakes(struct wait *wait)
{
	uint64_t count;

	return read(wait->fd, &count, sizeof count) == sizeof count;
}

void wait_start(struct wait *wait, uint64_t timeout_ms)
{
	uint64_t now_ms = monotonic_ms();

	wait->deadline_ms = UINT64_MAX;
	if (timeout_ms && timeout_ms < UINT64_MAX - now_ms)
		wait->deadline_ms = now_ms + timeout_ms;
	atomic_store(&wait->cancelled, false);
	wait->tried = (struct wait_tried){ 0 };
	take_wakes(wait);
}

int wait_check(const struct wait *wait)
{
	if (atomic_load(&wait->cancelled))
		return -EINTR;
	if (wait->deadline_ms != UINT64_MAX && monotonic_ms() >= wait->deadline_ms)
		return -ETIMEDOUT;
	return 0;
}

static int poll_timeout(const struct wait *wait)
{
	if (wait->deadline_ms == UINT64_MAX)
		return -1;
	uint64_t now_ms = monotonic_ms();
	uint64_t left_ms = wait->deadline_ms > now_ms ? wait->deadline_ms - now_ms : 0;

	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static int sleep_until_woken(struct wait *wait)
{
	for (;;) {
		struct pollfd ready = { .fd = wait->fd, .events = POLLIN };

		if (atomic_load(&wait->cancelled))
			return -EINTR;
		/* A wake-up that is there already wins over a deadline just passed. EINTR of poll
		 * itself means nothing: a handler that wants us to end calls wait_cancel(). */
		int err = poll(&ready, 1, poll_timeout(wait)) < 0 ? -errno : 0;

		if (err && err != -EINTR)
			return err;
		if (take_wakes(wait))
			return atomic_load(&wait->cancelled) ? -EINTR : 0;
		err = wait_check(wait);
		if (err)
			return err;
	}
}

int wait_sleep(struct wait *wait)
{
	if (!wait->on_sleep)
		return sleep_until_woken(wait);
	wait->on_sleep(wait, true);
	int err = sleep_until_woken(wait);

	wait->on_sleep(wait, false);
	return err;
}

ssize_t wait_read(struct wait *wait, int fd, void *at, size_t len)
{
	for (;;) {
		struct pollfd ready[] = { { .fd = fd, .events = POLLIN },
					  { .fd = wait->fd, .events = POLLIN } };
		int err = wait_check(wait);
		ssize_t got;

		if (err)
			return err;
		if (poll(ready, 2, poll_timeout(wait)) < 0 && errno != EINTR)
			return -errno;
		take_wakes(wait);
		if (!ready[0].revents)
			continue;
		got = read(fd, at, len);
		if (got >= 0)
			return got;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

int wait_sleep_longer(struct wait *wait, uint64_t more_ms)
{
	uint64_t deadline_ms = wait->deadline_ms;
	int err;

	if (more_ms < UINT64_MAX - deadline_ms)
		wait->deadline_ms = deadline_ms + more_ms;
	err = wait_sleep(wait);
	wait->deadline_ms = deadline_ms;
	return err;
}

void wait_wake(struct wait *wait)
{
	uint64_t one = 1;
	int saved = errno; /* signal handlers call this */
	ssize_t written = write(wait->fd, &one, sizeof one);

	(void)written; /* EAGAIN: 2^64 - 2 wake-ups wait already */
	errno = saved;
}

void wait_cancel(struct wait *wait)
{
	atomic_store(&wait->cancelled, true);
	wait_wake(wait);
}

static void providers_text(const struct wait_tried *tried, char *out, size_t size)
{
	out[0] = 0;
	if (tried->providers == 0)
		snprintf(out, size, ", no provider found");
	else if (tried->providers != WAIT_NOT_LOOKED)
		snprintf(out, size, ", %" PRIu32 " provider%s found", tried->providers,
			 tried->providers == 1 ? "" : "s");
}

const char *wait_err_text(const struct wait *wait, int err, char out[static WAIT_TEXT_MAX])
{
	const struct wait_tried *tried = &wait->tried;
	char providers[40];

	if (err == -ETIMEDOUT && tried->told) {
		providers_text(tried, providers, sizeof providers);
		snprintf(out, WAIT_TEXT_MAX, "%s: %" PRIu32 " peer%s asked, %" PRIu32 " known%s",
			 err_text(err), tried->asked, tried->asked == 1 ? "" : "s", tried->known,
			 providers);
	} else {
		snprintf(out, WAIT_TEXT_MAX, "%s", err_text(err));
	}
	return out;
}
