/* Private keys, as files of a keystore and as PEM: a key or an error, and what is a key comes back
 * from both of its forms. */
#include "net/wire/private_key.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void round_trip(struct private_key *key)
{
	struct buf proto = { 0 }, pem = { 0 };
	struct private_key *same;
	int err;

	if (!key)
		return;
	assert(private_key_encode(key, &proto) == 0);
	same = private_key_decode(buf_bytes(&proto), &err);
	assert(same);
	private_key_free(same);
	assert(private_key_encode_pem(key, &pem) == 0);
	same = private_key_decode_pem(buf_bytes(&pem), &err);
	assert(same);
	private_key_free(same);
	private_wipe(&proto);
	private_wipe(&pem);
	private_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	int err;

	round_trip(private_key_decode(bytes_of(at, len), &err));
	round_trip(private_key_decode_pem(bytes_of(at, len), &err));
	return 0;
}
