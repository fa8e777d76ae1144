/* get: a file or tree is written to the disk, or to the output. Where to is decided here, what it
 * holds is written by get_tree. */
#include "fs/cmd/get_tree.h"

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
	bool output = is_output(place);
	int code, fd = STDOUT_FILENO;

	if (!output) {
		fd = open(place, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			return cli_fail_file(get->in, -errno, "cannot write to %s", place);
	}
	code = get_bytes(get, fd, cid);
	if (!output && close(fd) && !code)
		code = cli_fail_file(get->in, -errno, "cannot write to %s", place);
	return code;
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
	if (err)
		return cli_fail_file(get->in, err, "cannot write to %s", place);
	return get_entries(get, fd, cid, stat);
}

static int write_one(struct get *get, const char *place, const struct cid *cid,
		     const struct dag_stat *stat)
{
	char *parent = parent_of(place);
	int code, fd = open(*parent ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		code = cli_fail_file(get->in, -errno, "cannot write to %s", parent);
	} else {
		code = (stat->type == DAG_FILE ? get_file : get_symlink)(get, fd, name_of(place),
									 cid, stat);
		close(fd);
	}
	free(parent);
	return code;
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

/* given: by --output, or NULL; name: of what is got. */
static int get_to(struct get *get, const struct cid *cid, const struct dag_stat *stat,
		  const char *given, const char *name)
{
	bool into = given && (strcmp(given, "-") == 0 || is_to_be_written_into(given));
	char *place = into ? xstrdup(given) : place_of(given, name, stat), safe[1024];
	int code;

	buf_add_str(&get->at, place);
	cli_safe(safe, sizeof(safe), place, strlen(place));
	if (stat->type == DAG_OTHER)
		code = get_tell(get, 0);
	else if (into && stat->type != DAG_FILE)
		code = cli_fail(get->in, 0, "cannot write to %s: only a file can be written there",
				safe);
	else if (into)
		code = write_into(get, place, cid);
	else if (stat->type == DAG_DIRECTORY)
		code = write_directory(get, place, cid, stat);
	else
		code = write_one(get, place, cid, stat);
	if (get->left_out)
		code = cli_fail(get->in, 0, "entries left out of %s: %llu", safe,
				(unsigned long long)get->left_out);
	if (!code && get->in->json && !(into && is_output(place)))
		cli_print_json(json_pack("{s:o}", "Path", cli_json_text(place, strlen(place))));
	else if (!code && !(into && is_output(place)))
		printf("Saving file(s) to %s\n", place);
	free(place);
	return code;
}

/* The command: finds what the path names, and writes it to its place. */
static int run(struct invocation *in)
{
	const char *given = cli_text(in, "output");
	struct blocks *blocks;
	struct get get = { .in = in };
	struct dag_stat stat;
	struct cid cid;
	char *name;
	int err, code;

	if (given && !*given)
		return cli_usage(in, "--output names no place");
	code = cli_need_repo(in);
	if (code)
		return code;
	blocks = get.blocks = cli_blocks(in);
	code = cli_resolve(in, blocks, in->argv[0], &cid);
	if (!code) {
		name = cli_path_name(in->argv[0]);
		err = dag_stat(blocks, &cid, cli_wait(in), &stat);
		if (err) {
			code = cli_fail(in, err, "cannot get %s", in->argv[0]);
		} else {
			if (cli_flag(in, "progress"))
				get.progress = progress_start("got", stat.size);
			if (stat.type == DAG_DIRECTORY) /* a file asks ahead by itself */
				get.scout = dag_scout_start(blocks, &cid);
			code = get_to(&get, &cid, &stat, given, name);
			dag_scout_stop(get.scout);
			progress_end(get.progress);
		}
		free(name);
	}
	buf_release(&get.at);
	blocks_free(blocks);
	return code;
}

const struct command cmd_get = {
	"get",
	"PATH",
	1,
	1,
	"write a file or a tree to the disk",
	"Files appear under their names only when they are complete. Permissions and times are set "
	"where stored;\n"
	"symlinks are made but never followed. A tree comes into PLACE itself, a file into a "
	"directory "
	"of that\n"
	"name when there is one; what is a device or a pipe is written into. Entries with names "
	"that no "
	"disk can\n"
	"hold are told, and the exit code is 1 when the rest was written.",
	options,
	run,
};
