/* RFC 3339 times, read and written to the nanosecond and counted from 1970. Numbers that do not fit
 * saturate instead of wrapping. Pure; any thread. */
#include "routing/record/eol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000u
#define DAYS_TO_1970 719468 /* from 0000-03-01, where years of this count begin */
#define DAYS_PER_ERA 146097 /* of 400 years */
#define FRACTION_DIGITS_MAX 9

static unsigned digits(struct cursor *c, unsigned count)
{
	unsigned value = 0;

	while (count-- > 0) {
		uint8_t digit = cursor_u8(c);

		if (digit < '0' || digit > '9')
			c->bad = true;
		value = value * 10 + (unsigned)(digit - '0');
	}
	return value;
}

static void eol_expect(struct cursor *c, char character)
{
	if (cursor_u8(c) != (uint8_t)character)
		c->bad = true;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* A year that begins in March has its leap day at its end, and all its months in front of it. */
static int64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
	int64_t y = (int64_t)year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
	       DAYS_TO_1970;
}

static uint32_t fraction(struct cursor *c)
{
	unsigned count = 0;
	uint32_t ns = 0;

	if (cursor_left(c) == 0 || *c->at != '.')
		return 0;
	cursor_u8(c);
	for (; cursor_left(c) > 0 && *c->at >= '0' && *c->at <= '9'; count++)
		if (count < FRACTION_DIGITS_MAX)
			ns = ns * 10 + digits(c, 1);
		else
			cursor_u8(c);
	if (count == 0 || count > FRACTION_DIGITS_MAX)
		c->bad = true;
	for (; count < FRACTION_DIGITS_MAX; count++)
		ns *= 10;
	return ns;
}

/* Seconds that local time is ahead. */
static int64_t offset(struct cursor *c)
{
	uint8_t sign = cursor_u8(c);
	unsigned hour, minute;

	if (sign == 'Z')
		return 0;
	hour = digits(c, 2);
	eol_expect(c, ':');
	minute = digits(c, 2);
	if ((sign != '+' && sign != '-') || hour > 23 || minute > 59)
		c->bad = true;
	return (sign == '-' ? -1 : 1) * (int64_t)(hour * 3600 + minute * 60);
}

int eol_parse(struct eol *eol, struct bytes text)
{
	struct cursor c = cursor_over(text);
	unsigned year, month, day, hour, minute, second;

	year = digits(&c, 4);
	eol_expect(&c, '-');
	month = digits(&c, 2);
	eol_expect(&c, '-');
	day = digits(&c, 2);
	eol_expect(&c, 'T');
	hour = digits(&c, 2);
	eol_expect(&c, ':');
	minute = digits(&c, 2);
	eol_expect(&c, ':');
	second = digits(&c, 2);
	if (c.bad || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) ||
	    hour > 23 || minute > 59 || second > 59)
		return -EBADMSG;
	eol->ns = fraction(&c);
	eol->s = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
		 offset(&c);
	return c.bad || cursor_left(&c) > 0 ? -EBADMSG : 0;
}

/* The days of days_since_1970() turned around. */
static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t from = days + DAYS_TO_1970;
	int64_t era = (from >= 0 ? from : from - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
	int64_t of_era = from - era * DAYS_PER_ERA;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / (DAYS_PER_ERA - 1)) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

	*day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
	*month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year = y + era * 400 + (*month <= 2);
}

const char *eol_text(const struct eol *eol, char out[static EOL_TEXT_MAX])
{
	int64_t days = eol->s / 86400, rest = eol->s % 86400, year;
	unsigned month, day;
	size_t len;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	if (days < -DAYS_TO_1970 - 366 || days > (int64_t)DAYS_PER_ERA * 25)
		return NULL;
	date_of(days, &year, &month, &day);
	if (year < 0 || year > 9999 || eol->ns >= NS_PER_S)
		return NULL;
	len = (size_t)snprintf(out, EOL_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%09u",
			       (unsigned)year, month, day, (unsigned)(rest / 3600),
			       (unsigned)(rest / 60 % 60), (unsigned)(rest % 60), eol->ns);
	while (out[len - 1] == '0')
		len--;
	if (out[len - 1] == '.')
		len--;
	memcpy(out + len, "Z", 2);
	return out;
}

struct eol eol_of_ns(uint64_t ns)
{
	return (struct eol){ .s = (int64_t)(ns / NS_PER_S), .ns = (uint32_t)(ns % NS_PER_S) };
}

int eol_cmp(const struct eol *a, const struct eol *b)
{
	if (a->s != b->s)
		return a->s < b->s ? -1 : 1;
	return (a->ns > b->ns) - (a->ns < b->ns);
}

uint64_t eol_ns(const struct eol *eol)
{
	uint64_t ns;

	if (eol->s < 0)
		return 0;
	if (__builtin_mul_overflow((uint64_t)eol->s, (uint64_t)NS_PER_S, &ns) ||
	    __builtin_add_overflow(ns, (uint64_t)eol->ns, &ns))
		return UINT64_MAX;
	return ns;
}
