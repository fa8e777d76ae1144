/* CIDs, multihashes and multiformats varints. What decodes prints, reads back and converts. */
#include "net/wire/cid.h"
#include "net/wire/varint.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void check(const struct cid *cid)
{
	char text[CID_TEXT_MAX];
	struct cid again;
	struct bytes identity = cid_identity_data(cid);

	assert(cid->len <= CID_MAX && identity.len <= MULTIHASH_DIGEST_MAX);
	assert(cid_from_text(&again, cid_text(cid, text)) == 0);
	assert(cid_equal(cid, &again) && cid->codec == again.codec);
	if (cid_to_version(cid, 1, &again) == 0 && cid_to_version(&again, 0, &again) == 0)
		assert(again.version == 0 && again.len == 34);
	cid_allowed(cid);
	cid_verify(cid, bytes_str("block"));
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes in = bytes_of(at, len), message;
	struct cid cid;
	ssize_t used = cid_decode(&cid, in);

	assert(used <= (ssize_t)len);
	if (used > 0)
		check(&cid);
	if (cid_from_text_bytes(&cid, in) == 0)
		check(&cid);
	used = frame_decode(&message, in, 64);
	assert(used <= (ssize_t)len && (used <= 0 || message.len <= 64));
	return 0;
}
