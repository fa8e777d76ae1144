#include "exchange/store/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct cid name(const char *text)
{
	struct cid cid;

	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str(text)), 0);
	return cid;
}

static void a_copy_lives_on_its_own(void **state)
{
	char text[] = "copied";
	struct cid cid = name(text);
	struct block *block = block_copy(&cid, bytes_str(text));

	(void)state;
	text[0] = 'X';
	assert_true(bytes_equal(block->data, bytes_str("copied")));
	assert_true(cid_equal(&block->cid, &cid));
	assert_ptr_equal(block_ref(block), block);
	block_unref(block);
	assert_int_equal(cid_verify(&block->cid, block->data), 0);
	block_unref(block);
	block_unref(NULL);
}

static void taking_empties_the_buffer(void **state)
{
	struct buf data = { 0 };
	struct cid cid = name("taken");

	(void)state;
	buf_add_str(&data, "taken");
	const uint8_t *at = data.at;
	struct block *block = block_take(&cid, &data);

	assert_null(data.at);
	assert_int_equal(data.len, 0);
	assert_ptr_equal(block->data.at, at);
	block_unref(block);
}

static unsigned released;

static void on_release(struct block *block)
{
	assert_string_equal(block->owner, "owner");
	released++;
}

static void a_slice_gives_its_owner_back_once(void **state)
{
	static char owner[] = "owner";
	struct cid cid = name("own");
	struct block *block = block_slice(&cid, bytes_of(owner, 3), owner, on_release);

	(void)state;
	block_ref(block);
	block_unref(block);
	assert_int_equal(released, 0);
	block_unref(block);
	assert_int_equal(released, 1);
}

static void an_identity_cid_carries_its_block(void **state)
{
	struct cid cid;

	(void)state;
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_str("inside")), 0);
	struct block *block = block_of_identity(&cid);

	assert_true(bytes_equal(block->data, bytes_str("inside")));
	block_unref(block);
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_IDENTITY, bytes_str("")), 0);
	block = block_of_identity(&cid);
	assert_int_equal(block->data.len, 0);
	block_unref(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_lives_on_its_own),
		cmocka_unit_test(taking_empties_the_buffer),
		cmocka_unit_test(a_slice_gives_its_owner_back_once),
		cmocka_unit_test(an_identity_cid_carries_its_block),
	};

	return cmocka_run_group_tests_name("exchange/block", tests, NULL, NULL);
}
