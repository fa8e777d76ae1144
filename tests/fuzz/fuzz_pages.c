/* A generation's file: any bytes end, nothing is read outside of it, and what is told of is whole. */
#include "exchange/store_pages.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static int on_block(void *ctx, struct bytes multihash, struct bytes data)
{
	uint64_t *sum = ctx;

	assert(multihash.len && multihash.len <= 128);
	for (size_t i = 0; i < data.len; i++)
		*sum += data.at[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	uint64_t sum = 0;
	int fd = memfd_create("pages", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, at, len) == (ssize_t)len);
	pages_check(fd, NULL);
	pages_salvage(fd, on_block, &sum);
	close(fd);
	return 0;
}
