/* Whole writes for commands, which Ctrl-C ends. The main thread. */
#include "fs/cli.h"

#include <unistd.h>

int cli_write_all(int fd, struct bytes data)
{
	while (data.len) {
		ssize_t n =
			write(fd, data.at, data.len < CLI_WRITE_BYTES ? data.len : CLI_WRITE_BYTES);

		if (n < 0 && errno == EINTR && !cli_interrupted())
			continue;
		if (n < 0)
			return -errno;
		data = bytes_skip(data, (size_t)n);
	}
	return 0;
}
