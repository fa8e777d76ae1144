#include "fs/shares.h"

#include "fs/keystore.h"
#include "net/base/alloc.h"
#include "net/base/wait.h"
#include "routing/names.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct fixture {
	char dir[64];
	struct repo *repo;
	struct wait wait;
	unsigned told;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	char *path, *why = NULL;

	snprintf(f->dir, sizeof(f->dir), "/tmp/dagfs-test-shares.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	path = repo_file(f->dir, "repo");
	assert_int_equal(repo_init(path, "test", &why), 0);
	assert_int_equal(repo_open(path, &f->repo, &why), 0);
	assert_int_equal(wait_init(&f->wait), 0);
	wait_start(&f->wait, 20000);
	free(path);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	repo_close(f->repo);
	wait_release(&f->wait);
	assert_int_equal(nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

static struct share_record made(struct fixture *f, const char *name, bool publish)
{
	struct share_record record = { .publish = publish };

	snprintf(record.name, sizeof(record.name), "%s", name);
	assert_int_equal(shares_make(f->repo, &record), 0);
	return record;
}

static void on_told(void *ctx)
{
	((struct fixture *)ctx)->told++;
}

static struct shares *opened(struct fixture *f)
{
	return shares_new(&(struct shares_config){
		.repo = f->repo, .told = on_told, .ctx = f, .stays = true });
}

static void write_file(struct fixture *f, struct share *share, const char *name)
{
	const struct tree_new how = { .mode = S_IFREG | 0644 };
	struct tree_attr attr;

	assert_int_equal(
		tree_create(share_tree(share), TREE_ROOT, bytes_str(name), &how, &f->wait, &attr),
		0);
	tree_forget(share_tree(share), attr.node, 1);
}

/* ---- records ---- */

static void without_shares_nothing_is_found_and_nothing_is_made(void **state)
{
	struct fixture *f = *state;
	struct share_record record;
	struct db *work;

	assert_int_equal(shares_find(f->repo, "plans", &record), -ENOENT);
	assert_int_equal(repo_work(f->repo, false, &work), -ENOENT);
}

static void share_is_found_by_its_name_and_its_key(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", true), found;
	char id[PEER_ID_TEXT_MAX], path[PEER_ID_TEXT_MAX + 8];

	made(f, "other", true);
	peer_id_text(&record.key, id);
	snprintf(path, sizeof(path), "/ipns/%s", id);
	for (size_t i = 0; i < 4; i++) {
		const char *const texts[] = { "plans", "/ipns/plans", id, path };

		assert_int_equal(shares_find(f->repo, texts[i], &found), 0);
		assert_int_equal(found.id, record.id);
	}
	assert_int_equal(shares_find(f->repo, "self", &found), -ENOENT);
	assert_int_equal(shares_find(f->repo, "", &found), -ENOENT);
	assert_int_equal(shares_find(f->repo, "/ipns/plans/a", &found), -ENOENT);
}

/* The short name is of this machine, the key has one of its own. */
static void share_is_found_by_the_name_that_its_key_has_now(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", true), found;
	bool replaced;

	assert_int_equal(keystore_rename(f->repo->path, "plans", "key", false, &replaced), 0);
	assert_int_equal(shares_find(f->repo, "key", &found), 0);
	assert_int_equal(found.id, record.id);
	assert_int_equal(shares_find(f->repo, "plans", &found), 0);
}

static void name_that_is_taken_is_refused(void **state)
{
	struct fixture *f = *state;
	struct share_record again = { .name = "plans" }, taken = { .name = "taken" };
	struct private_key *key;
	int err;

	made(f, "plans", true);
	assert_int_equal(shares_make(f->repo, &again), -EEXIST);
	key = private_key_new(KEY_ED25519, 0, &err);
	assert_int_equal(keystore_put(f->repo->path, "taken", key), 0);
	private_key_free(key);
	assert_int_equal(shares_make(f->repo, &taken), -EKEYREJECTED);
	assert_int_equal(shares_find(f->repo, "taken", &taken), -ENOENT);
}

static void bad_names_and_labels_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct share_record bad[] = {
		{ .name = "" },
		{ .name = "self" },
		{ .name = "a", .label = "Anna" },
		{ .name = "a", .label = "a b" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct share_record record = bad[i];

		assert_int_equal(shares_make(f->repo, &record), -EINVAL);
	}
}

static void label_without_one_is_made_of_the_login_name(void **state)
{
	struct share_record record = made(*state, "plans", true);

	assert_true(record.label[0]);
	assert_int_equal(record.label[strspn(record.label, "abcdefghijklmnopqrstuvwxyz0123456789")],
			 0);
}

static void one_share_more_than_the_most_is_refused(void **state)
{
	struct fixture *f = *state;
	struct share_record record = { .name = "more" };
	char name[16];

	for (int i = 0; i < SHARES_MAX; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		made(f, name, false);
	}
	assert_int_equal(shares_make(f->repo, &record), -EMFILE);
}

static void quiet_time_is_kept_until_it_is_0(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", true);
	struct db *work;

	assert_int_equal(repo_work(f->repo, false, &work), 0);
	assert_int_equal(shares_quiet_ms(work, record.id), 0);
	assert_int_equal(shares_quiet_set(work, record.id, 5000), 0);
	assert_int_equal(shares_quiet_ms(work, record.id), 5000);
	assert_int_equal(shares_quiet_ms(work, record.id + 1), 0);
	assert_int_equal(shares_quiet_set(work, record.id, 0), 0);
	assert_int_equal(shares_quiet_set(work, record.id, 0), 0);
	assert_int_equal(shares_quiet_ms(work, record.id), 0);
}

/* ---- trees ---- */

static void share_is_opened_once_and_not_shut_while_it_is_used(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", false);
	struct shares *shares = opened(f);
	struct share *one, *two;

	assert_int_equal(shares_open(shares, record.id, &f->wait, &one), 0);
	assert_int_equal(shares_open(shares, record.id, &f->wait, &two), 0);
	assert_ptr_equal(one, two);
	shares_release(one);
	assert_int_equal(shares_shut(shares, record.id), -EBUSY);
	shares_release(two);
	assert_int_equal(shares_shut(shares, record.id), 0);
	assert_int_equal(shares_shut(shares, record.id), 0);
	assert_int_equal(shares_open(shares, record.id + 1, &f->wait, &one), -ENOENT);
	assert_int_equal(shares_close(shares), 0);
}

static void share_without_its_key_is_not_opened(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", false);
	struct shares *shares = opened(f);
	struct share *share;

	assert_int_equal(keystore_rm(f->repo->path, "plans"), 0);
	assert_int_equal(shares_open(shares, record.id, &f->wait, &share), -ENOKEY);
	assert_int_equal(shares_close(shares), 0);
}

static void version_is_published_with_its_root_and_its_commit(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", true);
	struct shares *shares = opened(f);
	char root[CID_TEXT_MAX], value[CID_TEXT_MAX + 8];
	struct tree_version version;
	struct name_record read;
	struct name_own own;
	struct share *share;

	assert_int_equal(shares_open(shares, record.id, &f->wait, &share), 0);
	write_file(f, share, "a");
	assert_int_equal(tree_commit(share_tree(share), "", &f->wait, &version), 0);
	assert_int_equal(f->told, 1);
	assert_int_equal(name_own_get(f->repo->db, &record.key, &own), 0);
	assert_int_equal(
		name_record_check(&read, &record.key, buf_bytes(&own.record), wallclock_ns()), 0);
	snprintf(value, sizeof(value), "/ipfs/%s", cid_text(&version.root, root));
	assert_true(bytes_equal(read.value, bytes_str(value)));
	assert_true(bytes_equal(read.commit, cid_bytes(&version.commit)));
	assert_int_equal(read.ttl_ns / 1000000, SHARE_TTL_MS);
	name_own_release(&own);
	shares_release(share);
	assert_int_equal(shares_close(shares), 0);
}

static void nothing_is_said_of_a_share_that_is_not_published(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", false);
	struct shares *shares = opened(f);
	struct tree_version version;
	struct name_own own;
	struct share *share;

	assert_int_equal(shares_open(shares, record.id, &f->wait, &share), 0);
	write_file(f, share, "a");
	assert_int_equal(tree_commit(share_tree(share), "", &f->wait, &version), 0);
	assert_int_equal(f->told, 0);
	assert_int_equal(name_own_get(f->repo->db, &record.key, &own), -ENOENT);
	shares_release(share);
	assert_int_equal(shares_close(shares), 0);
}

static void what_changed_is_a_version_when_a_process_that_stays_ends(void **state)
{
	struct fixture *f = *state;
	struct share_record record = made(f, "plans", false);
	struct shares *shares = opened(f);
	struct tree_version version;
	struct share *share;

	assert_int_equal(shares_open(shares, record.id, &f->wait, &share), 0);
	write_file(f, share, "a");
	shares_release(share);
	assert_int_equal(shares_close(shares), 0);
	assert_int_equal(shares_newest(f->repo, record.id, &version), 0);
	assert_int_equal(version.no, 1);
	assert_int_equal(version.files, 1);
}

static void my_is_made_once_and_not_published(void **state)
{
	struct fixture *f = *state;
	struct shares *shares = opened(f);
	struct share_record record;
	struct share *one, *two;

	assert_int_equal(shares_my(shares, &f->wait, &one), 0);
	assert_int_equal(shares_my(shares, &f->wait, &two), 0);
	assert_ptr_equal(one, two);
	assert_int_equal(shares_find(f->repo, SHARE_MY, &record), 0);
	assert_false(record.publish);
	shares_release(one);
	shares_release(two);
	assert_int_equal(shares_close(shares), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_shares_nothing_is_found_and_nothing_is_made),
		TEST(share_is_found_by_its_name_and_its_key),
		TEST(share_is_found_by_the_name_that_its_key_has_now),
		TEST(name_that_is_taken_is_refused),
		TEST(bad_names_and_labels_are_refused),
		TEST(label_without_one_is_made_of_the_login_name),
		TEST(one_share_more_than_the_most_is_refused),
		TEST(quiet_time_is_kept_until_it_is_0),
		TEST(share_is_opened_once_and_not_shut_while_it_is_used),
		TEST(share_without_its_key_is_not_opened),
		TEST(version_is_published_with_its_root_and_its_commit),
		TEST(nothing_is_said_of_a_share_that_is_not_published),
		TEST(what_changed_is_a_version_when_a_process_that_stays_ends),
		TEST(my_is_made_once_and_not_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
