/* A name record: what decodes says what is in it, and is in an order with itself. */
#include "routing/record/ipns.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static bool within(struct bytes part, struct bytes all)
{
	return part.len == 0 || (part.at >= all.at && part.at + part.len <= all.at + all.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes in = bytes_of(at, len);
	struct ipns_record record;

	if (ipns_decode(&record, in))
		return 0;
	assert(len <= IPNS_RECORD_MAX);
	assert(within(record.value, in) && within(record.signature, in) &&
	       within(record.document, in) && within(record.public_key, in));
	assert(record.signature.len > 0 && record.document.len > 0);
	assert(record.sequence <= INT64_MAX && record.ttl_ns <= INT64_MAX);
	assert(record.eol.ns < 1000000000);
	assert(ipns_rules.expires_ns(in) == eol_ns(&record.eol));
	assert(ipns_rules.compare(in, in) == 0);
	return 0;
}
