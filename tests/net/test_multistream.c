/* net/session/multistream.c: vectors, every cut, refusals, limits. */
#include "net/session/multistream.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/varint.h"
#include "tests/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER "\x13/multistream/1.0.0\n"

static const char *const security[] = { "/tls/1.0.0", "/noise" };
static const char *const noise_only[] = { "/noise" };

static const char *speaks_noise(void *ctx, struct bytes name)
{
	unsigned *asked = ctx;

	if (asked)
		++*asked;
	return bytes_equal(name, bytes_str(noise_only[0])) ? noise_only[0] : NULL;
}

static void vector_at(struct buf *out, size_t index)
{
	json_t *json = vector_json("multistream.json");

	vector_hex(out, json_array_get(json_object_get(json, "vectors"), index), "hex");
	json_decref(json);
}

static void wire_is(struct buf *got, size_t vector)
{
	struct buf want = { 0 };

	vector_at(&want, vector);
	assert_bytes_equal(buf_bytes(got), buf_bytes(&want));
	buf_release(&want);
	buf_clear(got);
}

static int feed(struct multistream *ms, const char *in, size_t len, struct buf *out)
{
	size_t used;

	return multistream_recv(ms, bytes_of(in, len), &used, out);
}

/* Kubo's order: /tls first, na, then /noise. */
static void vectors(void **state)
{
	struct multistream *dialer = multistream_dialer(security, 2);
	struct multistream *listener = multistream_listener(speaks_noise, NULL);
	struct buf a = { 0 }, b = { 0 };
	size_t used;

	(void)state;
	multistream_start(dialer, &a);
	multistream_start(listener, &b);
	assert_int_equal(multistream_recv(listener, buf_bytes(&a), &used, &b), 0);
	wire_is(&a, 2);
	assert_int_equal(multistream_recv(dialer, buf_bytes(&b), &used, &a), 0);
	wire_is(&b, 3);
	assert_int_equal(multistream_recv(listener, buf_bytes(&a), &used, &b), 1);
	wire_is(&a, 4);
	assert_int_equal(multistream_recv(dialer, buf_bytes(&b), &used, &a), 1);
	wire_is(&b, 5);
	assert_string_equal(multistream_protocol(dialer), "/noise");
	assert_ptr_equal(multistream_protocol(listener), noise_only[0]);
	multistream_free(dialer);
	multistream_free(listener);
	buf_release(&a);
	buf_release(&b);
}

static void invalid_vectors(void **state)
{
	(void)state;
	for (size_t i = 10; i < 14; i++) {
		struct multistream *listener = multistream_listener(speaks_noise, NULL);
		struct buf in = { 0 }, out = { 0 };
		size_t used;

		buf_add_str(&in, HEADER);
		vector_at(&in, i);
		assert_int_equal(multistream_recv(listener, buf_bytes(&in), &used, &out), -EBADMSG);
		multistream_free(listener);
		buf_release(&in);
		buf_release(&out);
	}
}

static const char *any(void *ctx, struct bytes name)
{
	(void)name;
	return ctx;
}

/* Header, proposal and payload in one piece or in two: the payload is left alone. */
static void lazy_every_cut(void **state)
{
	static char ping[] = "/ipfs/ping/1.0.0";
	struct buf in = { 0 };

	(void)state;
	vector_at(&in, 7);
	for (size_t cut = 0; cut <= in.len; cut++) {
		struct multistream *listener = multistream_listener(any, ping);
		struct buf out = { 0 };
		size_t used, more = 0;
		int done = multistream_recv(listener, bytes_of(in.at, cut), &used, &out);

		if (!done) {
			assert_int_equal(used, cut);
			done = multistream_recv(listener, bytes_skip(buf_bytes(&in), cut), &more,
						&out);
		}
		assert_int_equal(done, 1);
		assert_int_equal(in.len - used - more, 32);
		assert_true(bytes_equal(buf_bytes(&out), bytes_str("\x11/ipfs/ping/1.0.0\n")));
		multistream_free(listener);
		buf_release(&out);
	}
	buf_release(&in);
}

static void dialer_refusals(void **state)
{
	static const struct {
		const char *in;
		int err;
	} rows[] = {
		{ HEADER "\x03na\n", -EPROTONOSUPPORT }, { HEADER "\x07/noisy\n", -EPROTO },
		{ HEADER "\x08/noise2\n", -EPROTO },	 { HEADER "\x06/nois\n", -EPROTO },
		{ "\x13/multistream/1.0.1\n", -EPROTO }, { "\x07/noise\n", -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct multistream *dialer = multistream_dialer(noise_only, 1);
		struct buf out = { 0 };

		multistream_start(dialer, &out);
		assert_int_equal(feed(dialer, rows[i].in, strlen(rows[i].in), &out), rows[i].err);
		multistream_free(dialer);
		buf_release(&out);
	}
}

static void proposals_max(void **state)
{
	struct multistream *listener;
	struct buf out = { 0 };
	unsigned asked = 0;

	(void)state;
	for (int good = 0; good < 2; good++) {
		listener = multistream_listener(speaks_noise, &asked);
		assert_int_equal(feed(listener, HEADER, 20, &out), 0);
		for (int i = 0; i < MULTISTREAM_PROPOSALS_MAX - good; i++)
			assert_int_equal(feed(listener, "\x03/x\n", 4, &out), 0);
		assert_int_equal(feed(listener, "\x07/noise\n", 8, &out),
				 good ? 1 : -EPROTONOSUPPORT);
		multistream_free(listener);
	}
	assert_int_equal(asked, 2 * MULTISTREAM_PROPOSALS_MAX);
	buf_release(&out);
}

static void line_max(void **state)
{
	char name[MULTISTREAM_LINE_MAX + 1];

	(void)state;
	memset(name, 'x', sizeof name);
	for (size_t over = 0; over < 2; over++) {
		struct multistream *listener = multistream_listener(speaks_noise, NULL);
		struct buf in = { 0 }, out = { 0 };
		size_t used;

		buf_add_str(&in, HEADER);
		buf_add_uvarint(&in, MULTISTREAM_LINE_MAX + over);
		buf_add(&in, bytes_of(name, MULTISTREAM_LINE_MAX - 1 + over));
		buf_add_u8(&in, '\n');
		assert_int_equal(multistream_recv(listener, buf_bytes(&in), &used, &out),
				 over ? -EBADMSG : 0);
		multistream_free(listener);
		buf_release(&in);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),	  cmocka_unit_test(invalid_vectors),
		cmocka_unit_test(lazy_every_cut), cmocka_unit_test(dialer_refusals),
		cmocka_unit_test(proposals_max),  cmocka_unit_test(line_max),
	};

	return cmocka_run_group_tests_name("net/multistream", tests, NULL, NULL);
}
