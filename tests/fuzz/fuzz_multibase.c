/* Multibase. What decodes encodes again, to text that means the same. */
#include "net/wire/multibase.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct buf data = { 0 }, text = { 0 }, again = { 0 };
	char base;

	if (multibase_decode(&data, bytes_of(at, len), &base) == 0) {
		assert(multibase_encode(&text, base, buf_bytes(&data)) == 0);
		assert(text.len <= len);
		assert(multibase_decode(&again, buf_bytes(&text), NULL) == 0);
		assert(bytes_equal(buf_bytes(&data), buf_bytes(&again)));
	} else {
		assert(data.len == 0);
	}
	buf_release(&data);
	buf_release(&text);
	buf_release(&again);
	return 0;
}
