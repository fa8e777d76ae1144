/* net/wire/envelope.c: envelopes of go-libp2p byte by byte, forgeries, limits. */
#include "net/base/err.h"
#include "net/wire/key.h"
#include "net/wire/pb.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECORD_DOMAIN "libp2p-peer-record"
#define VOUCHER_DOMAIN "libp2p-relay-rsvp"

static struct identity *identity_of(uint8_t byte)
{
	uint8_t seed[32];

	memset(seed, byte, sizeof(seed));
	return identity_from_seed(seed);
}

static void check(const char *name, uint8_t seed, const char *domain, struct bytes type)
{
	json_t *json = vector_json("envelope.json"), *vector = json_object_get(json, name);
	struct identity *identity = identity_of(seed);
	struct buf raw = { 0 }, sealed = { 0 }, expected = { 0 };
	struct public_key signer;
	struct bytes payload;

	vector_hex(&raw, vector, "envelope_hex");
	vector_hex(&expected, vector, "payload_hex");
	assert_int_equal(envelope_open(buf_bytes(&raw), domain, type, &signer, &payload), 0);
	assert_bytes_equal(payload, buf_bytes(&expected));
	assert_bytes_equal(public_key_proto(&signer), public_key_proto(identity_public(identity)));
	envelope_seal(&sealed, identity, domain, type, payload);
	assert_bytes_equal(buf_bytes(&sealed), buf_bytes(&raw));

	for (size_t len = 0; len < raw.len; len++)
		assert_true(envelope_open(bytes_of(raw.at, len), domain, type, &signer, &payload) <
			    0);
	for (size_t i = 0; i < raw.len; i++) {
		raw.at[i] ^= 0x10;
		assert_true(envelope_open(buf_bytes(&raw), domain, type, &signer, &payload) < 0);
		raw.at[i] ^= 0x10;
	}
	assert_int_equal(envelope_open(buf_bytes(&raw), "other", type, &signer, &payload),
			 -EKEYREJECTED);
	assert_int_equal(envelope_open(buf_bytes(&raw), domain, bytes_str("x"), &signer, &payload),
			 -EBADMSG);
	identity_free(identity);
	buf_release(&raw);
	buf_release(&sealed);
	buf_release(&expected);
	json_decref(json);
}

static void vectors(void **state)
{
	(void)state;
	check("peer_record", 1, RECORD_DOMAIN, bytes_of("\x03\x01", 2));
	check("relay_voucher", 2, VOUCHER_DOMAIN, bytes_of("\x03\x02", 2));
}

static void forged_envelopes_are_refused(void **state)
{
	struct identity *good = identity_of(1), *bad = identity_of(2);
	struct buf sealed = { 0 }, raw = { 0 };
	struct public_key signer;
	struct bytes payload, type = bytes_str("t");
	uint8_t signature[64] = { 0 };

	(void)state;
	envelope_seal(&sealed, bad, "d", type, bytes_str("p"));
	/* The last key counts: someone else's name over the same signature. */
	buf_add(&raw, buf_bytes(&sealed));
	pb_put_bytes(&raw, 1, public_key_proto(identity_public(good)));
	assert_int_equal(envelope_open(buf_bytes(&raw), "d", type, &signer, &payload),
			 -EKEYREJECTED);
	buf_clear(&raw);
	pb_put_bytes(&raw, 1, public_key_proto(identity_public(good)));
	pb_put_bytes(&raw, 2, type);
	pb_put_bytes(&raw, 3, bytes_str("p"));
	assert_int_equal(envelope_open(buf_bytes(&raw), "d", type, &signer, &payload),
			 -EKEYREJECTED); /* not signed at all */
	pb_put_bytes(&raw, 5, bytes_of(signature, sizeof(signature)));
	assert_int_equal(envelope_open(buf_bytes(&raw), "d", type, &signer, &payload),
			 -EKEYREJECTED);
	identity_free(good);
	identity_free(bad);
	buf_release(&sealed);
	buf_release(&raw);
}

/* What one peer must have signed is nobody else's, well signed or not. */
static void envelope_of_another_peer_is_refused(void **state)
{
	struct identity *good = identity_of(1), *bad = identity_of(2);
	struct peer_id good_id, bad_id;
	struct buf sealed = { 0 };
	struct bytes payload, type = bytes_str("t");

	(void)state;
	peer_id_of_identity(&good_id, good);
	peer_id_of_identity(&bad_id, bad);
	envelope_seal(&sealed, good, "d", type, bytes_str("p"));
	assert_int_equal(envelope_open_by(buf_bytes(&sealed), "d", type, &good_id, &payload), 0);
	assert_true(bytes_equal(payload, bytes_str("p")));
	assert_int_equal(envelope_open_by(buf_bytes(&sealed), "d", type, &bad_id, &payload),
			 -EKEYREJECTED);
	sealed.at[sealed.len - 1] ^= 1;
	assert_int_equal(envelope_open_by(buf_bytes(&sealed), "d", type, &good_id, &payload),
			 -EKEYREJECTED);
	identity_free(good);
	identity_free(bad);
	buf_release(&sealed);
}

/* The largest envelope opens, one byte more does not. */
static void largest_envelope_opens_and_one_byte_more_does_not(void **state)
{
	struct identity *identity = identity_of(1);
	uint8_t *big = calloc(1, ENVELOPE_MAX);
	struct buf sealed = { 0 };
	struct public_key signer;
	struct bytes payload, type = bytes_str("t");

	(void)state;
	envelope_seal(&sealed, identity, "d", type, bytes_of(big, 1000));
	size_t len = ENVELOPE_MAX - (sealed.len - 1000);
	buf_clear(&sealed);
	envelope_seal(&sealed, identity, "d", type, bytes_of(big, len));
	assert_int_equal(sealed.len, ENVELOPE_MAX);
	assert_int_equal(envelope_open(buf_bytes(&sealed), "d", type, &signer, &payload), 0);
	assert_int_equal(payload.len, len);
	buf_clear(&sealed);
	envelope_seal(&sealed, identity, "d", type, bytes_of(big, len + 1));
	assert_int_equal(envelope_open(buf_bytes(&sealed), "d", type, &signer, &payload), -EBADMSG);
	buf_clear(&sealed);
	envelope_seal(&sealed, identity, "d", type, (struct bytes){ 0 });
	assert_int_equal(envelope_open(buf_bytes(&sealed), "d", type, &signer, &payload), 0);
	assert_int_equal(payload.len, 0);
	identity_free(identity);
	buf_release(&sealed);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(forged_envelopes_are_refused),
		cmocka_unit_test(envelope_of_another_peer_is_refused),
		cmocka_unit_test(largest_envelope_opens_and_one_byte_more_does_not),
	};

	return cmocka_run_group_tests_name("net/envelope", tests, NULL, NULL);
}
