/* Signed envelopes (RFC 0002): a payload with its type, the signer's public key and a signature
 * over both and a domain string, so that a signature for one purpose is good for no other. Pure;
 * any thread. */
#include "net/wire/key.h"
#include "net/wire/pb.h"
#include "net/wire/varint.h"

#include <assert.h>
#include <errno.h>

/* Envelope: 1 public key (a message), 2 payload type, 3 payload, 5 signature. Signed is
 * uv(len) | domain | uv(len) | payload type | uv(len) | payload.
 */
static void add_part(struct buf *out, struct bytes part)
{
	buf_add_uvarint(out, part.len);
	buf_add(out, part);
}

static struct buf signed_bytes(const char *domain, struct bytes payload_type, struct bytes payload)
{
	struct buf out = { 0 };

	assert(domain[0] && payload_type.len > 0);
	add_part(&out, bytes_str(domain));
	add_part(&out, payload_type);
	add_part(&out, payload);
	return out;
}

void envelope_seal(struct buf *out, const struct identity *identity, const char *domain,
		   struct bytes payload_type, struct bytes payload)
{
	struct buf message = signed_bytes(domain, payload_type, payload);
	uint8_t signature[64];

	identity_sign(identity, buf_bytes(&message), signature);
	buf_release(&message);
	pb_put_bytes(out, 1, public_key_proto(identity_public(identity)));
	pb_put_bytes(out, 2, payload_type);
	pb_put_bytes(out, 3, payload);
	pb_put_bytes(out, 5, bytes_of(signature, sizeof(signature)));
}

/* by: whose it must be; NULL: anybody's. */
static int open_as(struct bytes in, const char *domain, struct bytes payload_type,
		   const struct peer_id *by, struct public_key *signer, struct bytes *payload)
{
	struct pb_reader r = pb_over(in);
	struct pb_field field;
	struct bytes key = { 0 }, type = { 0 }, body = { 0 }, signature = { 0 };
	struct peer_id id;
	struct buf message;
	int err;

	if (in.len > ENVELOPE_MAX)
		return -EBADMSG;
	while (pb_next(&r, &field)) {
		switch (field.number) {
		case 1:
			key = pb_bytes(&field);
			break;
		case 2:
			type = pb_bytes(&field);
			break;
		case 3:
			body = pb_bytes(&field);
			break;
		case 5:
			signature = pb_bytes(&field);
			break;
		}
	}
	if (r.bad || !bytes_equal(type, payload_type))
		return -EBADMSG;
	err = public_key_decode(signer, key);
	if (err < 0)
		return err;
	if (by) {
		peer_id_of_key(&id, signer);
		if (!peer_id_equal(&id, by))
			return -EKEYREJECTED;
	}
	message = signed_bytes(domain, payload_type, body);
	err = public_key_verify(signer, buf_bytes(&message), signature);
	buf_release(&message);
	if (err == 0)
		*payload = body;
	return err;
}

int envelope_open(struct bytes in, const char *domain, struct bytes payload_type,
		  struct public_key *signer, struct bytes *payload)
{
	return open_as(in, domain, payload_type, NULL, signer, payload);
}

int envelope_open_by(struct bytes in, const char *domain, struct bytes payload_type,
		     const struct peer_id *by, struct bytes *payload)
{
	struct public_key signer;

	return open_as(in, domain, payload_type, by, &signer, payload);
}
