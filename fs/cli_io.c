/* Whole files in and out for commands; Ctrl-C ends both. The main thread. */
#include "fs/cli.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES 65536

int cli_read_all(const char *path, size_t max, struct buf *out)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	int err = fd < 0 ? -errno : 0;
	size_t begin = out->len;

	while (!err) {
		ssize_t n = read(fd, buf_reserve(out, PIECE_BYTES), PIECE_BYTES);

		if (n < 0 && errno == EINTR && !cli_interrupted())
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		out->len += (size_t)n;
		if (out->len - begin > max)
			err = -EMSGSIZE;
	}
	if (fd > STDIN_FILENO)
		close(fd);
	return err;
}

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
