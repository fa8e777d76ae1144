/* Versions of a share by number, by distance and by time. What is kept is read once from the
 * oldest to the newest; there are at most 10 000. */
#include "fs/share_version.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STAMP_SHIFT 16 /* a stamp is ms since 1970 above this bit */
#define FAR_YEAR 9999

enum wanted { WANT_NEWEST, WANT_NUMBER, WANT_BACK, WANT_TIME };

/* ---- what is written ---- */

/* Exactly so many digits at the front of *text. */
static bool take_digits(const char **text, unsigned count, int *value)
{
	*value = 0;
	for (unsigned i = 0; i < count; i++, ++*text) {
		if (**text < '0' || **text > '9')
			return false;
		*value = *value * 10 + (**text - '0');
	}
	return true;
}

static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Seconds since 1970 of the end of what is written: the first second that is after it. */
static bool read_time(const char *text, int64_t *end)
{
	static const char before[] = "--T::"; /* month, day, hour, minute, second */
	int part[6] = { 0, 1, 1, 0, 0, 0 };   /* year, month, ... */
	size_t given = 1;
	struct tm tm = { 0 };

	if (!take_digits(&text, 4, &part[0]) || part[0] < 1970 || part[0] > FAR_YEAR)
		return false;
	for (; given < 6 && *text == before[given - 1]; given++) {
		text++;
		if (!take_digits(&text, 2, &part[given]))
			return false;
	}
	if (*text == 'Z' && given == 6)
		text++;
	if (*text || given < 2 || part[1] < 1 || part[1] > 12 || part[2] < 1 ||
	    part[2] > days_in(part[0], part[1]) || part[3] > 23 || part[4] > 59 || part[5] > 60)
		return false;
	part[given - 1]++; /* timegm() carries over */
	tm.tm_year = part[0] - 1900;
	tm.tm_mon = part[1] - 1;
	tm.tm_mday = part[2];
	tm.tm_hour = part[3];
	tm.tm_min = part[4];
	tm.tm_sec = part[5];
	*end = timegm(&tm);
	return true;
}

static bool read_number(const char *text, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !*end && !errno;
}

/* ---- what is kept ---- */

struct search {
	enum wanted wanted;
	uint64_t number; /* of the version; how many back */
	int64_t end;	 /* seconds */
	bool found;
	struct tree_version *out;
	struct tree_version *all; /* WANT_BACK: all so far */
	size_t count;
};

static int look_at(void *ctx, const struct tree_version *version)
{
	struct search *search = ctx;
	bool fits = true;

	if (search->wanted == WANT_BACK) {
		search->all = xrealloc(search->all, (search->count + 1) * sizeof(*search->all));
		search->all[search->count++] = *version;
		return 0;
	}
	if (search->wanted == WANT_NUMBER)
		fits = version->no == search->number;
	else if (search->wanted == WANT_TIME)
		fits = (int64_t)((version->stamp >> STAMP_SHIFT) / 1000) < search->end;
	if (fits) {
		*search->out = *version;
		search->found = true;
	}
	return 0;
}

int share_version_find(struct db *work, uint32_t id, const char *text, struct tree_version *out)
{
	struct search search = { .out = out };
	int err;

	if (!*text)
		search.wanted = WANT_NEWEST;
	else if (read_number(text, &search.number))
		search.wanted = WANT_NUMBER;
	else if (*text == '-' && read_number(text + 1, &search.number))
		search.wanted = WANT_BACK;
	else if (read_time(text, &search.end))
		search.wanted = WANT_TIME;
	else
		return -EINVAL;
	err = share_each_version(work, id, look_at, &search);
	if (!err && search.wanted == WANT_BACK && search.number < search.count) {
		*out = search.all[search.count - 1 - search.number];
		search.found = true;
	}
	free(search.all);
	return err ? err : search.found ? 0 : -ENOENT;
}

const char *stamp_text(uint64_t stamp, char out[static STAMP_TEXT_MAX])
{
	time_t seconds = (time_t)((stamp >> STAMP_SHIFT) / 1000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(out, STAMP_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, STAMP_TEXT_MAX, "%" PRIu64, stamp);
	return out;
}
