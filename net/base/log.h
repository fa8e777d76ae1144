/* One line per event on stderr: "2026-11-21T08:00:00.123 warn swarm: dial failed peer=... err=...".
 * Any thread. Remote text (names, agents) goes through log_safe() or "%.*s" of bytes already
 * checked. */
#ifndef NET_BASE_LOG_H
#define NET_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Level ("error" "warn" "info" "debug") by area ("swarm", "bitswap"...); area "all" or "*" sets
 * every area. All areas begin at warn; the environment's DAGFS_LOG, like "warn,swarm=debug", is
 * read at the first use. 0; -ENOENT for a bad level name, -EINVAL for an area name over 23
 * characters, -EAGAIN when 64 areas have levels of their own. */
int log_set_level(const char *area, const char *level);
/* Whether a line of that level would be written: for lines that cost something to prepare. */
bool log_enabled(const char *area, enum log_level level);
/* Through the macros below. Lines over 1 KiB are cut; errno is kept. */
void log_line(enum log_level level, const char *area, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(area, ...) log_line(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...) log_line(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...) log_line(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...)                                                                       \
	do {                                                                                       \
		if (log_enabled(area, LOG_DEBUG))                                                  \
			log_line(LOG_DEBUG, area, __VA_ARGS__);                                    \
	} while (0)

/* Copy text as printable ASCII, all else and the backslash as \xNN, cut to fit; returns out.
 * size is that of out, at least 1. */
const char *log_safe(char *out, size_t size, const void *text, size_t len);

#endif
