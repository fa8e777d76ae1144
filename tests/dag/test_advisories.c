/* Small blocks that promise much, as the advisories of this field describe them (tests/README.md,
 * rows 5 and 8): refused, with a quarter of a gigabyte as all the memory there is. */
#include "dag/car.h"
#include "dag/hamt.h"
#include "tests/dag/ipld_check.h"

#include <sys/resource.h>

#define MEMORY_MB 256

/* Where there is ASan, address space is its own business: one allocation is limited instead. */
#ifdef __SANITIZE_ADDRESS__
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "max_allocation_size_mb=256";
}
#endif

static int limit_memory(void **state)
{
	(void)state;
#ifndef __SANITIZE_ADDRESS__
	struct rlimit limit = { (rlim_t)MEMORY_MB << 20, (rlim_t)MEMORY_MB << 20 };

	return setrlimit(RLIMIT_AS, &limit);
#else
	return 0;
#endif
}

/* ---- row 8 ---- */

/* head repeated so often; no decoder may take it for something. */
static void refuse_all(const char *head, size_t times)
{
	struct buf one = { 0 }, in = { 0 };
	struct ipld tree = { 0 };

	hex_decode(&one, head);
	for (size_t i = 0; i < times; i++)
		buf_add(&in, buf_bytes(&one));
	assert_int_equal(cbor_decode(&tree, buf_bytes(&in), 0), -EBADMSG);
	assert_int_equal(cbor_decode(&tree, buf_bytes(&in), CBOR_STRICT), -EBADMSG);
	ipld_release(&tree);
	buf_release(&one);
	buf_release(&in);
}

static void claimed_lengths_cost_nothing(void **state)
{
	static const char *const heads[] = {
		"9bffffffffffffffff", "9b7fffffffffffffff",	  "9b0000000100000000",
		"9affffffff",							/* arrays */
		"bbffffffffffffffff", "bb0000000100000000",	  "baffffffff", /* maps */
		"5bffffffffffffffff", "5b0000000100000000",	  "5affffffff", /* bytes */
		"7bffffffffffffffff", "7b0000000100000000",	  "7affffffff", /* text */
		"9bffffffffffffff00", "816161bbffffffffffffffff",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		refuse_all(heads[i], 1);
		refuse_all(heads[i], 1000);
	}
}

static void nesting_costs_no_stack(void **state)
{
	static const char *const opens[] = { "[", "{\"a\":" };

	(void)state;
	refuse_all("81", 1000000);
	refuse_all("a16161", 1000000);
	refuse_all("9b0000000000000001", 400000);
	refuse_all("d82a", 1000000);
	for (size_t i = 0; i < ARRAY_LEN(opens); i++) {
		struct buf in = { 0 };
		struct ipld tree = { 0 };

		for (unsigned n = 0; n < 1000000; n++)
			buf_add_str(&in, opens[i]);
		assert_int_equal(dagjson_decode(&tree, buf_bytes(&in), 0), -EBADMSG);
		ipld_release(&tree);
		buf_release(&in);
	}
}

static int on_header(void *ctx, unsigned version, const struct cid *roots, size_t count)
{
	(void)ctx;
	(void)version;
	(void)roots;
	assert_int_equal(count, 0);
	return 0;
}

static int on_block(void *ctx, struct block *block, uint64_t offset)
{
	(void)ctx;
	(void)block;
	fail_msg("a block at %lu", (unsigned long)offset);
	return 0;
}

/* The header of a CAR is CBOR too, and its sections have lengths. */
static void lengths_claimed_by_archives_cost_nothing(void **state)
{
	static const char *const files[] = {
		"ffffffffffffffff7f",					  /* header */
		"12a265726f6f74739bffffffffffffffff6776657273696f6e01",	  /* roots */
		"11a265726f6f7473806776657273696f6e01ffffffffffffffff7f", /* a section */
		"80808080808080808001",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		static const struct car_events events = { on_header, on_block };
		struct car_reader *reader = car_reader_new(&events, NULL);
		struct buf in = { 0 };

		hex_decode(&in, files[i]);
		int err = car_feed(reader, buf_bytes(&in));

		assert_true(err < 0 || car_end(reader) < 0);
		car_reader_free(reader);
		buf_release(&in);
	}
}

/* ---- row 5 ---- */

static void no_other_fanouts(void **state)
{
	static const uint64_t bad[] = { 0,
					1,
					2,
					4,
					7,
					12,
					24,
					255,
					257,
					1023,
					1025,
					2048,
					1ull << 16,
					1ull << 31,
					(1ull << 31) + 8,
					1ull << 32,
					(1ull << 32) + 256,
					1ull << 63,
					UINT64_MAX,
					UINT64_MAX - 7 };
	struct hamt_shape shape;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct unixfs unixfs = { .type = UNIXFS_HAMT_SHARD,
					 .hash_type = 0x22,
					 .fanout = bad[i] };
		struct buf block = { 0 }, data = { 0 };
		struct hamt_shard shard;

		assert_int_equal(hamt_shape(&shape, bad[i]), -EBADMSG);
		unixfs_encode(&data, &unixfs);
		dagpb_put_data(&block, buf_bytes(&data));
		assert_int_equal(hamt_shard_decode(&shard, buf_bytes(&block)), -EBADMSG);
		hamt_shard_release(&shard);
		buf_release(&data);
		buf_release(&block);
	}
	for (uint64_t fanout = 8; fanout <= HAMT_FANOUT_MAX; fanout *= 2) {
		assert_int_equal(hamt_shape(&shape, fanout), 0);
		assert_true(shape.levels <= 64 / shape.bits);
	}
	assert_int_equal(hamt_shape(&shape, 256), 0);
	assert_int_equal(shape.levels, 8);
}

/* One byte more than the fanout has bits; and as many bits as bytes allow, without a link. */
static void bitmaps_are_as_wide_as_the_fanout(void **state)
{
	(void)state;
	for (uint64_t fanout = 8; fanout <= HAMT_FANOUT_MAX; fanout *= 2) {
		struct hamt_shape shape;
		struct hamt_bitmap map;
		uint8_t bytes[HAMT_FANOUT_MAX / 8 + 1];

		memset(bytes, 0xff, sizeof(bytes));
		assert_int_equal(hamt_shape(&shape, fanout), 0);
		assert_int_equal(hamt_bitmap_decode(&map, &shape, bytes_of(bytes, fanout / 8)), 0);
		assert_int_equal(hamt_bitmap_count(&map), fanout);
		assert_int_equal(hamt_bitmap_decode(&map, &shape, bytes_of(bytes, fanout / 8 + 1)),
				 -EBADMSG);

		struct unixfs unixfs = { .type = UNIXFS_HAMT_SHARD,
					 .has_data = true,
					 .data = bytes_of(bytes, fanout / 8),
					 .hash_type = 0x22,
					 .fanout = fanout };
		struct buf block = { 0 }, data = { 0 };
		struct hamt_shard shard;

		unixfs_encode(&data, &unixfs);
		dagpb_put_data(&block, buf_bytes(&data));
		assert_int_equal(hamt_shard_decode(&shard, buf_bytes(&block)), -EBADMSG);
		hamt_shard_release(&shard);
		buf_release(&data);
		buf_release(&block);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claimed_lengths_cost_nothing),
		cmocka_unit_test(nesting_costs_no_stack),
		cmocka_unit_test(lengths_claimed_by_archives_cost_nothing),
		cmocka_unit_test(no_other_fanouts),
		cmocka_unit_test(bitmaps_are_as_wide_as_the_fanout),
	};

	return cmocka_run_group_tests_name("dag/advisories", tests, limit_memory, NULL);
}
