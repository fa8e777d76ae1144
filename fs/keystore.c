/* Files of the keystore. Whoever changes it holds a lock on the directory, so that two commands do
 * not make or rename a key at once; files are written whole, or not at all (put_file.h). */
#include "fs/keystore.h"

#include "fs/put_file.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/wire/multibase.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "key_"
#define PREFIX_LEN 4

int keystore_name_check(const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return -EINVAL;
	return len > KEY_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* malloc'd. */
static char *file_of(const char *repo_path, const char *name)
{
	struct buf base = { 0 };
	char *inner, *file;

	base_encode(&base, BASE32, bytes_str(name));
	inner = xasprintf("keystore/" PREFIX "%.*s", (int)base.len, (const char *)base.at);
	file = repo_file(repo_path, inner);
	free(inner);
	buf_release(&base);
	return file;
}

static int read_key(const char *file, struct private_key **out)
{
	uint8_t data[PRIVATE_KEY_MAX + 1];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, data, sizeof(data));
	int err = len < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (!err)
		*out = private_key_decode(bytes_of(data, (size_t)len), &err);
	explicit_bzero(data, sizeof(data));
	return err;
}

/* The directory, made if it is missing, locked until the descriptor is closed; -errno. */
static int lock(const char *repo_path)
{
	char *dir = repo_file(repo_path, "keystore");
	int err = mkdir(dir, 0700) && errno != EEXIST ? -errno : 0;
	int fd = err ? err : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!err && fd < 0)
		fd = -errno;
	free(dir);
	if (fd >= 0 && flock(fd, LOCK_EX)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int keystore_get(const char *repo_path, const char *name, struct private_key **out)
{
	char *file = file_of(repo_path, name);
	int err = read_key(file, out);

	free(file);
	return err;
}

int keystore_put(const char *repo_path, const char *name, const struct private_key *key)
{
	char *file = file_of(repo_path, name);
	struct buf proto = { 0 };
	int fd = lock(repo_path);
	int err = fd < 0 ? fd : private_key_encode(key, &proto);

	if (!err && access(file, F_OK) == 0)
		err = -EEXIST;
	if (!err)
		err = put_file(file, buf_bytes(&proto), 0600);
	private_wipe(&proto);
	if (fd >= 0)
		close(fd);
	free(file);
	return err;
}

int keystore_rename(const char *repo_path, const char *from, const char *to, bool force,
		    bool *replaced)
{
	char *old = file_of(repo_path, from), *new = file_of(repo_path, to);
	int fd = lock(repo_path), err = fd < 0 ? fd : 0;

	*replaced = !err && access(new, F_OK) == 0;
	if (!err && access(old, F_OK))
		err = -errno;
	if (!err && *replaced && !force)
		err = -EEXIST;
	if (!err && (rename(old, new) || fsync(fd)))
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(old);
	free(new);
	return err;
}

int keystore_rm(const char *repo_path, const char *name)
{
	char *file = file_of(repo_path, name);
	int fd = lock(repo_path), err = fd < 0 ? fd : 0;

	if (!err && (unlink(file) || fsync(fd)))
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(file);
	return err;
}

/* ---- the list ---- */

/* The name that a file of the directory stands for, malloc'd; NULL: it is no key's. */
static char *name_of(const char *file)
{
	struct buf name = { 0 };
	char *out = NULL;

	if (strncmp(file, PREFIX, PREFIX_LEN) == 0 &&
	    base_decode(&name, BASE32, bytes_str(file + PREFIX_LEN)) == 0 && name.len > 0 &&
	    name.len <= KEY_NAME_MAX && !memchr(name.at, '\0', name.len))
		out = xasprintf("%.*s", (int)name.len, (const char *)name.at);
	buf_release(&name);
	return out;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct keystore_entry *)a)->name,
		      ((const struct keystore_entry *)b)->name);
}

static struct keystore_entry entry_of(const char *repo_path, char *name)
{
	struct keystore_entry entry = { .name = name };
	struct private_key *key;

	entry.err = keystore_get(repo_path, name, &key);
	if (!entry.err) {
		entry.public = *private_key_public(key);
		private_key_free(key);
	}
	return entry;
}

int keystore_list(const char *repo_path, struct keystore_entry **out, size_t *count)
{
	char *path = repo_file(repo_path, "keystore");
	DIR *dir = opendir(path);
	int err = dir || errno == ENOENT ? 0 : -errno;
	struct dirent *file;

	*out = NULL;
	*count = 0;
	while (dir && (file = readdir(dir))) {
		char *name = name_of(file->d_name);

		if (!name)
			continue;
		*out = xrealloc(*out, (*count + 1) * sizeof(**out));
		(*out)[(*count)++] = entry_of(repo_path, name);
	}
	if (dir)
		closedir(dir);
	if (*count)
		qsort(*out, *count, sizeof(**out), by_name);
	free(path);
	return err;
}

void keystore_list_free(struct keystore_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(entries[i].name);
	free(entries);
}

/* ---- by id ---- */

struct private_key *keystore_self(const struct identity *self)
{
	struct buf proto = { 0 };
	struct private_key *key;
	int err;

	identity_encode(self, &proto);
	key = private_key_decode(buf_bytes(&proto), &err);
	private_wipe(&proto);
	return key;
}

int keystore_find(const char *repo_path, const struct identity *self, const struct peer_id *id,
		  struct private_key **out)
{
	struct keystore_entry *entries;
	struct peer_id is;
	size_t count;
	int err;

	peer_id_of_identity(&is, self);
	if (peer_id_equal(&is, id)) {
		*out = keystore_self(self);
		return *out ? 0 : -ENOMEM;
	}
	err = keystore_list(repo_path, &entries, &count);
	if (err)
		return err;
	err = -ENOENT;
	for (size_t i = 0; i < count && err == -ENOENT; i++) {
		if (entries[i].err)
			continue;
		peer_id_of_key(&is, &entries[i].public);
		if (peer_id_equal(&is, id))
			err = keystore_get(repo_path, entries[i].name, out);
	}
	keystore_list_free(entries, count);
	return err;
}
