/* Name records: what boxo makes and judges, forgeries, ends of time, and which is better. */
#include "routing/record/ipns.h"

#include "tests/routing/ipns_make.h"
#include "tests/vector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NS_PER_S 1000000000ull
#define NOW_NS (1763700000ull * NS_PER_S) /* in November 2025 */

static int judge(const char *name, struct bytes record)
{
	struct buf key = { 0 };
	struct peer_id id;
	int err;

	assert_int_equal(peer_id_from_text(&id, name), 0);
	buf_add_str(&key, "/ipns/");
	buf_add(&key, peer_id_bytes(&id));
	err = ipns_rules.validate(buf_bytes(&key), record, NOW_NS);
	buf_release(&key);
	return err;
}

static int judge_made(struct ipns_make make, uint64_t now_ns)
{
	struct buf key = { 0 }, record = { 0 };
	int err;

	ipns_make(&record, 1, make);
	err = ipns_rules.validate(ipns_key(&key, 1), buf_bytes(&record), now_ns);
	buf_release(&key);
	buf_release(&record);
	return err;
}

static void check_fields(const json_t *vector, struct bytes in)
{
	struct ipns_record record;
	struct eol eol;

	if (!json_object_get(vector, "eol"))
		return;
	assert_int_equal(ipns_decode(&record, in), 0);
	assert_true(bytes_equal(record.value, bytes_str(vector_text(vector, "value"))));
	assert_int_equal(record.sequence, json_integer_value(json_object_get(vector, "sequence")));
	assert_int_equal(eol_parse(&eol, bytes_str(vector_text(vector, "eol"))), 0);
	assert_int_equal(eol_cmp(&eol, &record.eol), 0);
	if (json_object_get(vector, "ttl_ns"))
		assert_int_equal(record.ttl_ns,
				 json_integer_value(json_object_get(vector, "ttl_ns")));
}

static void boxos_records_are_judged_as_boxo_does(void **state)
{
	static const struct {
		const char *error;
		int err;
	} errors[] = { { "", 0 },
		       { "<nil>", 0 },
		       { "record is expired", -ETIMEDOUT },
		       { "field \"Value\" did not match between protobuf and CBOR", -EBADMSG } };
	json_t *json = vector_json("ipns.json"), *vector;
	size_t i, judged = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "vectors"), i, vector) {
		const char *error = vector_text(vector, "validation_error");
		const json_t *named = json_object_get(vector, "name") ? vector : json;
		struct buf record = { 0 };

		vector_hex(&record, vector, "record_hex");
		for (size_t k = 0; k < sizeof(errors) / sizeof(*errors); k++)
			if (strcmp(error, errors[k].error) == 0) {
				assert_int_equal(
					judge(vector_text(named, "name"), buf_bytes(&record)),
					errors[k].err);
				judged++;
			}
		check_fields(vector, buf_bytes(&record));
		buf_release(&record);
	}
	assert_int_equal(judged, 5);
	json_decref(json);
}

static void the_conformance_records_are_judged_right(void **state)
{
	json_t *json = vector_json("ipns/expected.json"), *vector;
	size_t i, good = 0;

	(void)state;
	json_array_foreach(json_object_get(json, "records"), i, vector) {
		const char *result = vector_text(vector, "boxo_result");
		struct buf record = { 0 };
		char name[256];
		int err;

		snprintf(name, sizeof(name), "ipns/%s", vector_text(vector, "file"));
		vector_load(&record, name);
		err = judge(vector_text(vector, "name"), buf_bytes(&record));
		if (strcmp(result, "valid") == 0) {
			assert_int_equal(err, 0);
			check_fields(vector, buf_bytes(&record));
			good++;
		} else {
			assert_int_equal(err,
					 strstr(result, "signature") ? -EKEYREJECTED : -EBADMSG);
		}
		buf_release(&record);
	}
	assert_int_equal(i, 6);
	assert_int_equal(good, 3);
	json_decref(json);
}

/* Of a record with the second signature alone every byte counts. */
static void any_changed_byte_breaks_a_record(void **state)
{
	struct buf record = { 0 }, key = { 0 };

	(void)state;
	ipns_make(&record, 1, (struct ipns_make){ .sequence = 5 });
	ipns_key(&key, 1);
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS), 0);
	for (size_t i = 0; i < record.len; i++) {
		assert_int_not_equal(
			ipns_rules.validate(buf_bytes(&key), bytes_of(record.at, i), NOW_NS), 0);
		record.at[i] ^= 1;
		assert_int_not_equal(
			ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS), 0);
		record.at[i] ^= 1;
	}
	/* Nor be added. */
	pb_put_u64(&record, 10, 1);
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS),
			 -EBADMSG);
	buf_release(&record);
	buf_release(&key);
}

static void record_of_another_key_is_refused(void **state)
{
	struct buf record = { 0 }, key = { 0 };
	const uint8_t seed[32] = { 1 }, other[32] = { 2 };
	struct identity *one = identity_from_seed(seed), *two = identity_from_seed(other);

	(void)state;
	ipns_make(&record, 1, (struct ipns_make){ 0 });
	ipns_key(&key, 2);
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS),
			 -EKEYREJECTED);
	/* That the record brings its key along makes the name not its own. */
	pb_put_bytes(&record, 7, public_key_proto(identity_public(one)));
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS),
			 -EKEYREJECTED);
	ipns_key(&key, 1);
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS), 0);
	pb_put_bytes(&record, 7, public_key_proto(identity_public(two)));
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS),
			 -EBADMSG);
	/* Whatever else a key may be is no name. */
	buf_clear(&record);
	ipns_make(&record, 1, (struct ipns_make){ 0 });
	buf_add_u8(&key, 0);
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&record), NOW_NS),
			 -EBADMSG);
	assert_int_equal(ipns_rules.validate(bytes_str("/ipns/"), buf_bytes(&record), NOW_NS),
			 -EBADMSG);
	assert_int_equal(ipns_rules.validate(bytes_str("/ipns"), buf_bytes(&record), NOW_NS),
			 -EBADMSG);
	identity_free(one);
	identity_free(two);
	buf_release(&record);
	buf_release(&key);
}

static void fields_around_the_document_must_agree_with_it(void **state)
{
	struct ipns_make make = { .first = true, .ttl = 60 };
	struct buf envelope = { 0 }, key = { 0 }, document = { 0 };
	const uint8_t seed[32] = { 1 };
	struct identity *identity = identity_from_seed(seed);

	(void)state;
	assert_int_equal(judge_made(make, NOW_NS), 0);
	make = (struct ipns_make){
		.value = IPNS_MAKE_VALUE, .eol = IPNS_MAKE_EOL, .sequence = 3, .ttl = 60
	};
	ipns_make_document(&document, &make);
	ipns_key(&key, 1);
	/* Each in turn differs, in a record that tells nothing else twice. */
	for (unsigned field = 3; field <= 6; field++) {
		buf_clear(&envelope);
		if (field == 4)
			pb_put_str(&envelope, 4, "2100-01-01T00:00:00.0Z");
		else
			pb_put_u64(&envelope, field, 4);
		ipns_sign(&envelope, identity, buf_bytes(&document));
		assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&envelope), NOW_NS),
				 -EBADMSG);
	}
	/* With the first signature all are told: a sequence left out would be 0. */
	buf_clear(&envelope);
	pb_put_str(&envelope, 1, IPNS_MAKE_VALUE);
	pb_put_str(&envelope, 2, "old signature");
	pb_put_str(&envelope, 4, IPNS_MAKE_EOL);
	pb_put_u64(&envelope, 6, 60);
	ipns_sign(&envelope, identity, buf_bytes(&document));
	assert_int_equal(ipns_rules.validate(buf_bytes(&key), buf_bytes(&envelope), NOW_NS),
			 -EBADMSG);
	identity_free(identity);
	buf_release(&envelope);
	buf_release(&document);
	buf_release(&key);
}

static void document_without_a_field_is_refused(void **state)
{
	struct ipns_make make = { .ttl = 1 };

	(void)state;
	for (make.without = 1; make.without <= 5; make.without++)
		assert_int_equal(judge_made(make, NOW_NS), -EBADMSG);
	assert_int_equal(judge_made((struct ipns_make){ .type = 1 }, NOW_NS), -EBADMSG);
	assert_int_equal(judge_made((struct ipns_make){ .eol = "" }, NOW_NS), -EBADMSG);
	assert_int_equal(judge_made((struct ipns_make){ .eol = "tomorrow" }, NOW_NS), -EBADMSG);
	assert_int_equal(judge_made((struct ipns_make){ .value = "" }, NOW_NS), 0);
}

static void record_over_the_size_limit_is_refused(void **state)
{
	struct ipns_make make = { .padding = 1000 };
	struct buf record = { 0 };
	size_t around;

	(void)state;
	ipns_make(&record, 1, make);
	around = record.len - make.padding;
	make.padding = IPNS_RECORD_MAX - around;
	assert_int_equal(judge_made(make, NOW_NS), 0);
	make.padding++;
	assert_int_equal(judge_made(make, NOW_NS), -EMSGSIZE);
	buf_release(&record);
}

/* Advisory row 27: no end of life or time to live turns around. */
static void time_saturates(void **state)
{
	const uint64_t end_ns = 4102444800ull * NS_PER_S; /* IPNS_MAKE_EOL */
	struct ipns_make far = { .eol = "9999-12-31T23:59:59.999999999Z" };

	(void)state;
	assert_int_equal(judge_made((struct ipns_make){ 0 }, end_ns), 0);
	assert_int_equal(judge_made((struct ipns_make){ 0 }, end_ns + 1), -ETIMEDOUT);
	assert_int_equal(judge_made(far, NOW_NS), 0);
	assert_int_equal(judge_made(far, UINT64_MAX), 0);
	far.eol = "0000-01-01T00:00:00Z";
	assert_int_equal(judge_made(far, 1), -ETIMEDOUT);
	far.eol = "1969-12-31T23:59:59Z";
	assert_int_equal(judge_made(far, 1), -ETIMEDOUT);
	assert_int_equal(judge_made((struct ipns_make){ .ttl = INT64_MAX }, NOW_NS), 0);
	assert_int_equal(judge_made((struct ipns_make){ .ttl = 1ull << 63 }, NOW_NS), -EBADMSG);
	assert_int_equal(judge_made((struct ipns_make){ .ttl_negative = true }, NOW_NS), -EBADMSG);
	assert_int_equal(judge_made((struct ipns_make){ .sequence = INT64_MAX }, NOW_NS), 0);
	assert_int_equal(judge_made((struct ipns_make){ .sequence = UINT64_MAX }, NOW_NS),
			 -EBADMSG);
}

static void value_is_told_unless_it_has_control_characters(void **state)
{
	static const struct {
		const char *value;
		int err;
	} cases[] = { { "/ipfs/x", 0 },
		      { "/ipns/a b", 0 },
		      { "/ipfs/\x1b[2J", -EBADMSG },
		      { "/ipfs/\n", -EBADMSG } };
	struct bytes value;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf record = { 0 };

		ipns_make(&record, 1, (struct ipns_make){ .value = cases[i].value });
		assert_int_equal(routing_name_value(buf_bytes(&record), &value), cases[i].err);
		if (!cases[i].err)
			assert_true(bytes_equal(value, bytes_str(cases[i].value)));
		buf_release(&record);
	}
	assert_int_equal(routing_name_value(bytes_str("rubbish"), &value), -EBADMSG);
}

static void higher_sequence_then_later_end_is_better(void **state)
{
	static const struct ipns_make worse_to_better[] = {
		{ .sequence = 1, .eol = "9999-01-01T00:00:00Z" },
		{ .sequence = 2, .eol = "2100-01-01T00:00:00Z" },
		{ .sequence = 2, .eol = "2100-01-01T00:00:00.000000001Z" },
		{ .sequence = 2, .eol = "3000-01-01T00:00:00Z" },
		{ .sequence = 2, .eol = "9999-01-01T00:00:00Z" },
		{ .sequence = 300, .eol = "2030-01-01T00:00:00Z" },
	};
	enum { COUNT = sizeof(worse_to_better) / sizeof(*worse_to_better) };
	struct buf records[COUNT] = { 0 };
	int order;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		ipns_make(&records[i], 1, worse_to_better[i]);
	for (int i = 0; i < COUNT; i++)
		for (int k = 0; k < COUNT; k++) {
			order = ipns_rules.compare(buf_bytes(&records[i]), buf_bytes(&records[k]));
			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
		}
	/* As new and as lasting: by their bytes. */
	buf_clear(&records[0]);
	ipns_make(&records[0], 1,
		  (struct ipns_make){ .sequence = 300, .eol = "2030-01-01T00:00:00Z", .ttl = 1 });
	order = bytes_cmp(buf_bytes(&records[0]), buf_bytes(&records[COUNT - 1]));
	assert_int_not_equal(order, 0);
	assert_int_equal(order > 0, ipns_rules.compare(buf_bytes(&records[0]),
						       buf_bytes(&records[COUNT - 1])) > 0);
	for (int i = 0; i < COUNT; i++)
		buf_release(&records[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boxos_records_are_judged_as_boxo_does),
		cmocka_unit_test(the_conformance_records_are_judged_right),
		cmocka_unit_test(any_changed_byte_breaks_a_record),
		cmocka_unit_test(record_of_another_key_is_refused),
		cmocka_unit_test(fields_around_the_document_must_agree_with_it),
		cmocka_unit_test(document_without_a_field_is_refused),
		cmocka_unit_test(record_over_the_size_limit_is_refused),
		cmocka_unit_test(time_saturates),
		cmocka_unit_test(value_is_told_unless_it_has_control_characters),
		cmocka_unit_test(higher_sequence_then_later_end_is_better),
	};

	return cmocka_run_group_tests_name("routing/ipns", tests, NULL, NULL);
}
