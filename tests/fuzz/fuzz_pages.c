/* A file of LMDB's: any bytes end, nothing is read outside of it, and what is told of lies in it.
 */
#include "net/db/lmdb_pages.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

#define VALUE_MAX (1u << 20)

static int on_found(void *ctx, const struct lmdb_found *found)
{
	uint64_t *sum = ctx;

	assert(found->value.len <= VALUE_MAX);
	for (size_t i = 0; i < found->key.len; i++)
		*sum += found->key.at[i];
	for (size_t i = 0; i < found->value.len; i++)
		*sum += found->value.at[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct lmdb_tally tally;
	uint64_t sum = 0;
	int fd = memfd_create("pages", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, at, len) == (ssize_t)len);
	lmdb_pages_check(fd, NULL, len % 2);
	lmdb_pages_salvage(fd, VALUE_MAX, on_found, &sum, &tally);
	close(fd);
	return 0;
}
