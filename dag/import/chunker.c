/* Where to cut a file: at a fixed size, or where a rolling hash over the last bytes says so
 * (rabin, buzhash), so that an insertion moves only the cuts near it. The cuts are those of Kubo,
 * or the CIDs would differ. Pure. */
#include "dag/import/chunker.h"

#include "dag/import/chunker_buzhash.h"
#include "net/base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RABIN_POLYNOMIAL 17437180132763653u
#define RABIN_DEGREE 53
#define RABIN_WINDOW 16
#define RABIN_MIN_MIN 16
#define RABIN_AVERAGE 262144

/* ---- names ---- */

/* "123", or "min:123" where that label is allowed; *text moves behind it and a following '-'. */
static bool chunker_number(const char **text, const char *label, size_t *value)
{
	const char *at = *text;
	size_t label_len = strlen(label);
	uint64_t sum = 0;

	if (strncmp(at, label, label_len) == 0)
		at += label_len;
	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		sum = sum * 10 + (uint64_t)(*at - '0');
		if (sum > UINT32_MAX)
			return false;
	}
	if (*at == '-')
		at++;
	else if (*at != '\0')
		return false;
	*value = (size_t)sum;
	*text = at;
	return true;
}

static int parse_size(struct chunker *chunker, const char *text, const char **why)
{
	chunker->kind = CHUNKER_SIZE;
	if (strchr(text, '-') || !chunker_number(&text, "", &chunker->max) || chunker->max == 0) {
		*why = "chunk size is not a positive number";
		return -EINVAL;
	}
	if (chunker->max > CHUNK_MAX) {
		*why = "chunk size is over 2096896";
		return -EINVAL;
	}
	chunker->min = chunker->max;
	return 0;
}

/* The remainder of value modulo the polynomial. */
static uint64_t rabin_mod(uint64_t value)
{
	while (value >> RABIN_DEGREE) {
		int top = 63 - __builtin_clzll(value);

		value ^= RABIN_POLYNOMIAL << (top - RABIN_DEGREE);
	}
	return value;
}

static void rabin_tables(struct chunker *chunker)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint64_t hash = rabin_mod(byte);

		for (unsigned i = 1; i < RABIN_WINDOW; i++)
			hash = rabin_mod(hash << 8);
		chunker->out[byte] = hash;

		/* Adding this clears the byte above the degree and puts its remainder below. */
		uint64_t high = (uint64_t)byte << RABIN_DEGREE;

		chunker->mod[byte] = rabin_mod(high) | high;
	}
}

/* text is what follows "rabin": nothing, "-AVG" or "-MIN-AVG-MAX". */
static int parse_rabin(struct chunker *chunker, const char *text, const char **why)
{
	size_t average = RABIN_AVERAGE;
	const char *at = text;

	if (*at == '-') {
		at++;
		if (strchr(at, '-')) {
			if (!chunker_number(&at, "min:", &chunker->min) ||
			    !chunker_number(&at, "avg:", &average) ||
			    !chunker_number(&at, "max:", &chunker->max) || *at ||
			    text[strlen(text) - 1] == '-')
				average = 0;
		} else if (!chunker_number(&at, "", &average)) {
			average = 0;
		}
	}
	if (average == 0) {
		*why = "rabin is rabin, rabin-AVG or rabin-MIN-AVG-MAX";
		return -EINVAL;
	}
	if (chunker->max == 0) {
		chunker->min = average / 3;
		chunker->max = average + average / 2;
	}
	if (chunker->min < RABIN_MIN_MIN || chunker->min >= average || average >= chunker->max ||
	    chunker->max > CHUNK_MAX) {
		*why = "rabin needs 16 <= min < average < max <= 2096896";
		return -EINVAL;
	}
	chunker->kind = CHUNKER_RABIN;
	chunker->mask = (UINT64_C(1) << (63 - __builtin_clzll(average))) - 1;
	rabin_tables(chunker);
	return 0;
}

int chunker_init(struct chunker *chunker, const char *text, const char **why)
{
	*chunker = (struct chunker){ 0 };
	if (strncmp(text, "size-", 5) == 0)
		return parse_size(chunker, text + 5, why);
	if (strcmp(text, "buzhash") == 0) {
		chunker->kind = CHUNKER_BUZHASH;
		chunker->min = BUZHASH_MIN;
		chunker->max = BUZHASH_MAX;
		return 0;
	}
	if (strncmp(text, "rabin", 5) == 0 && (text[5] == '\0' || text[5] == '-'))
		return parse_rabin(chunker, text + 5, why);
	*why = "chunker is none of size-N, buzhash, rabin, rabin-AVG, rabin-MIN-AVG-MAX";
	return -EINVAL;
}

/* ---- cutting ---- */

/* The fingerprint of the last 16 bytes; the window is fed with a 1 at each chunk's start, and the
 * first min - 16 bytes are not looked at. */
static size_t rabin_cut(const struct chunker *chunker, struct bytes data)
{
	size_t end = data.len < chunker->max ? data.len : chunker->max;
	uint8_t window[RABIN_WINDOW] = { 1 };
	uint64_t digest = 1;
	unsigned at = 1;

	for (size_t i = chunker->min - RABIN_WINDOW; i < end; i++) {
		uint8_t byte = data.at[i];

		digest ^= chunker->out[window[at]];
		window[at] = byte;
		at = (at + 1) % RABIN_WINDOW;
		digest = (digest << 8 | byte) ^ chunker->mod[digest >> (RABIN_DEGREE - 8)];
		if ((digest & chunker->mask) == 0 && i + 1 >= chunker->min)
			return i + 1;
	}
	return end;
}

size_t chunker_cut(const struct chunker *chunker, struct bytes data)
{
	assert(data.len > 0);
	switch (chunker->kind) {
	case CHUNKER_BUZHASH:
		return buzhash_cut(data);
	case CHUNKER_RABIN:
		return rabin_cut(chunker, data);
	default:
		return data.len < chunker->max ? data.len : chunker->max;
	}
}
