#include "fs/repo.h"

#include "dag/dag.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct scratch {
	char dir[64];
	char *path;
};

static int setup(void **state)
{
	struct scratch *scratch = xnew(struct scratch);

	snprintf(scratch->dir, sizeof(scratch->dir), "/tmp/dagfs-test-repo.XXXXXX");
	if (!mkdtemp(scratch->dir))
		return -1;
	scratch->path = repo_file(scratch->dir, "some/where");
	*state = scratch;
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
	struct scratch *scratch = *state;

	assert_int_equal(nftw(scratch->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(scratch->path);
	free(scratch);
	return 0;
}

static unsigned mode_of(const char *path, const char *name)
{
	char *file = repo_file(path, name);
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	free(file);
	return st.st_mode & 0777;
}

static void init_and_open(void **state)
{
	struct scratch *scratch = *state;
	struct repo *repo;
	struct peer_id first, second;
	char *why = NULL;

	assert_int_equal(repo_open(scratch->path, &repo, &why), -ENOENT);
	assert_non_null(strstr(why, "dagfs init"));
	free(why);
	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	assert_int_equal(mode_of(scratch->path, "identity.key"), 0600);
	assert_int_equal(mode_of(scratch->path, "keystore"), 0700);
	assert_int_equal(mode_of(scratch->path, ""), 0700);
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	peer_id_of_identity(&first, repo->identity);
	assert_int_equal(config_int(repo->config, "Swarm.ConnectionsMax"), 1024);
	repo_close(repo);
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	peer_id_of_identity(&second, repo->identity);
	assert_true(peer_id_equal(&first, &second));
	repo_close(repo);
	assert_int_equal(repo_init(scratch->path, "test", &why), -EEXIST);
	free(why);
}

static void init_refuses(void **state)
{
	struct scratch *scratch = *state;
	char *why = NULL;

	assert_int_equal(repo_init(scratch->path, "nonsense", &why), -EINVAL);
	assert_non_null(strstr(why, "nonsense"));
	free(why);
	assert_int_equal(repo_init("/proc/nowhere/at/all", "test", &why), -ENOENT);
	assert_non_null(strstr(why, "/proc/nowhere"));
	free(why);
}

static void overwrite(const char *path, const char *name, const char *text)
{
	char *file = repo_file(path, name);
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	free(file);
}

static void broken_parts_are_told(void **state)
{
	struct scratch *scratch = *state;
	struct repo *repo;
	char *why = NULL;

	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	overwrite(scratch->path, "identity.key", "not a key");
	assert_true(repo_open(scratch->path, &repo, &why) < 0);
	assert_non_null(strstr(why, "identity"));
	free(why);
	overwrite(scratch->path, "config.json", "{");
	assert_int_equal(repo_open(scratch->path, &repo, &why), -EBADMSG);
	free(why);
}

static char *contents(const char *path, const char *name)
{
	char *file = repo_file(path, name), text[4096] = "";
	FILE *in = fopen(file, "r");

	assert_non_null(in);
	size_t len = fread(text, 1, sizeof text - 1, in);

	text[len] = 0;
	fclose(in);
	free(file);
	return xstrdup(text);
}

static void half_made_repository_is_completed(void **state)
{
	struct scratch *scratch = *state;
	char *identity = repo_file(scratch->path, "identity.key"),
	     *config = repo_file(scratch->path, "config.json");
	char *why = NULL, *before, *after;
	struct repo *repo;

	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	before = contents(scratch->path, "identity.key");
	/* Ended before the configuration was written: the identity stays. */
	assert_int_equal(unlink(config), 0);
	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	after = contents(scratch->path, "identity.key");
	assert_string_equal(before, after);
	free(after);
	/* Empty files, and what was beside them. */
	overwrite(scratch->path, "config.json", "");
	overwrite(scratch->path, "config.json.new", "{\"Addr");
	overwrite(scratch->path, "identity.key", "");
	overwrite(scratch->path, "identity.key.new", "half");
	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	repo_close(repo);
	/* A whole configuration and no identity. */
	assert_int_equal(truncate(identity, 0), 0);
	assert_true(repo_open(scratch->path, &repo, &why) < 0);
	assert_non_null(strstr(why, "dagfs init"));
	free(why);
	why = NULL;
	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	repo_close(repo);
	assert_int_equal(repo_init(scratch->path, "test", &why), -EEXIST);
	free(why);
	free(before);
	free(config);
	free(identity);
}

static void too_long_path_is_refused_before_anything_is_made(void **state)
{
	struct scratch *scratch = *state;
	char *why = NULL, *path = xasprintf("%s/%0*d", scratch->dir, 4000, 1);

	assert_int_equal(repo_init(path, "test", &why), -ENAMETOOLONG);
	assert_non_null(strstr(why, "bytes"));
	free(why);
	free(path);
	assert_int_equal(rmdir(scratch->dir), 0);
	assert_int_equal(mkdir(scratch->dir, 0700), 0);
}

static void root_makes_nothing_in_another_users_repository(void **state)
{
	struct scratch *scratch = *state;
	char *why = NULL;
	struct repo *repo;

	if (geteuid() != 0) /* others have no right to it anyway */
		return;
	assert_int_equal(chown(scratch->dir, 65534, 65534), 0);
	assert_int_equal(repo_init(scratch->dir, "test", &why), -EPERM);
	assert_non_null(strstr(why, "65534"));
	free(why);
	assert_int_equal(rmdir(scratch->dir), 0); /* empty */
	assert_int_equal(mkdir(scratch->dir, 0700), 0);
	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	assert_int_equal(chown(scratch->path, 65534, 65534), 0);
	assert_int_equal(repo_open(scratch->path, &repo, &why), -EPERM);
	free(why);
}

static void remove_part(struct scratch *scratch, const char *name)
{
	char *part = repo_file(scratch->path, name);

	assert_int_equal(nftw(part, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(part);
}

static void missing_records_are_told_before_anything_is_collected(void **state)
{
	struct scratch *scratch = *state;
	struct db_salvage salvage;
	struct repo *repo;
	char *why = NULL;

	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	assert_false(repo_salvaged(repo, &salvage));
	repo_close(repo);
	remove_part(scratch, "records");
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	assert_true(repo_salvaged(repo, &salvage));
	assert_true(repo_salvage_lost(&salvage));
	assert_int_equal(repo_salvage_told(repo, &salvage), 0);
	repo_close(repo);
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	assert_false(repo_salvaged(repo, &salvage));
	repo_close(repo);
}

static void missing_store_makes_pins_incomplete(void **state)
{
	struct scratch *scratch = *state;
	struct db_txn *txn;
	struct repo *repo;
	struct cid cid;
	char *why = NULL;

	assert_int_equal(repo_init(scratch->path, "test", &why), 0);
	remove_part(scratch, "store"); /* of no importance without pins */
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	assert_false(repo_has_losses(repo));
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("pinned")), 0);
	assert_int_equal(db_begin(repo->db, true, &txn), 0);
	assert_int_equal(pin_restore(txn, &cid), 0);
	assert_int_equal(db_commit(txn), 0);
	repo_close(repo);
	remove_part(scratch, "store");
	assert_int_equal(repo_open(scratch->path, &repo, &why), 0);
	assert_true(repo_has_losses(repo));
	repo_close(repo);
}

static void repository_path_follows_option_then_environment(void **state)
{
	char *why = NULL, *path;

	(void)state;
	setenv("DAGFS_PATH", "/a", 1);
	setenv("XDG_DATA_HOME", "/b", 1);
	setenv("HOME", "/c", 1);
	path = repo_find("/given", &why);
	assert_string_equal(path, "/given");
	free(path);
	path = repo_find(NULL, &why);
	assert_string_equal(path, "/a");
	free(path);
	unsetenv("DAGFS_PATH");
	path = repo_find("", &why);
	assert_string_equal(path, "/b/dagfs");
	free(path);
	unsetenv("XDG_DATA_HOME");
	path = repo_find(NULL, &why);
	assert_string_equal(path, "/c/.local/share/dagfs");
	free(path);
	unsetenv("HOME");
	assert_null(repo_find(NULL, &why));
	assert_non_null(strstr(why, "--repo"));
	free(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(init_and_open, setup, teardown),
		cmocka_unit_test_setup_teardown(init_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_parts_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(half_made_repository_is_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(too_long_path_is_refused_before_anything_is_made,
						setup, teardown),
		cmocka_unit_test_setup_teardown(root_makes_nothing_in_another_users_repository,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			missing_records_are_told_before_anything_is_collected, setup, teardown),
		cmocka_unit_test_setup_teardown(missing_store_makes_pins_incomplete, setup,
						teardown),
		cmocka_unit_test(repository_path_follows_option_then_environment),
	};

	return cmocka_run_group_tests_name("fs/repo", tests, NULL, NULL);
}
