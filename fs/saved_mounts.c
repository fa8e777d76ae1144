/* mounts.json: [{"Source", "Mountpoint", "Options", "Offline"}]. Written beside and renamed
 * (put_file.h); writers take turns by the lock of the configuration. Any thread. */
#include "fs/saved_mounts.h"

#include "fs/put_file.h"
#include "fs/repo.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_NAME "mounts.json"
#define FILE_BYTES_MAX (1u << 20)

static void mount_release(struct saved_mount *mount)
{
	free(mount->source);
	free(mount->mountpoint);
	free(mount->options);
}

void saved_mounts_release(struct saved_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		mount_release(&mounts->at[i]);
	free(mounts->at);
	*mounts = (struct saved_mounts){ 0 };
}

static bool is_right(const struct saved_mount *mount)
{
	return mount->mountpoint && mount->mountpoint[0] == '/' &&
	       strlen(mount->mountpoint) < PATH_MAX &&
	       strlen(mount->options) <= SAVED_OPTIONS_MAX &&
	       (!mount->source || (*mount->source && strlen(mount->source) < PATH_MAX));
}

static void mounts_add(struct saved_mounts *mounts, const struct saved_mount *mount)
{
	mounts->at = xrealloc(mounts->at, (mounts->count + 1) * sizeof(*mounts->at));
	mounts->at[mounts->count++] = (struct saved_mount){
		.source = mount->source ? xstrdup(mount->source) : NULL,
		.mountpoint = xstrdup(mount->mountpoint),
		.options = xstrdup(mount->options),
		.offline = mount->offline,
	};
}

const struct saved_mount *saved_mounts_find(const struct saved_mounts *mounts,
					    const char *mountpoint)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (strcmp(mounts->at[i].mountpoint, mountpoint) == 0)
			return &mounts->at[i];
	return NULL;
}

/* ---- the file ---- */

/* False: the value is no mount. */
static bool add_json(struct saved_mounts *mounts, const json_t *json)
{
	const json_t *options = json_object_get(json, "Options");
	struct saved_mount mount = {
		.source = (char *)json_string_value(json_object_get(json, "Source")),
		.mountpoint = (char *)json_string_value(json_object_get(json, "Mountpoint")),
		.options = options ? (char *)json_string_value(options) : "",
		.offline = json_is_true(json_object_get(json, "Offline")),
	};

	if (!mount.options || !is_right(&mount) || mounts->count == SAVED_MOUNTS_MAX ||
	    saved_mounts_find(mounts, mount.mountpoint))
		return false;
	mounts_add(mounts, &mount);
	return true;
}

/* NULL for no file, which is no error; the caller frees it. */
static int read_file(const char *file, char **out, size_t *len)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), err = 0;
	ssize_t n = 0;

	*out = NULL;
	*len = 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	*out = xcalloc(1, FILE_BYTES_MAX + 1);
	while (!err && *len <= FILE_BYTES_MAX &&
	       (n = read(fd, *out + *len, FILE_BYTES_MAX + 1 - *len)) != 0) {
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR)
			err = -errno;
	}
	close(fd);
	if (!err && *len > FILE_BYTES_MAX)
		err = -EBADMSG;
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}

static int mounts_parse(const char *text, size_t len, struct saved_mounts *out)
{
	json_t *list = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *item;
	bool good = json_is_array(list);
	size_t i;

	json_array_foreach(list, i, item)
		good = good && add_json(out, item);
	json_decref(list);
	return good ? 0 : -EBADMSG;
}

int saved_mounts_read(const char *repo_path, struct saved_mounts *out, char **why)
{
	char *file = repo_file(repo_path, FILE_NAME), *text;
	size_t len;
	int err = read_file(file, &text, &len);

	*out = (struct saved_mounts){ 0 };
	*why = NULL;
	if (!err && text)
		err = mounts_parse(text, len, out);
	if (err == -EBADMSG)
		*why = xasprintf("%s is damaged, or no list of at most %d saved mounts", file,
				 SAVED_MOUNTS_MAX);
	else if (err)
		*why = xasprintf("cannot read %s: %s", file, err_file_text(err));
	if (err)
		saved_mounts_release(out);
	free(text);
	free(file);
	return err;
}

/* -EINVAL: a text is no UTF-8. */
static int mounts_put(const char *file, const struct saved_mounts *mounts)
{
	json_t *list = json_array();
	char *text;
	int err = 0;

	for (size_t i = 0; i < mounts->count && !err; i++) {
		const struct saved_mount *mount = &mounts->at[i];
		json_t *item = json_pack("{s:s?, s:s, s:s, s:b}", "Source", mount->source,
					 "Mountpoint", mount->mountpoint, "Options", mount->options,
					 "Offline", (int)mount->offline);

		if (!item || json_array_append_new(list, item))
			err = -EINVAL;
	}
	text = err ? NULL : json_dumps(list, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(list);
	if (!err && !text)
		err = -ENOMEM;
	if (!err)
		err = put_file(file, bytes_of(text, strlen(text)), 0600);
	free(text);
	return err;
}

/* ---- changes ---- */

/* A change of the list. -errno: nothing is written. */
typedef int change_fn(struct saved_mounts *mounts, const void *ctx);

static int mounts_change(const char *repo_path, change_fn *apply, const void *ctx, char **why)
{
	char *file = repo_file(repo_path, FILE_NAME);
	struct saved_mounts mounts = { 0 };
	int lock = repo_lock_file(repo_path, REPO_CONFIG_LOCK);
	int err = lock < 0 ? lock : flock(lock, LOCK_EX) ? -errno : 0;

	*why = NULL;
	if (!err)
		err = saved_mounts_read(repo_path, &mounts, why);
	if (!err)
		err = apply(&mounts, ctx);
	if (!err)
		err = mounts_put(file, &mounts);
	if (err && !*why && err != -ENOENT && err != -EMFILE)
		*why = xasprintf("cannot write %s: %s", file, err_file_text(err));
	saved_mounts_release(&mounts);
	if (lock >= 0)
		close(lock);
	free(file);
	return err;
}

static int remove_one(struct saved_mounts *mounts, const void *ctx)
{
	struct saved_mount *found = (struct saved_mount *)saved_mounts_find(mounts, ctx);
	size_t after;

	if (!found)
		return -ENOENT;
	after = mounts->count - 1 - (size_t)(found - mounts->at);
	mount_release(found);
	memmove(found, found + 1, after * sizeof(*found));
	mounts->count--;
	return 0;
}

static int add_one(struct saved_mounts *mounts, const void *ctx)
{
	const struct saved_mount *mount = ctx;

	remove_one(mounts, mount->mountpoint);
	if (mounts->count == SAVED_MOUNTS_MAX)
		return -EMFILE;
	if (!is_right(mount))
		return -EINVAL;
	mounts_add(mounts, mount);
	return 0;
}

int saved_mounts_add(const char *repo_path, const struct saved_mount *mount, char **why)
{
	int err = mounts_change(repo_path, add_one, mount, why);

	if (err == -EMFILE)
		*why = xasprintf("%d mounts are saved already", SAVED_MOUNTS_MAX);
	return err;
}

int saved_mounts_remove(const char *repo_path, const char *mountpoint, char **why)
{
	int err = mounts_change(repo_path, remove_one, mountpoint, why);

	if (err == -ENOENT)
		*why = xasprintf("no saved mount at %s", mountpoint);
	return err;
}
