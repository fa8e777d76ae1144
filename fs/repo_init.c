/* Making a repository. The configuration is written last, when all else is there and was opened:
 * without it, or with one that is empty, it is half made, and the next init completes it. The
 * main thread. */
#include "fs/put_file.h"
#include "fs/repo.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* mkdir -p, each new folder for its owner only. */
static int make_dirs(const char *path)
{
	char *part = xstrdup(path);
	int err = 0;

	for (char *at = part + 1; !err; at++) {
		char c = *at;

		if (c && c != '/')
			continue;
		*at = 0;
		if (mkdir(part, 0700) && errno != EEXIST)
			err = -errno;
		*at = c;
		if (!c)
			break;
	}
	free(part);
	return err;
}

/* Nothing was ever in it. */
static bool is_missing_or_empty(const char *file)
{
	struct stat st;

	return stat(file, &st) ? errno == ENOENT : st.st_size == 0;
}

static int write_identity(const char *file)
{
	struct identity *identity = identity_new();
	struct buf proto = { 0 };

	identity_encode(identity, &proto);
	int err = put_file(file, buf_bytes(&proto), 0600);

	explicit_bzero(proto.at, proto.len);
	buf_release(&proto);
	identity_free(identity);
	return err;
}

static int make_lock_files(const char *path)
{
	static const char *const names[] = { REPO_GC_TURN, REPO_DAEMON_LOCK };
	int fd = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && fd >= 0; i++) {
		fd = repo_lock_file(path, names[i]);
		if (fd >= 0)
			close(fd);
	}
	return fd < 0 ? fd : 0;
}

static int create_files(const char *path, const char *key, const char *file, const char *profile,
			char **why)
{
	char *keystore = repo_file(path, "keystore");
	struct config *config = config_new(file, profile);
	int err = 0;

	if (is_missing_or_empty(key))
		err = write_identity(key);
	if (!err && mkdir(keystore, 0700) && errno != EEXIST)
		err = -errno;
	if (!err)
		err = make_lock_files(path);
	if (!err)
		err = repo_make_parts(path, config, why);
	if (!err)
		err = config_save(config);
	config_free(config);
	free(keystore);
	return err;
}

/* One init at a time is here. */
static int init_complete(const char *path, const char *profile, char **why)
{
	char *file = repo_file(path, "config.json"), *key = repo_file(path, "identity.key");
	int err = 0;

	if (is_missing_or_empty(file)) {
		err = create_files(path, key, file, profile, why);
	} else if (is_missing_or_empty(key)) {
		err = write_identity(key);
	} else {
		*why = xasprintf("there is a repository at %s already", path);
		err = -EEXIST;
	}
	free(key);
	free(file);
	return err;
}

static bool is_there(const char *path)
{
	char *file = repo_file(path, "config.json");
	bool is = access(file, F_OK) == 0;

	free(file);
	return is;
}

int repo_init(const char *path, const char *profile, char **why)
{
	int err, lock = -1;

	*why = NULL;
	if (strcmp(profile, "default") && strcmp(profile, "test")) {
		*why = xasprintf("unknown profile '%s': there are default and test", profile);
		return -EINVAL;
	}
	err = repo_place_check(path, why);
	if (!err && !is_there(path))
		err = repo_place_room(path, why);
	if (!err)
		err = make_dirs(path);
	if (!err) {
		lock = repo_lock_file(path, REPO_CONFIG_LOCK);
		err = lock < 0 ? lock : flock(lock, LOCK_EX) ? -errno : 0;
	}
	if (!err)
		err = init_complete(path, profile, why);
	if (err && !*why)
		*why = xasprintf("cannot make a repository at %s: %s", path, err_file_text(err));
	if (lock >= 0)
		close(lock);
	return err;
}
