/* Bytes to the standard output. A large piece goes with what waits before it in one system call and
 * is not copied. The command's thread. */
#include "fs/cli_out.h"

#include "fs/cli.h"

#include <sys/uio.h>
#include <unistd.h>

#define PENDING_BYTES (64u << 10)

/* Both parts. 0; -EINTR; -errno. */
static int write_two(struct bytes first, struct bytes second)
{
	while (first.len) {
		/* as cli_write_all(), not too much at once */
		size_t most = second.len < CLI_WRITE_BYTES ? second.len : CLI_WRITE_BYTES;
		struct iovec iov[2] = {
			{ (void *)first.at, first.len },
			{ (void *)second.at, most },
		};
		ssize_t n = writev(STDOUT_FILENO, iov, most ? 2 : 1);
		size_t of_first;

		if (n < 0 && errno == EINTR && !cli_interrupted())
			continue;
		if (n < 0)
			return -errno;
		of_first = (size_t)n < first.len ? (size_t)n : first.len;
		first = bytes_skip(first, of_first);
		second = bytes_skip(second, (size_t)n - of_first);
	}
	return cli_write_all(STDOUT_FILENO, second);
}

int cli_out_put(struct cli_out *out, struct bytes data, bool now)
{
	if (out->err)
		return out->err;
	if (!now && out->pending.len + data.len <= PENDING_BYTES) {
		buf_add(&out->pending, data);
		return 0;
	}
	out->err = write_two(buf_bytes(&out->pending), data);
	buf_clear(&out->pending);
	return out->err;
}

int cli_out_end(struct cli_out *out)
{
	if (!out->err)
		out->err = cli_write_all(STDOUT_FILENO, buf_bytes(&out->pending));
	buf_release(&out->pending);
	return out->err;
}
