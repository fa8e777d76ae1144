/* net/security/tls: the specification's certificates; channels of both roles, cut anywhere; who is
 * refused. */
#include "net/base/alloc.h"
#include "net/base/wait.h"
#include "net/security/secured.h"
#include "net/security/tls/cert.h"
#include "tests/net/swarm_lab.h"
#include "tests/vector.h"

#include <errno.h>

#define NOW_S 1800000000

static const char *const yamux[] = { "/yamux/1.0.0" };
static const struct peer_id anyone;

static struct identity *seeded(uint8_t byte)
{
	uint8_t seed[32];

	memset(seed, byte, sizeof seed);
	return identity_from_seed(seed);
}

/* ---- certificates ---- */

static void certificates_of_the_specification_are_judged_right(void **state)
{
	json_t *json = vector_json("tls-certs.json"), *vector;
	size_t i, count = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "vectors"), i, vector) {
		bool valid = json_is_true(json_object_get(vector, "valid"));
		struct public_key key;
		struct buf der = { 0 };
		int err;

		vector_hex(&der, vector, "cert_der_hex");
		err = cert_verify(buf_bytes(&der), NOW_S, &key);
		if (valid) {
			struct peer_id id;
			char text[PEER_ID_TEXT_MAX];

			assert_int_equal(err, 0);
			peer_id_of_key(&id, &key);
			assert_string_equal(peer_id_text(&id, text),
					    vector_text(vector, "peer_id"));
		} else {
			assert_true(err < 0);
		}
		buf_release(&der);
		count++;
	}
	assert_int_equal(count, 4);
	json_decref(json);
}

static void own_certificate_is_valid_for_its_time_only(void **state)
{
	struct identity *identity = seeded(3);
	struct public_key key;
	struct cert cert;

	(void)state;
	assert_int_equal(cert_make(&cert, identity, NOW_S), 0);
	assert_int_equal(cert_verify(buf_bytes(&cert.der), NOW_S, &key), 0);
	assert_bytes_equal(public_key_proto(&key), public_key_proto(identity_public(identity)));
	assert_int_equal(cert_verify(buf_bytes(&cert.der), NOW_S - 3601, &key), -EKEYREJECTED);
	assert_int_equal(cert_verify(buf_bytes(&cert.der), NOW_S + 36500LL * 86400, &key),
			 -EKEYREJECTED);
	cert_release(&cert);
	identity_free(identity);
}

static void changed_or_cut_certificate_is_refused(void **state)
{
	struct identity *identity = seeded(3);
	struct public_key key;
	struct cert cert;

	(void)state;
	assert_int_equal(cert_make(&cert, identity, NOW_S), 0);
	for (size_t at = 0; at < cert.der.len; at++) {
		cert.der.at[at] ^= 1;
		assert_true(cert_verify(buf_bytes(&cert.der), NOW_S, &key) < 0);
		cert.der.at[at] ^= 1;
		assert_true(cert_verify(bytes_of(cert.der.at, at), NOW_S, &key) < 0);
	}
	buf_add_str(&cert.der, "x");
	assert_int_equal(cert_verify(buf_bytes(&cert.der), NOW_S, &key), -EBADMSG);
	cert_release(&cert);
	identity_free(identity);
}

/* ---- channels ---- */

/* Side 0 dials. */
struct pair {
	struct identity *id[2];
	struct security *security[2];
	struct secure *secure[2];
	struct buf wire[2]; /* from side i */
	int rc[2];
};

static void pair_init(struct pair *pair, const struct peer_id *expected, size_t dialler_muxers,
		      size_t listener_muxers)
{
	*pair = (struct pair){ 0 };
	for (int i = 0; i < 2; i++) {
		pair->id[i] = seeded((uint8_t)(i + 1));
		pair->security[i] = security_tls_new(pair->id[i]);
		assert_non_null(pair->security[i]);
		pair->secure[i] = pair->security[i]->ops->start(
			pair->security[i], i == 0, i == 0 ? expected : &anyone, yamux,
			i == 0 ? dialler_muxers : listener_muxers);
	}
}

static void pair_release(struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		secure_free(pair->secure[i]);
		security_free(pair->security[i]);
		identity_free(pair->id[i]);
		buf_release(&pair->wire[i]);
	}
}

/* Lets side i take what has come from the other, at most max bytes. */
static void pair_step(struct pair *pair, int i, size_t max)
{
	struct buf *from = &pair->wire[!i];
	struct bytes in = buf_bytes(from);
	size_t used;

	if (pair->rc[i] != 0)
		return;
	if (in.len > max)
		in.len = max;
	pair->rc[i] = pair->secure[i]->ops->handshake(pair->secure[i], in, &used, &pair->wire[i]);
	buf_consume(from, used);
}

static void pair_handshake(struct pair *pair, size_t piece)
{
	for (int round = 0; round < 20000 && (pair->rc[0] == 0 || pair->rc[1] == 0); round++) {
		pair_step(pair, 0, piece);
		pair_step(pair, 1, piece);
		if (pair->rc[0] < 0 || pair->rc[1] < 0)
			return;
	}
}

static int keep(void *ctx, struct bytes plain)
{
	buf_add(ctx, plain);
	return 0;
}

/* From one side to the other, cut into pieces on the way. */
static void pair_send(struct pair *pair, int from, struct bytes text, size_t piece)
{
	struct bytes parts[3] = { { text.at, text.len / 3 }, { NULL, 0 } };
	struct secured secured = { .secure = pair->secure[!from] };
	struct buf got = { 0 };

	parts[1] = bytes_of(text.at + parts[0].len, 1);
	parts[2] = bytes_skip(text, parts[0].len + 1);
	assert_int_equal(
		pair->secure[from]->ops->seal(pair->secure[from], parts, 3, &pair->wire[from]), 0);
	while (pair->wire[from].len > 0) {
		size_t n = pair->wire[from].len < piece ? pair->wire[from].len : piece;

		assert_int_equal(secured_open(&secured, pair->wire[from].at, n, keep, &got), 0);
		buf_consume(&pair->wire[from], n);
	}
	assert_bytes_equal(buf_bytes(&got), text);
	buf_release(&got);
	buf_release(&secured.raw);
}

static void text_arrives_however_the_bytes_are_cut(void **state)
{
	static const size_t pieces[] = { 1, 7, 1000, SIZE_MAX };
	static const size_t lens[] = { 3, 16383, 16384, 16385, 100000 };
	uint8_t *text = xcalloc(100000, 1);

	(void)state;
	for (size_t i = 0; i < 100000; i++)
		text[i] = (uint8_t)(i * 31 >> 3);
	for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
		struct pair pair;
		struct peer_id listener;

		pair_init(&pair, &anyone, 1, 1);
		pair_handshake(&pair, pieces[p]);
		assert_int_equal(pair.rc[0], 1);
		assert_int_equal(pair.rc[1], 1);
		peer_id_of_identity(&listener, pair.id[1]);
		assert_true(peer_id_equal(pair.secure[0]->ops->peer(pair.secure[0]), &listener));
		assert_string_equal(pair.secure[0]->ops->muxer(pair.secure[0]), yamux[0]);
		assert_string_equal(pair.secure[1]->ops->muxer(pair.secure[1]), yamux[0]);
		for (size_t l = 0; l < ARRAY_LEN(lens); l++) {
			pair_send(&pair, 0, bytes_of(text, lens[l]), pieces[p]);
			pair_send(&pair, 1, bytes_of(text, lens[l]), pieces[p]);
		}
		pair_release(&pair);
	}
	free(text);
}

static void muxer_is_left_to_multistream_if_one_side_names_none(void **state)
{
	(void)state;
	for (size_t which = 0; which < 2; which++) {
		struct pair pair;

		pair_init(&pair, &anyone, which, !which);
		pair_handshake(&pair, SIZE_MAX);
		assert_int_equal(pair.rc[0], 1);
		assert_int_equal(pair.rc[1], 1);
		assert_null(pair.secure[0]->ops->muxer(pair.secure[0]));
		assert_null(pair.secure[1]->ops->muxer(pair.secure[1]));
		pair_release(&pair);
	}
}

static void dialler_refuses_another_identity(void **state)
{
	struct identity *other = seeded(9);
	struct peer_id expected;
	struct pair pair;

	(void)state;
	peer_id_of_identity(&expected, other);
	pair_init(&pair, &expected, 1, 1);
	pair_handshake(&pair, SIZE_MAX);
	assert_int_equal(pair.rc[0], -EKEYREJECTED);
	assert_int_equal(pair.rc[1], -EBADMSG); /* the dialler's alert came */
	pair_release(&pair);
	identity_free(other);
}

static void flipped_bit_kills_the_channel(void **state)
{
	struct bytes text = bytes_str("hello");
	struct bytes plain;
	struct pair pair;
	size_t len;

	(void)state;
	pair_init(&pair, &anyone, 1, 1);
	pair_handshake(&pair, SIZE_MAX);
	assert_int_equal(pair.secure[0]->ops->seal(pair.secure[0], &text, 1, &pair.wire[0]), 0);
	len = pair.wire[0].len;
	pair.wire[0].at[len - 1] ^= 1;
	assert_int_equal(pair.secure[1]->ops->open(pair.secure[1], pair.wire[0].at, len, &plain),
			 -EBADMSG);
	pair.wire[0].at[len - 1] ^= 1;
	assert_int_equal(pair.secure[1]->ops->open(pair.secure[1], pair.wire[0].at, len, &plain),
			 -EBADMSG);
	assert_int_equal(pair.secure[1]->ops->seal(pair.secure[1], &text, 1, &pair.wire[1]),
			 -EBADMSG);
	pair_release(&pair);
}

static void record_longer_than_allowed_is_refused_by_its_header(void **state)
{
	uint8_t head[5] = { 0x17, 3, 3, 0xff, 0xff };
	struct bytes plain;
	struct pair pair;

	(void)state;
	pair_init(&pair, &anyone, 1, 1);
	pair_handshake(&pair, SIZE_MAX);
	assert_int_equal(pair.secure[1]->ops->open(pair.secure[1], head, sizeof head, &plain),
			 -EBADMSG);
	pair_release(&pair);
}

static void garbage_is_no_handshake(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair, &anyone, 1, 1);
	buf_add_str(&pair.wire[0], "GET / HTTP/1.1\r\n\r\n");
	pair_step(&pair, 1, SIZE_MAX);
	assert_int_equal(pair.rc[1], -EBADMSG);
	pair_release(&pair);
}

/* ---- swarms ---- */

static struct swarm *swarm_with(struct lab *lab, uint8_t number, struct security **list,
				size_t count)
{
	struct swarm_config config = { .securities = list, .security_count = count };

	return lab_swarm(lab, number, &config, NULL);
}

static struct security *tls_of(uint8_t number)
{
	uint8_t seed[32] = { number };
	struct identity *identity = identity_from_seed(seed);
	struct security *security = security_tls_new(identity);

	identity_free(identity); /* it has signed the certificate: no longer needed */
	assert_non_null(security);
	return security;
}

static void on_pong(void *ctx, int err, uint64_t rtt_us)
{
	(void)rtt_us;
	lab_on_done(ctx, err);
}

static void swarms_with_tls_alone_reach_each_other(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = swarm_with(lab, 1, (struct security *[]){ tls_of(1) }, 1);
	struct swarm *b = swarm_with(lab, 2, (struct security *[]){ tls_of(2) }, 1);
	struct lab_outcome ping = { 0 };

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	swarm_ping(a, swarm_self(b), lab_deadline(lab, 5000), on_pong, &ping);
	lab_until(lab, &ping.done);
	assert_int_equal(ping.err, 0);
	lab_free(lab);
}

static void swarms_without_a_common_security_do_not_connect(void **state)
{
	struct lab *lab = lab_new();
	uint8_t seed[32] = { 2 };
	struct identity *identity = identity_from_seed(seed);
	struct security *noise = security_noise_new(identity, &lab->random);
	struct swarm *a = swarm_with(lab, 1, (struct security *[]){ tls_of(1) }, 1);
	struct swarm *b = swarm_with(lab, 2, &noise, 1);

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), -EPROTONOSUPPORT);
	lab_free(lab);
	identity_free(identity);
}

static void second_security_is_taken_if_the_first_is_refused(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL);
	struct swarm *b = swarm_with(lab, 2, (struct security *[]){ tls_of(2) }, 1);

	(void)state;
	assert_int_equal(lab_connect(lab, a, b), 0);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_of_the_specification_are_judged_right),
		cmocka_unit_test(own_certificate_is_valid_for_its_time_only),
		cmocka_unit_test(changed_or_cut_certificate_is_refused),
		cmocka_unit_test(text_arrives_however_the_bytes_are_cut),
		cmocka_unit_test(muxer_is_left_to_multistream_if_one_side_names_none),
		cmocka_unit_test(dialler_refuses_another_identity),
		cmocka_unit_test(flipped_bit_kills_the_channel),
		cmocka_unit_test(record_longer_than_allowed_is_refused_by_its_header),
		cmocka_unit_test(garbage_is_no_handshake),
		cmocka_unit_test(swarms_with_tls_alone_reach_each_other),
		cmocka_unit_test(swarms_without_a_common_security_do_not_connect),
		cmocka_unit_test(second_security_is_taken_if_the_first_is_refused),
	};

	return cmocka_run_group_tests_name("net/security/tls", tests, NULL, NULL);
}
