/* Options of importing against what Kubo 0.40.1 says of the same tree: `ipfs add -rQ OPTIONS t`. */
#include "tests/dag/import_room.h"

#define DIGITS_99                                                                                  \
	"0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" \
	"00000000000"

static void put_tree(const struct room *room)
{
	room_put_dir(room, "t");
	room_put_dir(room, "t/sub");
	room_put_dir(room, "t/empty");
	room_put_file(room, "t/small", bytes_str("hello\n"));
	room_put_file(room, "t/hundred", bytes_str(DIGITS_99 "7"));
	room_put_file(room, "t/over", bytes_str("00000000000000000000000000000" DIGITS_99 "7"));
	room_put_file(room, "t/none", bytes_str(""));
	room_put_file(room, "t/sub/x", bytes_str("x"));
	room_put_link(room, "t/link", "small");
}

static void check(struct room *room, const char *expected)
{
	char text[CID_TEXT_MAX];
	uint64_t size;

	assert_int_equal(room_import(room, "/t", text, &size, NULL), 0);
	assert_string_equal(text, expected);
}

static void hashes_and_inlining_are_kubos(void **state)
{
	static const struct {
		uint64_t hash;
		const char *plain, *inlined_32, *inlined_128;
	} cases[] = {
		{ 0, "QmQ6dG9bTJWRfVeRvJpPqr9YGMCVtT734ovvUHUyPCpJrv",
		  "QmX7dt3bgaaGoZ4nRyi6NCmYBnCBiW6QwBY86PzsELYeLH",
		  "QmcwPKZNxqPGPuSQTf9cnfkxaK4mB4mdp6ZFJ6k7zzcKLB" },
		{ HASH_SHA2_256, "bafybeiffffvgr522wb4jftadboqdsglwq4647wvam2yu5sr2qg34c7sugm",
		  "bafybeihzkpeqmf3zmpaivbazw25zbp4zembiguogrtc46fssy7tvjskefm",
		  "bafybeihlflx7j3xhwqepqxydwncefnbklnc3f4dm5wi2zxgbvj3x72xwjy" },
		{ HASH_BLAKE3, "bafyb4iguyhp5td2dnhpp7chs2lc7n3sfgng6wodi3nnqj7rjznfk7ho4sq",
		  "bafyb4ias2iobej7pjnenjajt6hk6ezadefkiudeukrcowdnjhqj333w5te",
		  "bafyb4ih2jffd4gedvxuiaecbgcjgobfmix4chseapzp7slhhabkafv5rnq" },
		{ HASH_BLAKE2B_256,
		  "bafykbzacea75qqn5ocl5ilrlnypjwesilxx5qtvbegpcu3q43ha5ohttafpd4",
		  "bafykbzaceakwqtsjt6d7bmxkj5ffzzbgxulhhrjxujlvr5ddnankbq32lccps",
		  "bafykbzacebvhahx3geuxodhxgkabd5micuz4sbo7buuuc4w7vadvfxuene7eg" },
		{ HASH_SHA2_512,
		  "bafybgqdhgxylfmcj5nyyugiunvexrxa6mnugtkawhof6hltcytu74fsdpziwuyfgaryfm6sx357pzju"
		  "x"
		  "ykl4wu2fxvptwlqotbjfvg75uhg7o",
		  "bafybgqezanet3nyzvodzsa5uns3jjgi3ojxvkcvf4mpx2hw7swbkxwreoipsw4m2pgybxaiqw4ohfsh"
		  "y"
		  "q4d2d655ntnktyir7bvb76lglscr4",
		  "bafybgqg2dopzwerxb5t6kls7rt64digcb6i2d4xj5hf2xddcx3qrrfov6m6wrelof4nk4x5fsv45565"
		  "p"
		  "vruniujc34ck7g6ubkotzgra4gihe" },
	};
	struct room *room = *state;

	put_tree(room);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(import_profile(&room->config, "unixfs-v0-2015"), 0);
		if (cases[i].hash) {
			room->config.cid_version = 1;
			room->config.hash_code = cases[i].hash;
			room->config.raw_leaves = true;
		}
		check(room, cases[i].plain);
		room->config.inline_max = IMPORT_INLINE_DEFAULT;
		check(room, cases[i].inlined_32);
		room->config.inline_max = IMPORT_INLINE_MAX;
		check(room, cases[i].inlined_128);
	}
}

/* What is in a CID is not stored too, and can be read. */
static void inlined_blocks_are_not_stored(void **state)
{
	struct room *room = *state;
	struct store_stat stat;
	struct block *block;
	struct cid cid;
	char text[CID_TEXT_MAX];
	uint64_t size;

	room_put_dir(room, "t");
	room_put_file(room, "t/a", bytes_str("a"));
	room->config.inline_max = IMPORT_INLINE_MAX;
	assert_int_equal(room_import(room, "/t", text, &size, NULL), 0);
	assert_int_equal(store_stat(room->store, &stat), 0);
	assert_int_equal(stat.blocks, 0);
	assert_int_equal(cid_from_text(&cid, text), 0);
	assert_true(cid_is_identity(&cid));
	assert_int_equal(blocks_get(room->blocks, &cid, &room->wait, &block), 0);
	assert_true(block->data.len > 0);
	block_unref(block);
}

static void layouts_are_kubos(void **state)
{
	struct room *room = *state;

	put_tree(room);
	assert_int_equal(import_profile(&room->config, "unixfs-v0-2015"), 0);
	room->config.inline_max = IMPORT_INLINE_DEFAULT;
	room->config.dir_links_max = 6; /* of 7 */
	check(room, "QmY8y7VuahW2jn3N5PZyRHCmvyF7nXu9pgmfxCvKVu5xZC");
	room->config.dir_links_max = 7;
	check(room, "QmX7dt3bgaaGoZ4nRyi6NCmYBnCBiW6QwBY86PzsELYeLH");
	strcpy(room->config.chunker, "size-30");
	check(room, "QmX7UzN2cqZVpfmchREYjkT4JAz6XDttjUz1GH2j7NXvuH");
	room->config.layout = LAYOUT_TRICKLE;
	check(room, "QmepgkcsWj2K1wwUidSjHTc53nQhgpk7QXn4LgEGLTsLwy");
}

static void said_metadata_is_kubos(void **state)
{
	struct room *room = *state;

	put_tree(room);
	assert_int_equal(import_profile(&room->config, "unixfs-v0-2015"), 0);
	room->config.mode = 0640;
	room->config.has_mtime = true;
	room->config.mtime = 1700000000;
	room->config.mtime_nanos = 5;
	check(room, "QmTZuMiHhP72c114a7LpbVyrFWv48FKr1rrZ9Zudy1qq2x");
	room->config.raw_leaves = true; /* no place for it: off by itself */
	check(room, "QmTZuMiHhP72c114a7LpbVyrFWv48FKr1rrZ9Zudy1qq2x");
}

static void choices_are_kubos(void **state)
{
	struct room *room = *state;
	struct ignore *ignore = ignore_new();

	put_tree(room);
	assert_int_equal(import_profile(&room->config, "unixfs-v0-2015"), 0);
	room->config.skip_empty_dirs = true;
	check(room, "QmfJQXFAEs7ijuYuzmPNHAGhnwHKprUwvWuNTEMkGimQmQ");
	room->config.skip_empty_dirs = false;
	room->config.follow_symlinks = true;
	check(room, "QmdSDJCfXiNrG7xXPta9MGYFFQkhFDzp78KC4C8ZdQcaEf");
	room->config.follow_symlinks = false;
	assert_int_equal(ignore_add(ignore, "over"), 0);
	assert_int_equal(ignore_add(ignore, "s*"), 0);
	room->config.ignore = ignore;
	check(room, "QmW15BPZNtETDyv7um2BYTxTa6CLJg5iwsrpm9degZn2qr");
	ignore_free(ignore);
}

/* "dir/" knows a directory behind a symlink only when symlinks are followed. */
static void rules_see_what_is_followed(void **state)
{
	struct room *room = *state;
	struct ignore *ignore = ignore_new();
	char all[CID_TEXT_MAX], kept[CID_TEXT_MAX], followed[CID_TEXT_MAX];
	uint64_t size;

	room_put_dir(room, "t");
	room_put_dir(room, "elsewhere");
	room_put_link(room, "t/link", "../elsewhere");
	assert_int_equal(ignore_add(ignore, "/link/"), 0);
	assert_int_equal(room_import(room, "/t", all, &size, NULL), 0);
	room->config.ignore = ignore;
	assert_int_equal(room_import(room, "/t", kept, &size, NULL), 0);
	assert_string_equal(kept, all);
	room->config.follow_symlinks = true;
	assert_int_equal(room_import(room, "/t", followed, &size, NULL), 0);
	assert_int_equal(room_import(room, "/elsewhere", all, &size, NULL), 0); /* empty */
	assert_string_equal(followed, all);
	ignore_free(ignore);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(hashes_and_inlining_are_kubos),
		IN_ROOM(inlined_blocks_are_not_stored),
		IN_ROOM(layouts_are_kubos),
		IN_ROOM(said_metadata_is_kubos),
		IN_ROOM(choices_are_kubos),
		IN_ROOM(rules_see_what_is_followed),
	};

	return cmocka_run_group_tests_name("dag/import_options", tests, NULL, NULL);
}
