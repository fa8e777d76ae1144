/* What blocking calls need of their face and of the repository: waits, blocks, inputs, and telling
 * what this node announces. The thread that runs the call. */
#include "fs/api/api.h"

#include "fs/repo.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/wait.h"

#include <unistd.h>

#define PIECE_BYTES 65536

struct repo *api_repo(const struct api_call *call)
{
	return ((const struct api_host *)call->host)->repo;
}

static struct wait *begin_wait(struct api_call *call, uint64_t timeout_ms)
{
	struct api_host *host = call->host;

	call->waited = host->wait(host, timeout_ms);
	return call->waited;
}

struct wait *api_wait(struct api_call *call)
{
	return begin_wait(call, (uint64_t)api_int(call->args, "timeout"));
}

struct wait *api_wait_long(struct api_call *call)
{
	return begin_wait(call, 0);
}

struct blocks *api_blocks(struct api_call *call, bool fetch)
{
	struct api_host *host = call->host;

	return blocks_new(host->repo->store, fetch && host->fetcher ? host->fetcher(host) : NULL);
}

/* ---- inputs ---- */

int api_input(struct api_call *call, size_t at, struct api_input *out)
{
	struct api_host *host = call->host;

	*out = (struct api_input){ .name = "", .fd = -1 };
	return host->input ? host->input(host, at, out) : -ENODATA;
}

int api_input_read(struct api_call *call, const struct api_input *input, size_t max,
		   struct buf *out)
{
	struct wait *wait = api_wait_long(call);
	size_t begin = out->len;

	for (;;) {
		ssize_t n = wait_read(wait, input->fd, buf_reserve(out, PIECE_BYTES), PIECE_BYTES);

		if (n <= 0)
			return (int)n;
		out->len += (size_t)n;
		if (out->len - begin > max)
			return -EMSGSIZE;
	}
}

void api_input_close(struct api_input *input)
{
	if (input->close)
		close(input->fd);
	*input = (struct api_input){ .name = "", .fd = -1 };
}

/* ---- what is announced ---- */

static void host_provide(struct api_call *call, const struct cid *cid, bool wanted)
{
	struct api_host *host = call->host;
	int err = repo_provide(host->repo, cid, wanted);

	if (err)
		log_warn("api", "cannot record what is provided err=%s", err_text(err));
	else if (host->provided)
		host->provided(host, wanted ? cid : NULL);
}

void api_announce(struct api_call *call, const struct cid *cid)
{
	host_provide(call, cid, true);
}

void api_withdraw(struct api_call *call, const struct cid *cid)
{
	host_provide(call, cid, false);
}
