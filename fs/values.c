/* Reads sizes and durations as people write them, and counts the edits between two words. Overflow
 * is an error. Pure; any thread. */
#include "fs/values.h"

#include "net/base/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Digits of text as a number; *rest points behind them. */
static int parse_number(const char *text, uint64_t *value, const char **rest)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	*rest = end;
	return errno ? -ERANGE : 0;
}

int parse_size(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "kB", 1000 },
		{ "KB", 1000 },
		{ "MB", 1000000 },
		{ "GB", 1000000000 },
		{ "TB", 1000000000000 },
		{ "KiB", 1ull << 10 },
		{ "MiB", 1ull << 20 },
		{ "GiB", 1ull << 30 },
		{ "TiB", 1ull << 40 },
	};
	uint64_t value;
	int err = parse_number(text, &value, &text);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(text, units[i].name) == 0)
			return __builtin_mul_overflow(value, units[i].factor, bytes) ? -ERANGE : 0;
	return -EINVAL;
}

/* One unit of a duration at *text, which moves behind it; 0 when there is none. */
static uint64_t duration_unit(const char **text)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(*text, units[i].name, len) == 0) {
			*text += len;
			return units[i].ms;
		}
	}
	return 0;
}

int parse_duration_ms(const char *text, uint64_t *ms)
{
	uint64_t total = 0;

	do {
		uint64_t value, part, unit;
		int err = parse_number(text, &value, &text);

		if (err)
			return err;
		unit = *text ? duration_unit(&text) : 1000;
		if (!unit)
			return -EINVAL;
		if (__builtin_mul_overflow(value, unit, &part) ||
		    __builtin_add_overflow(total, part, &total))
			return -ERANGE;
	} while (*text);
	*ms = total;
	return 0;
}

/* Levenshtein, with two letters that changed places as one edit; row by row. */
unsigned word_distance(const char *a, const char *b, unsigned max)
{
	unsigned rows[3][DISTANCE_WORD_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > DISTANCE_WORD_MAX || b_len > DISTANCE_WORD_MAX)
		return max + 1;
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3],
			 *two_above = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);

			best = above[j] + 1 < best ? above[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    two_above[j - 2] + 1 < best)
				best = two_above[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[a_len % 3][b_len] > max ? max + 1 : rows[a_len % 3][b_len];
}
