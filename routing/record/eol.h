/* The end of life of a record: RFC 3339 text, to the nanosecond. Pure; any thread. */
#ifndef ROUTING_RECORD_EOL_H
#define ROUTING_RECORD_EOL_H

#include "net/base/bytes.h"

struct eol {
	int64_t s;   /* since 1970; years 0000 to 9999 */
	uint32_t ns; /* below 1e9 */
};

/* "2033-05-18T03:33:20.000000001Z": at most nine digits of a fraction, Z or an offset. -EBADMSG. */
int eol_parse(struct eol *eol, struct bytes text);
#define EOL_TEXT_MAX 40
/* As Go writes it: UTC, with Z, and no zeros at the end of the fraction. Returns out; NULL outside
 * the years 0000 to 9999. */
const char *eol_text(const struct eol *eol, char out[static EOL_TEXT_MAX]);
/* < 0 when a is earlier than b, > 0 later, 0 the same. */
int eol_cmp(const struct eol *a, const struct eol *b);
/* Nanoseconds since 1970: 0 for what is before, UINT64_MAX for what they cannot count. */
uint64_t eol_ns(const struct eol *eol);
struct eol eol_of_ns(uint64_t ns);

#endif
