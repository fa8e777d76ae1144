/* Name records: decoding, verifying, and the rules by which Kademlia keeps and compares them. The
 * signed document counts; the fields around it only have to agree with it. Pure; any thread. */
#include "routing/record/ipns.h"

#include "net/wire/pb.h"
#include "routing/record/document.h"

#include <errno.h>
#include <string.h>

/*
 * 1 value   2 signatureV1   3 validityType, 0: end of life   4 validity, RFC 3339   5 sequence
 * 6 ttl in ns   7 pubKey   8 signatureV2 over "ipns-signature:" | data   9 data
 *
 * data is a DAG-CBOR map: TTL, Value, Sequence, Validity, ValidityType, and any others.
 */
enum field {
	VALUE = 1,
	SIGNATURE_V1,
	VALIDITY_TYPE,
	VALIDITY,
	SEQUENCE,
	TTL,
	PUBLIC_KEY,
	SIGNATURE_V2,
	DATA,
	FIELDS_END
};

#define COMMIT FIELDS_END /* of the document alone */

/* A record as its protobuf tells it, or the document: the same fields. */
struct told {
	struct bytes bytes[FIELDS_END + 1];
	uint64_t number[FIELDS_END + 1];
	unsigned has; /* bit per field */
};

static bool has(const struct told *told, enum field field)
{
	return told->has >> field & 1;
}

static bool is_number(enum field field)
{
	return field == VALIDITY_TYPE || field == SEQUENCE || field == TTL;
}

static int read_envelope(struct told *out, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number >= FIELDS_END || has(out, f.number))
			return -EBADMSG;
		out->has |= 1u << f.number;
		if (is_number(f.number))
			out->number[f.number] = pb_u64(&f);
		else
			out->bytes[f.number] = pb_bytes(&f);
	}
	return r.bad ? -EBADMSG : 0;
}

/* Takes a known field of the document. Each has one kind, and numbers fit Go's int64. */
static int take_field(void *ctx, struct bytes key, const struct document_value *value)
{
	static const struct {
		const char *name;
		enum field field;
	} known[] = { { "TTL", TTL },
		      { "Value", VALUE },
		      { IPNS_COMMIT_FIELD, COMMIT },
		      { "Sequence", SEQUENCE },
		      { "Validity", VALIDITY },
		      { "ValidityType", VALIDITY_TYPE } };
	struct told *out = ctx;

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		enum field field = known[i].field;

		if (!bytes_equal(key, bytes_str(known[i].name)))
			continue;
		/* Others may use that name for something else. */
		if (field == COMMIT && value->kind != DOCUMENT_BYTES)
			continue;
		/* A duration or count that Go cannot hold is none: it would turn negative there. */
		if (is_number(field) ? value->kind != DOCUMENT_UINT || value->number > INT64_MAX
				     : value->kind != DOCUMENT_BYTES)
			return -EBADMSG;
		out->bytes[field] = value->bytes;
		out->number[field] = value->number;
		out->has |= 1u << field;
	}
	return 0;
}

/* What the envelope tells is what is signed. One made for readers of the first signature tells all,
 * and there protobuf leaves out what is zero. */
static bool agree(const struct told *envelope, const struct told *document)
{
	static const enum field both[] = { VALUE, VALIDITY_TYPE, VALIDITY, SEQUENCE, TTL };
	bool all = envelope->bytes[SIGNATURE_V1].len > 0 || envelope->bytes[VALUE].len > 0;

	for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++) {
		enum field field = both[i];

		if (!all && !has(envelope, field))
			continue;
		if (is_number(field) ? envelope->number[field] != document->number[field]
				     : !bytes_equal(envelope->bytes[field], document->bytes[field]))
			return false;
	}
	return true;
}

int ipns_decode(struct ipns_record *record, struct bytes in)
{
	const unsigned needed =
		1u << VALUE | 1u << VALIDITY_TYPE | 1u << VALIDITY | 1u << SEQUENCE | 1u << TTL;
	struct told envelope = { 0 }, document = { 0 };
	int err;

	if (in.len > IPNS_RECORD_MAX)
		return -EMSGSIZE;
	err = read_envelope(&envelope, in);
	if (!err && (envelope.bytes[SIGNATURE_V2].len == 0 || envelope.bytes[DATA].len == 0))
		err = -EBADMSG;
	if (!err)
		err = document_each(envelope.bytes[DATA], take_field, &document);
	if (err)
		return err;
	if ((document.has & ~(1u << COMMIT)) != needed ||
	    document.number[VALIDITY_TYPE] != IPNS_END_OF_LIFE || !agree(&envelope, &document))
		return -EBADMSG;
	*record = (struct ipns_record){ .value = document.bytes[VALUE],
					.sequence = document.number[SEQUENCE],
					.ttl_ns = document.number[TTL],
					.signature = envelope.bytes[SIGNATURE_V2],
					.document = envelope.bytes[DATA],
					.public_key = envelope.bytes[PUBLIC_KEY],
					.commit = document.bytes[COMMIT],
					.has_v1 = has(&envelope, SIGNATURE_V1) };
	return eol_parse(&record->eol, document.bytes[VALIDITY]);
}

int ipns_verify(const struct ipns_record *record, const struct peer_id *name)
{
	struct buf message = { 0 };
	struct public_key key;
	struct peer_id id;
	int err;

	if (record->public_key.len > 0)
		err = public_key_decode(&key, record->public_key);
	else
		err = peer_id_key(name, &key);
	if (err)
		return err == -ENOENT ? -EKEYREJECTED : err;
	peer_id_of_key(&id, &key);
	if (!peer_id_equal(&id, name))
		return -EKEYREJECTED;
	buf_add_str(&message, IPNS_SIGNED_PREFIX);
	buf_add(&message, record->document);
	err = public_key_verify(&key, buf_bytes(&message), record->signature);
	buf_release(&message);
	return err;
}

/* ---- rules ---- */

static int validate(struct bytes key, struct bytes value, uint64_t wallclock_ns)
{
	struct ipns_record record;
	struct peer_id name;
	int err;

	if (!bytes_start_with(key, bytes_str(IPNS_PREFIX)) ||
	    peer_id_from_bytes(&name, bytes_skip(key, strlen(IPNS_PREFIX))))
		return -EBADMSG;
	err = ipns_decode(&record, value);
	if (err)
		return err;
	/* Cheaper than a signature, so first. */
	if (wallclock_ns > eol_ns(&record.eol))
		return -ETIMEDOUT;
	return ipns_verify(&record, &name);
}

int ipns_compare(struct bytes a, struct bytes b)
{
	struct ipns_record one, other;
	int by_eol;

	if (ipns_decode(&one, a) || ipns_decode(&other, b))
		return 0;
	if (one.sequence != other.sequence)
		return one.sequence > other.sequence ? 1 : -1;
	by_eol = eol_cmp(&one.eol, &other.eol);
	return by_eol ? by_eol : bytes_cmp(a, b);
}

static uint64_t expires_ns(struct bytes value)
{
	struct ipns_record record;

	return ipns_decode(&record, value) ? 0 : eol_ns(&record.eol);
}

const struct record_rules ipns_rules = {
	.space = "ipns", .validate = validate, .compare = ipns_compare, .expires_ns = expires_ns
};

int routing_name_value(struct bytes record, struct bytes *value)
{
	struct ipns_record decoded;
	int err = ipns_decode(&decoded, record);

	if (err)
		return err;
	for (size_t i = 0; i < decoded.value.len; i++)
		if (decoded.value.at[i] < ' ' || decoded.value.at[i] == 0x7f)
			return -EBADMSG;
	*value = decoded.value;
	return decoded.value.len ? 0 : -EBADMSG;
}
