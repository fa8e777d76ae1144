/* Text that anybody may have written, for terminals and JSON; numbers for people. Pure; any thread.
 */
#ifndef FS_CLI_TEXT_H
#define FS_CLI_TEXT_H

#include "net/base/bytes.h"

#include <jansson.h>

/* Text for a terminal: control characters and what is no UTF-8 as \xNN, the rest as it is, cut to
 * fit; returns out. */
const char *cli_safe(char *out, size_t size, const char *text, size_t len);
/* The same, all of it, appended to out. */
void cli_add_safe(struct buf *out, const char *text, size_t len);
/* Text as JSON, which holds UTF-8 alone: U+FFFD stands for each byte that is none. */
json_t *cli_json_text(const char *text, size_t len);
/* A copy of value whose texts are all UTF-8. New. */
json_t *cli_json_valid(const json_t *value);
/* Bytes for people: "12.3 MB". */
const char *progress_size(uint64_t bytes, char out[static 32]);

#endif
