/* Bytes that a call yields, on their way to the standard output: small pieces together, large ones
 * without a copy. The command's thread. */
#ifndef FS_CLI_OUT_H
#define FS_CLI_OUT_H

#include "net/base/bytes.h"

#include <stdbool.h>

/* Zero-initialised is empty and valid. */
struct cli_out {
	struct buf pending;
	int err; /* the first error of the output; nothing is written after it */
};

/* now: nothing waits for more. 0; -EINTR; -errno. */
int cli_out_put(struct cli_out *out, struct bytes data, bool now);
/* Writes what waits, and frees it; returns the first error of all. */
int cli_out_end(struct cli_out *out);

#endif
