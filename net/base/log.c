/* Log lines on standard error, with a level for each area. A line is put together on the stack
 * and written by one write(), so that lines of several threads and processes do not mix. Any
 * thread; the table of levels has a lock. */
#include "net/base/log.h"

#include "net/base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_AREAS_MAX 64
#define LOG_AREA_LEN_MAX 23
#define LOG_LINE_MAX 1024 /* longer lines are cut */

/* The one process-wide mutable state of the project. A log line may come from any function of any
 * thread, codec helpers' callers and library callbacks included; a logger parameter in every
 * signature would cost more than it shows. Bounded, guarded by its lock, read by nothing but
 * log_*(), and without influence on what the program does. */
static struct {
	pthread_mutex_t lock;
	bool started;
	enum log_level level; /* of areas not in the table */
	size_t count;
	struct {
		char name[LOG_AREA_LEN_MAX + 1];
		enum log_level level;
	} areas[LOG_AREAS_MAX];
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_WARN };

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static int level_parse(struct bytes name, enum log_level *out)
{
	for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		if (bytes_equal(name, bytes_str(level_names[level]))) {
			*out = (enum log_level)level;
			return 0;
		}
	}
	return -ENOENT;
}

/* The lock is held. */
static int set_level(struct bytes area, enum log_level level)
{
	if (bytes_equal(area, bytes_str("all")) || bytes_equal(area, bytes_str("*"))) {
		state.level = level;
		state.count = 0;
		return 0;
	}
	if (area.len == 0 || area.len > LOG_AREA_LEN_MAX)
		return -EINVAL;
	size_t i = 0;

	while (i < state.count && !bytes_equal(area, bytes_str(state.areas[i].name)))
		i++;
	if (i == LOG_AREAS_MAX)
		return -EAGAIN;
	if (i == state.count) {
		memcpy(state.areas[i].name, area.at, area.len);
		state.areas[i].name[area.len] = '\0';
		state.count++;
	}
	state.areas[i].level = level;
	return 0;
}

/* DAGFS_LOG is "level" or "area=level" items between commas; the lock is held. A wrong item is left
 * out: there is no one to tell but the log itself. */
static void log_start(void)
{
	const char *text = getenv("DAGFS_LOG");

	state.started = true;
	while (text && *text) {
		size_t len = strcspn(text, ",");
		const char *equals = memchr(text, '=', len);
		struct bytes area =
			equals ? bytes_of(text, (size_t)(equals - text)) : bytes_str("all");
		struct bytes name = bytes_of(text, len);
		enum log_level level;

		if (equals)
			name = bytes_skip(name, area.len + 1);
		if (level_parse(name, &level) == 0)
			set_level(area, level);
		text += len;
		text += *text == ',';
	}
}

int log_set_level(const char *area, const char *level)
{
	enum log_level parsed;
	int err = level_parse(bytes_str(level), &parsed);

	if (err)
		return err;
	pthread_mutex_lock(&state.lock);
	if (!state.started)
		log_start();
	err = set_level(bytes_str(area), parsed);
	pthread_mutex_unlock(&state.lock);
	return err;
}

bool log_enabled(const char *area, enum log_level level)
{
	pthread_mutex_lock(&state.lock);
	if (!state.started)
		log_start();
	enum log_level limit = state.level;

	for (size_t i = 0; i < state.count; i++) {
		if (strcmp(state.areas[i].name, area) == 0) {
			limit = state.areas[i].level;
			break;
		}
	}
	pthread_mutex_unlock(&state.lock);
	return level <= limit;
}

/* "2026-11-21T08:00:00.123 warn swarm: " in UTC; returns its length. */
static size_t write_head(char *line, enum log_level level, const char *area)
{
	struct timespec now;
	struct tm date;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &date);
	size_t len = strftime(line, LOG_LINE_MAX / 2, "%Y-%m-%dT%H:%M:%S", &date);

	len += (size_t)snprintf(line + len, LOG_LINE_MAX / 2 - len,
				".%03d %s %.*s: ", (int)(now.tv_nsec / 1000000), level_names[level],
				LOG_AREA_LEN_MAX, area);
	return len;
}

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	int saved = errno; /* logging between a failure and its report must not change it */
	va_list args;

	if (!log_enabled(area, level))
		return;
	size_t len = write_head(line, level, area);

	va_start(args, fmt);
	int added = vsnprintf(line + len, sizeof line - 1 - len, fmt, args);

	va_end(args);
	assert(added >= 0);
	len += (size_t)added;
	if (len > sizeof line - 2)
		len = sizeof line - 2; /* cut: vsnprintf kept one for its NUL */
	line[len++] = '\n';
	/* One write, so that lines of several threads and processes do not mix. Nobody to tell when
	 * stderr is gone. */
	ssize_t written = write(STDERR_FILENO, line, len);

	(void)written;
	errno = saved;
}

const char *log_safe(char *out, size_t size, const void *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *in = text;
	size_t used = 0;

	assert(size > 0);
	for (size_t i = 0; i < len; i++) {
		/* Bytes over 0x7f too: C1 controls and bidi marks hide there. */
		bool plain = in[i] >= 0x20 && in[i] < 0x7f && in[i] != '\\';
		size_t need = plain ? 1 : 4;

		if (size - 1 - used < need)
			break;
		if (plain) {
			out[used++] = (char)in[i];
		} else {
			out[used++] = '\\';
			out[used++] = 'x';
			out[used++] = hex[in[i] >> 4];
			out[used++] = hex[in[i] & 15];
		}
	}
	out[used] = '\0';
	return out;
}
