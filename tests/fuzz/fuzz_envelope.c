/* Signed envelopes: the payload lies inside what came. */
#include "net/wire/key.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct public_key signer;
	struct bytes payload;

	if (envelope_open(bytes_of(at, len), "libp2p-peer-record", bytes_of("\x03\x01", 2), &signer,
			  &payload) == 0 &&
	    payload.len > 0)
		assert(payload.at >= at && payload.at + payload.len <= at + len);
	return 0;
}
