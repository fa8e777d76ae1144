/* How far a command is: one line on stderr, redrawn at most ten times a second. */
#include "fs/cli.h"
#include "net/base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDRAW_MS 100

struct progress {
	const char *what;
	uint64_t total, done, blocks;
	uint64_t started_ms, drawn_ms;
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
	progress->started_ms = progress->drawn_ms = monotonic_ms();
	return progress;
}

static void draw(struct progress *progress)
{
	uint64_t now_ms = monotonic_ms(), past_ms = now_ms - progress->started_ms;
	char done[32], total[32], speed[32];

	if (now_ms - progress->drawn_ms < REDRAW_MS)
		return;
	progress->drawn_ms = now_ms;
	progress_size(progress->done, done);
	progress_size(progress->done * 1000 / (past_ms ? past_ms : 1), speed);
	fprintf(stderr, "\r\033[K%s %s", progress->what, done);
	if (progress->total)
		fprintf(stderr, " of %s (%u%%)", progress_size(progress->total, total),
			(unsigned)((double)progress->done * 100 / (double)progress->total));
	if (progress->blocks)
		fprintf(stderr, ", %llu blocks", (unsigned long long)progress->blocks);
	fprintf(stderr, ", %s/s", speed);
}

void progress_add(struct progress *progress, uint64_t bytes)
{
	if (!progress)
		return;
	progress->done += bytes;
	draw(progress);
}

void progress_set(struct progress *progress, uint64_t done_bytes, uint64_t blocks)
{
	if (!progress)
		return;
	progress->done = done_bytes;
	progress->blocks = blocks;
	draw(progress);
}

void progress_end(struct progress *progress)
{
	if (!progress)
		return;
	fputs("\r\033[K", stderr);
	free(progress);
}
