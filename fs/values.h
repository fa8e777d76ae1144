/* What people write for sizes, times and words. Pure; any thread. */
#ifndef FS_VALUES_H
#define FS_VALUES_H

#include <stdint.h>

/* "16MiB", "4kb", "512": bytes. -EINVAL; -ERANGE. */
int parse_size(const char *text, uint64_t *bytes);
/* "1h30m", "500ms", "10" (seconds): milliseconds. -EINVAL; -ERANGE. */
int parse_duration_ms(const char *text, uint64_t *ms);

/* Words longer than this are far from each other. */
#define DISTANCE_WORD_MAX 64
/* How many edits lead from a to b, at most max + 1: for suggestions. Two neighbours that changed
 * places are one. */
unsigned word_distance(const char *a, const char *b, unsigned max);

#endif
