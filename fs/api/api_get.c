/* get: a file or tree is written to the disk, or to the output. Where to is decided here, what it
 * holds is written by get_tree. Blocking, on the thread that asks. */
#include "fs/api/get_tree.h"

#include "fs/api/api_names.h"
#include "fs/api/api_runs.h"
#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define LINKS_MAX 40
#define PATH_LEN_MAX 4096

static const struct option_spec options[] = {
	{ "output", 'o', OPTION_TEXT, "PLACE", "where to; - is the output [the last part of PATH]",
	  NULL },
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

/* ---- where to ---- */

/* All of path but its last part, with the slash; "" when there is none. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return xasprintf("%.*s", slash ? (int)(slash - path + 1) : 0, path);
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Does path, itself or by symlinks, lead into the kernel's own directory, as /dev/stdout and
 * /dev/fd/3 do? Such a name stands for what is open there. */
static bool is_open_file(const char *path)
{
	char at[PATH_LEN_MAX], link[PATH_LEN_MAX];
	bool found = false;

	snprintf(at, sizeof(at), "%s", path);
	for (int i = 0; i < LINKS_MAX && !found; i++) {
		char *parent = parent_of(at), *next;
		struct statfs fs;
		ssize_t len = readlink(at, link, sizeof(link) - 1);

		if (len > 0)
			found = statfs(*parent ? parent : ".", &fs) == 0 &&
				fs.f_type == PROC_SUPER_MAGIC;
		link[len > 0 ? len : 0] = '\0';
		next = *link == '/' ? xstrdup(link) : xasprintf("%s%s", parent, link);
		snprintf(at, sizeof(at), "%s", next);
		free(next);
		free(parent);
		if (len <= 0)
			break;
	}
	return found;
}

/* Is there something at path that is no file to be replaced: a device, a pipe, what is open
 * somewhere? */
static bool is_to_be_written_into(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	return (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || is_open_file(path);
}

static bool is_output(const char *place)
{
	struct stat here, output;

	if (strcmp(place, "-") == 0)
		return true;
	return stat(place, &here) == 0 && fstat(STDOUT_FILENO, &output) == 0 &&
	       here.st_dev == output.st_dev && here.st_ino == output.st_ino;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A place without slashes at its end: "new/" is "new". */
static char *without_slashes(const char *place)
{
	size_t len = strlen(place);

	while (len > 1 && place[len - 1] == '/')
		len--;
	return xasprintf("%.*s", (int)len, place);
}

/* ---- writing there ---- */

/* Into what is there and stays what it is: its permissions and times are not touched. */
static int write_into(struct get *get, const char *place, const struct cid *cid)
{
	if (is_output(place))
		return get_bytes(get, -1, cid);
	int ended, fd = open(place, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);

	if (fd < 0) {
		api_fail_file(get->call, -errno, "cannot write to %s", place);
		return 1;
	}
	ended = get_bytes(get, fd, cid);
	if (close(fd) && !ended) {
		api_fail_file(get->call, -errno, "cannot write to %s", place);
		return 1;
	}
	return ended;
}

/* Parents, too, as Kubo makes them. */
static int make_directories(const char *path)
{
	char *at = xstrdup(path);
	int err = 0;

	for (char *slash = at; !err && (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		if (mkdir(at, 0777) && errno != EEXIST)
			err = -errno;
		*slash = '/';
	}
	if (!err && mkdir(at, 0777) && errno != EEXIST)
		err = -errno;
	free(at);
	return err;
}

/* The tree's entries come into place itself, whether it is there already or not. */
static int write_directory(struct get *get, const char *place, const struct cid *cid,
			   const struct dag_stat *stat)
{
	int fd = -1, err = make_directories(place);

	if (!err) {
		fd = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		err = fd < 0 ? -errno : 0;
	}
	if (err) {
		api_fail_file(get->call, err, "cannot write to %s", place);
		return 1;
	}
	return get_entries(get, fd, cid, stat);
}

static int write_one(struct get *get, const char *place, const struct cid *cid,
		     const struct dag_stat *stat)
{
	char *parent = parent_of(place);
	int ended = 1, fd = open(*parent ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		api_fail_file(get->call, -errno, "cannot write to %s", parent);
	} else {
		ended = (stat->type == DAG_FILE ? get_file : get_symlink)(get, fd, name_of(place),
									  cid, stat);
		close(fd);
	}
	free(parent);
	return ended;
}

/* A file comes into a directory that is there. */
static char *place_of(const char *given, const char *name, const struct dag_stat *stat)
{
	char *place = without_slashes(given ? given : name), *inner;

	if (!is_directory(place) || stat->type == DAG_DIRECTORY)
		return place;
	inner = xasprintf("%s/%s", place, name);
	free(place);
	return inner;
}

/* What the place is given. 0, or 1 after the end of the call. */
static int write_to(struct get *get, const char *place, bool into, const struct cid *cid,
		    const struct dag_stat *stat)
{
	char safe[1024];

	cli_safe(safe, sizeof(safe), place, strlen(place));
	if (stat->type == DAG_OTHER)
		return get_tell(get, 0);
	if (into && stat->type != DAG_FILE) {
		api_refuse(get->call, -EINVAL,
			   "cannot write to %s: only a file can be written there", safe);
		return 1;
	}
	if (into)
		return write_into(get, place, cid);
	return stat->type == DAG_DIRECTORY ? write_directory(get, place, cid, stat)
					   : write_one(get, place, cid, stat);
}

/* given: by --output, or NULL; name: of what is got. Ends the call. */
static void get_to(struct get *get, const struct cid *cid, const struct dag_stat *stat,
		   const char *given, const char *name)
{
	bool into = given && (strcmp(given, "-") == 0 || is_to_be_written_into(given));
	char *place = into ? xstrdup(given) : place_of(given, name, stat), safe[1024];

	get->shows = get->shows && !(into && is_output(place));
	buf_add_str(&get->at, place);
	if (write_to(get, place, into, cid, stat)) {
		free(place);
		return;
	}
	if (get->shows)
		api_progress(get->call, NULL);
	if (get->left_out) {
		cli_safe(safe, sizeof(safe), place, strlen(place));
		api_trouble(get->call, NULL, "entries left out of %s: %llu", safe,
			    (unsigned long long)get->left_out);
		api_end(get->call, API_SOME_FAILED, "not all entries could be written");
	} else {
		if (!(into && is_output(place)))
			api_item(get->call,
				 json_pack("{s:o}", "Path", cli_json_text(place, strlen(place))));
		api_end(get->call, 0, NULL);
	}
	free(place);
}

/* The last part of a path, malloc'd: what is got is called so. */
static char *path_name(const char *path)
{
	struct dag_path parsed;
	const char *why;

	if (api_is_name(path) && dag_path_clean(path, parsed.text) == 0)
		return xstrdup(strrchr(parsed.text, '/') + 1);
	if (dag_path_parse(path, &parsed, &why))
		return xstrdup(path);
	return xstrdup(strrchr(parsed.text, '/') + 1);
}

static char *check_get(const json_t *args)
{
	const char *given = api_text(args, "output");

	return given && !*given ? xstrdup("--output names no place") : NULL;
}

/* Finds what the path names, and writes it to its place. */
static void run_get(struct api_call *call)
{
	const char *path = api_word(call->args, 0);
	struct get get = { .call = call, .shows = api_flag(call->args, "progress") };
	struct dag_stat stat;
	struct cid cid;
	char *name;
	int err;

	if (!((struct api_host *)call->host)->own_files) {
		api_refuse(call, -EPERM, "get writes files of this machine: not for this caller");
		return;
	}
	get.blocks = api_blocks(call, true);
	if (api_resolve(call, get.blocks, path, &cid)) {
		blocks_free(get.blocks);
		return;
	}
	err = dag_stat(get.blocks, &cid, api_wait(call), &stat);
	if (err) {
		api_fail(call, err, "cannot get %s", path);
	} else {
		name = path_name(path);
		get.progress = (struct api_progress){ .what = "got", .total_bytes = stat.size };
		if (stat.type == DAG_DIRECTORY) /* a file asks ahead by itself */
			get.scout = dag_scout_start(get.blocks, &cid);
		get_to(&get, &cid, &stat, api_text(call->args, "output"), name);
		dag_scout_stop(get.scout);
		free(name);
	}
	buf_release(&get.at);
	blocks_free(get.blocks);
}

static void get_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "Saving file(s) to %s\n", api_member(item, "Path"));
}

const struct api_row api_get = {
	.command = { "get", "PATH", 1, 1, "write a file or a tree to the disk",
		     "Files appear under their names only when they are complete. Permissions and "
		     "times are set where stored;\n"
		     "symlinks are made but never followed. A tree comes into PLACE itself, a file "
		     "into a directory of that\n"
		     "name when there is one; what is a device or a pipe is written into. Entries "
		     "with names that no disk can\n"
		     "hold are told, and the exit code is 1 when the rest was written.",
		     options, NULL },
	.check = check_get,
	.text = get_text,
	.run = run_get,
};
