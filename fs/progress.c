/* How far a command is: one line on stderr, redrawn at most ten times a second. The main
 * thread. */
#include "fs/cli.h"
#include "net/base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDRAW_MS 100
#define WINDOW_MS 5000 /* the rate is that of one to two of these, and not that of long ago */

struct mark {
	uint64_t ms, done;
};

struct progress {
	const char *what;
	uint64_t total, done, blocks;
	uint64_t drawn_ms;
	struct mark before, last; /* before is where the rate is measured from */
};

const char *progress_size(uint64_t bytes, char out[static 32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

struct progress *progress_start(const char *what, uint64_t total_bytes)
{
	struct progress *progress;
	const char *term = getenv("TERM");

	if (!isatty(STDERR_FILENO) || (term && strcmp(term, "dumb") == 0))
		return NULL;
	progress = xnew(struct progress);
	progress->what = what;
	progress->total = total_bytes;
	progress->drawn_ms = monotonic_ms();
	progress->before.ms = progress->last.ms = progress->drawn_ms;
	return progress;
}

const char *progress_left(uint64_t left_bytes, uint64_t rate, char out[static 32])
{
	uint64_t s = rate ? left_bytes / rate : UINT64_MAX;

	if (s >= 100 * 86400)
		return NULL;
	if (s >= 86400)
		snprintf(out, 32, "~%ud%02uh left", (unsigned)(s / 86400),
			 (unsigned)(s / 3600 % 24));
	else if (s >= 3600)
		snprintf(out, 32, "~%uh%02um left", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else if (s >= 60)
		snprintf(out, 32, "~%um%02us left", (unsigned)(s / 60), (unsigned)(s % 60));
	else
		snprintf(out, 32, "~%us left", (unsigned)s);
	return out;
}

/* Bytes a second. */
static uint64_t measure(struct progress *progress, uint64_t now_ms)
{
	struct mark now = { now_ms, progress->done };
	uint64_t past_ms = now.ms - progress->before.ms;
	uint64_t past = now.done > progress->before.done ? now.done - progress->before.done : 0;

	if (now.ms - progress->last.ms >= WINDOW_MS) {
		progress->before = progress->last;
		progress->last = now;
	}
	return past * 1000 / (past_ms ? past_ms : 1);
}

/* Redraws the line, at most ten times a second. */
static void progress_draw(struct progress *progress)
{
	uint64_t now_ms = monotonic_ms(), rate;
	char done[32], total[32], speed[32], left[32];

	if (now_ms - progress->drawn_ms < REDRAW_MS)
		return;
	progress->drawn_ms = now_ms;
	rate = measure(progress, now_ms);
	fprintf(stderr, "\r\033[K%s %s", progress->what, progress_size(progress->done, done));
	/* What is known beforehand may be a stranger's word: more came, so it was wrong. */
	if (progress->total && progress->done <= progress->total)
		fprintf(stderr, " of %s (%u%%)", progress_size(progress->total, total),
			(unsigned)((double)progress->done * 100 / (double)progress->total));
	if (progress->blocks)
		fprintf(stderr, ", %llu blocks", (unsigned long long)progress->blocks);
	fprintf(stderr, ", %s/s", progress_size(rate, speed));
	if (progress->done < progress->total &&
	    progress_left(progress->total - progress->done, rate, left))
		fprintf(stderr, ", %s", left);
}

void progress_total(struct progress *progress, uint64_t total_bytes)
{
	if (progress)
		progress->total = total_bytes;
}

void progress_set(struct progress *progress, uint64_t done_bytes, uint64_t blocks)
{
	if (!progress)
		return;
	progress->done = done_bytes;
	progress->blocks = blocks;
	progress_draw(progress);
}

void progress_hide(struct progress *progress)
{
	if (progress)
		fputs("\r\033[K", stderr);
}

void progress_end(struct progress *progress)
{
	if (!progress)
		return;
	progress_hide(progress);
	free(progress);
}
