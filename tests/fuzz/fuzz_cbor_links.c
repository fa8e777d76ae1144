/* DAG-CBOR: any bytes end, without allocating. */
#include "dag/ipld/cbor_links.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static int on_link(void *ctx, const struct cid *cid)
{
	(void)ctx;
	assert(cid_is_set(cid));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	cbor_links(bytes_of(at, len), on_link, NULL);
	return 0;
}
