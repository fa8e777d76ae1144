/* add: files, trees and the input become blocks, with the CIDs that Kubo gives. Durable when it
 * returns. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINES_BYTES 65536 /* of output that wait for their blocks */

static const struct option_spec options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "add directories with all below them", NULL },
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs", NULL },
	{ "quieter", 'Q', OPTION_FLAG, NULL, "only the CID of what was added", NULL },
	{ "silent", 0, OPTION_FLAG, NULL, "print nothing", NULL },
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ "only-hash", 'n', OPTION_FLAG, NULL, "tell the CIDs and store nothing", NULL },
	{ "wrap-with-directory", 'w', OPTION_FLAG, NULL, "put everything into one directory",
	  NULL },
	{ "pin", 0, OPTION_FLAG, NULL, "keep it", "true" },
	{ "pin-name", 0, OPTION_TEXT, "NAME", "name of the pin", NULL },
	{ "hidden", 'H', OPTION_FLAG, NULL, "also what begins with a dot", NULL },
	{ "dereference-args", 0, OPTION_FLAG, NULL, "follow symlinks among the arguments", NULL },
	{ "cid-version", 0, OPTION_INT, "0|1", "[as the profile says]", NULL },
	{ "raw-leaves", 0, OPTION_FLAG, NULL, "leaves are raw blocks [as the profile says]", NULL },
	{ "chunker", 's', OPTION_TEXT, "HOW", "size-N, rabin-MIN-AVG-MAX, buzhash [profile]",
	  NULL },
	{ "trickle", 't', OPTION_FLAG, NULL, "trickle layout", NULL },
	{ "hash", 0, OPTION_TEXT, "NAME", "hash function [sha2-256]", NULL },
	{ "profile", 0, OPTION_TEXT, "NAME", "unixfs-v1-2025, unixfs-v0-2015 [Import.Profile]",
	  NULL },
	{ "preserve-mode", 0, OPTION_FLAG, NULL, "store permissions", NULL },
	{ "preserve-mtime", 0, OPTION_FLAG, NULL, "store modification times", NULL },
	{ "stdin-name", 0, OPTION_TEXT, "NAME", "what the input is called", NULL },
	{ 0 },
};

struct add {
	struct invocation *in;
	struct import_config config;
	struct blocks blocks;
	struct progress *progress;
	struct dir_builder *wrapper; /* NULL: each argument stands by itself */
	struct cid last;
	struct buf lines; /* not yet printed */
};

/* Whoever reads a line may rely on it: none comes out before its block is on disk. */
static int print_lines(struct add *add)
{
	int err = 0;

	if (!add->lines.len)
		return 0;
	if (!add->config.only_hash)
		err = store_sync(add->in->repo->store);
	if (!err)
		fwrite(add->lines.at, 1, add->lines.len, stdout);
	buf_clear(&add->lines);
	return err;
}

static void print_added(struct add *add, const char *name, const struct cid *cid, uint64_t size)
{
	struct invocation *in = add->in;
	char text[CID_TEXT_MAX], safe[1024], *json;
	json_t *value;

	if (cli_flag(in, "silent") || cli_flag(in, "quieter"))
		return;
	cli_cid(in, cid, text);
	if (in->json) {
		value = json_pack("{s:s, s:s, s:o}", "Name", name, "Hash", text, "Size",
				  json_sprintf("%" PRIu64, size));
		json = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER);
		buf_printf(&add->lines, "%s\n", json ? json : "null");
		json_decref(value);
		free(json);
	} else if (cli_flag(in, "quiet")) {
		buf_printf(&add->lines, "%s\n", text);
	} else {
		buf_printf(&add->lines, "added %s %s\n", text,
			   cli_safe(safe, sizeof(safe), name, strlen(name)));
	}
	if (add->lines.len >= LINES_BYTES)
		print_lines(add);
}

static void on_done(void *ctx, const struct import_event *event)
{
	struct add *add = ctx;

	print_added(add, event->path, event->cid, event->size);
}

static void on_bytes(void *ctx, uint64_t bytes)
{
	struct add *add = ctx;

	progress_add(add->progress, bytes);
}

/* The import as profile and options have it. 0 or an exit code. */
static int configure(struct add *add)
{
	struct invocation *in = add->in;
	struct import_config *config = &add->config;
	const char *profile = cli_text(in, "profile"), *why;
	int64_t hash;

	if (!profile)
		profile = config_str(in->repo->config, "Import.Profile", "unixfs-v1-2025");
	if (import_profile(config, profile))
		return cli_usage(in, "unknown profile '%s'", profile);
	if (cli_given(in, "cid-version")) {
		config->cid_version = (unsigned)cli_int(in, "cid-version");
		config->raw_leaves = config->cid_version == 1;
	}
	if (cli_given(in, "hash")) {
		hash = hash_by_name(cli_text(in, "hash"));
		if (hash < 0)
			return cli_usage(in, "unknown hash function '%s'", cli_text(in, "hash"));
		config->hash_code = (uint64_t)hash;
		if (hash != HASH_SHA2_256 && !cli_given(in, "cid-version"))
			config->cid_version = 1;
	}
	if (cli_given(in, "raw-leaves"))
		config->raw_leaves = cli_flag(in, "raw-leaves");
	if (cli_given(in, "chunker"))
		snprintf(config->chunker, sizeof(config->chunker), "%s", cli_text(in, "chunker"));
	if (cli_flag(in, "trickle"))
		config->layout = LAYOUT_TRICKLE;
	config->hidden = cli_flag(in, "hidden");
	config->preserve_mode = cli_flag(in, "preserve-mode");
	config->preserve_mtime = cli_flag(in, "preserve-mtime");
	config->only_hash = cli_flag(in, "only-hash");
	config->on_done = on_done;
	config->on_bytes = on_bytes;
	config->ctx = add;
	if (import_config_check(config, &why))
		return cli_usage(in, "%s", why);
	return EXIT_OK;
}

/* Everything is on disk first, then the pin, then the world is told. */
static int keep(struct add *add, const struct cid *root, uint64_t size)
{
	struct invocation *in = add->in;
	const char *name = cli_given(in, "pin-name") ? cli_text(in, "pin-name") : "";
	int err;

	if (add->config.only_hash) {
		print_lines(add);
		return EXIT_OK;
	}
	err = store_sync(in->repo->store);
	if (err)
		return cli_fail(in, err, "cannot write the store");
	if (cli_flag(in, "pin"))
		err = pin_record(in->repo->db, root, PIN_RECURSIVE, name, 0, size);
	if (err)
		return cli_fail(in, err, "cannot record the pin");
	print_lines(add);
	cli_announce(in, root);
	return EXIT_OK;
}

static int finish_one(struct add *add, const char *name, const struct cid *cid, uint64_t size)
{
	add->last = *cid;
	if (!add->wrapper)
		return keep(add, cid, size);
	if (dir_builder_add(add->wrapper, bytes_str(name), cid, size))
		return cli_fail(add->in, 0, "'%s' cannot be a name in a directory", name);
	return EXIT_OK;
}

static int add_stdin(struct add *add)
{
	const char *given = cli_text(add->in, "stdin-name");
	char text[CID_TEXT_MAX];
	struct cid cid;
	uint64_t size;
	int err =
		import_fd(&add->blocks, STDIN_FILENO, &add->config, cli_wait(add->in), &cid, &size);

	progress_end(add->progress);
	add->progress = NULL;
	if (err)
		return cli_fail(add->in, err, "cannot add the input");
	print_added(add, given ? given : cli_cid(add->in, &cid, text), &cid, size);
	return finish_one(add, given ? given : cid_text(&cid, text), &cid, size);
}

/* What a path is called: its last part; of "." and ".." that of the directory meant. NULL when
 * there is none. */
static char *name_of(const char *path)
{
	char *copy = xstrdup(path), *name = NULL, *real = NULL, *slash;
	size_t len = strlen(copy);

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = 0;
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		real = realpath(path, NULL);
		slash = real ? strrchr(real, '/') : NULL;
		name = slash ? slash + 1 : NULL;
	}
	name = name && *name ? xstrdup(name) : NULL;
	free(real);
	free(copy);
	return name;
}

/* Adds up file sizes for the progress line; a large tree is not walked twice: one file only. */
static uint64_t expected_bytes(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
}

static int add_named(struct add *add, const char *path, const char *name)
{
	struct invocation *in = add->in;
	char *failed = NULL, safe[512];
	struct stat st;
	struct cid cid;
	uint64_t size;
	int err;

	if (lstat(path, &st))
		return cli_fail(in, -errno, "%s", path);
	if (S_ISDIR(st.st_mode) && !cli_flag(in, "recursive"))
		return cli_fail(in, 0,
				"'%s' is a directory, use the '-r' flag to specify directories",
				path);
	if (cli_flag(in, "progress") && !cli_flag(in, "silent"))
		add->progress = progress_start("added", expected_bytes(&st));
	err = import_path(&add->blocks, path, name, &add->config, cli_wait(in), &cid, &size,
			  &failed);
	progress_end(add->progress);
	add->progress = NULL;
	if (err) {
		failed = failed ? failed : xstrdup(path);
		err = cli_fail(in, err, "cannot add %s",
			       cli_safe(safe, sizeof(safe), failed, strlen(failed)));
	} else {
		err = finish_one(add, name, &cid, size);
	}
	free(failed);
	return err;
}

static int add_path(struct add *add, const char *path)
{
	char *real = NULL, *name;
	int code;

	if (strcmp(path, "-") == 0)
		return add_stdin(add);
	name = name_of(path);
	if (!name) {
		code = cli_fail(add->in, access(path, F_OK) ? -errno : 0,
				"cannot tell a name for '%s'", path);
		return code;
	}
	if (cli_flag(add->in, "dereference-args"))
		real = realpath(path, NULL);
	code = add_named(add, real ? real : path, name);
	free(real);
	free(name);
	return code;
}

static int wrap(struct add *add)
{
	struct cid cid;
	uint64_t size;
	int err = dir_builder_finish(add->wrapper, 0, false, 0, 0, &cid, &size);

	if (err)
		return cli_fail(add->in, err, "cannot make the directory around it");
	print_added(add, "", &cid, size);
	add->last = cid;
	return keep(add, &cid, size);
}

static int add_all(struct add *add)
{
	struct invocation *in = add->in;
	char text[CID_TEXT_MAX];
	int code = EXIT_OK;

	if (cli_flag(in, "wrap-with-directory"))
		add->wrapper = dir_builder_new(&add->blocks, &add->config);
	if (!in->argc)
		code = add_stdin(add);
	for (int i = 0; i < in->argc && !code; i++)
		code = add_path(add, in->argv[i]);
	if (!code && add->wrapper)
		code = wrap(add);
	dir_builder_free(add->wrapper);
	if (!code && cli_flag(in, "quieter") && !cli_flag(in, "silent"))
		puts(cli_cid(in, &add->last, text));
	return code;
}

static int run(struct invocation *in)
{
	struct add add = { .in = in };
	int lock, code = cli_need_repo(in);

	if (code)
		return code;
	code = configure(&add);
	if (code)
		return code;
	lock = cli_gc_lock(in, false);
	if (lock < 0)
		return EXIT_FAILED;
	cli_blocks(in, &add.blocks);
	code = add_all(&add);
	print_lines(&add); /* what was stored before an error */
	buf_release(&add.lines);
	blocks_release(&add.blocks);
	close(lock);
	return code;
}

const struct command cmd_add = {
	"add",
	"[PATH...]",
	0,
	-1,
	"store files and directories, and pin them",
	"Without PATH, or for \"-\", the input is added. When it returns everything is on disk.",
	options,
	run,
};
