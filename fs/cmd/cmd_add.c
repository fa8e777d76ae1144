/* add: files, trees and the input become blocks, with the CIDs that Kubo gives. Durable when it
 * returns. */
#include "fs/cmd/add_names.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTINGS 10	  /* options that the configuration may say */
#define LINES_BYTES 65536 /* of output that wait for their blocks */

static const struct option_spec options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "add directories with all below them", NULL },
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs", NULL },
	{ "quieter", 'Q', OPTION_FLAG, NULL, "only the CID of what was added last", NULL },
	{ "silent", 0, OPTION_FLAG, NULL, "print nothing", NULL },
	{ "progress", 'p', OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ "only-hash", 'n', OPTION_FLAG, NULL, "tell the CIDs and store nothing", NULL },
	{ "wrap-with-directory", 'w', OPTION_FLAG, NULL, "put everything into one directory",
	  NULL },
	{ "pin", 0, OPTION_FLAG, NULL, "keep it", "true" },
	{ "pin-name", 0, OPTION_TEXT, "NAME", "name of the pin", NULL },
	{ "hidden", 'H', OPTION_FLAG, NULL, "also what begins with a dot", NULL },
	{ "ignore", 0, OPTION_LIST, "PATTERN", "leave out, as a line of .gitignore would; repeat",
	  NULL },
	{ "ignore-rules-path", 0, OPTION_TEXT, "FILE", "leave out what this .gitignore says",
	  NULL },
	{ "empty-dirs", 'E', OPTION_FLAG, NULL, "also directories with nothing in them", "true" },
	{ "dereference-args", 0, OPTION_FLAG, NULL, "follow symlinks among the arguments", NULL },
	{ "dereference-symlinks", 0, OPTION_FLAG, NULL, "follow every symlink", NULL },
	{ "cid-version", 0, OPTION_INT, "0|1", "1 implies --raw-leaves [profile]", NULL },
	{ "raw-leaves", 0, OPTION_FLAG, NULL, "leaves are raw blocks [profile]", NULL },
	{ "chunker", 's', OPTION_TEXT, "HOW", "size-N, rabin-MIN-AVG-MAX, buzhash [profile]",
	  NULL },
	{ "trickle", 't', OPTION_FLAG, NULL, "trickle layout", NULL },
	{ "hash", 0, OPTION_TEXT, "NAME",
	  "sha2-512, blake2b-256, blake3..., which imply --cid-version=1 [sha2-256]", NULL },
	{ "inline", 0, OPTION_FLAG, NULL, "small blocks stay within their CIDs", NULL },
	{ "inline-limit", 0, OPTION_INT, "BYTES", "up to so many, at most 128", "32" },
	{ "max-file-links", 0, OPTION_INT, "N", "links of a file's node [profile]", NULL },
	{ "max-directory-links", 0, OPTION_INT, "N",
	  "a directory with more becomes a HAMT; 0: by size alone [0]", NULL },
	{ "max-hamt-fanout", 0, OPTION_INT, "N", "links of a HAMT's node [256]", NULL },
	{ "hamt-threshold", 0, OPTION_SIZE, "SIZE",
	  "a larger directory becomes a HAMT; 0: every one [256KiB]", NULL },
	{ "hamt-estimate", 0, OPTION_TEXT, "HOW", "how its size is judged: links, block [profile]",
	  NULL },
	{ "profile", 0, OPTION_TEXT, "NAME", "unixfs-v1-2025, unixfs-v0-2015 [Import.Profile]",
	  NULL },
	{ "preserve-mode", 0, OPTION_FLAG, NULL, "store permissions", NULL },
	{ "preserve-mtime", 0, OPTION_FLAG, NULL, "store modification times", NULL },
	{ "mode", 0, OPTION_TEXT, "MODE", "store these permissions, as 0644", NULL },
	{ "mtime", 0, OPTION_INT, "SECONDS", "store this modification time, since 1970", NULL },
	{ "mtime-nsecs", 0, OPTION_INT, "NANOS", "its part below a second", NULL },
	{ "stdin-name", 0, OPTION_TEXT, "NAME", "what the input is called", NULL },
	{ "cache", 0, OPTION_FLAG, NULL, "do not read files again that have not changed", "true" },
	{ 0 },
};

struct add {
	struct invocation *in;
	struct import_config config;
	struct ignore *ignore;
	struct blocks *blocks;
	struct progress *progress;
	struct dir_builder *wrapper; /* NULL: each argument stands by itself */
	struct cid last;
	struct buf lines;	 /* not yet printed */
	size_t tried;		 /* bytes in lines when the disk last failed */
	char said[SETTINGS][32]; /* values that the configuration says, as text */
};

/* Whoever reads a line may rely on it: none comes out before its block is on disk. While the disk
 * fails they wait: the end tells, or a later attempt. */
static int print_lines(struct add *add)
{
	int err = 0;

	if (!add->lines.len)
		return 0;
	if (!add->config.only_hash)
		err = blocks_sync(add->blocks);
	add->tried = err ? add->lines.len : 0;
	if (err)
		return err;
	fwrite(add->lines.at, 1, add->lines.len, stdout);
	buf_clear(&add->lines);
	return 0;
}

static void print_added(struct add *add, const char *name, const struct cid *cid, uint64_t size)
{
	struct invocation *in = add->in;
	char text[CID_TEXT_MAX], *json;
	json_t *value;

	if (cli_flag(in, "silent") || cli_flag(in, "quieter"))
		return;
	cli_cid(in, cid, text);
	if (in->json) {
		value = json_pack("{s:o, s:s, s:o}", "Name", cli_json_text(name, strlen(name)),
				  "Hash", text, "Size", json_sprintf("%" PRIu64, size));
		json = json_dumps(value, JSON_COMPACT | JSON_PRESERVE_ORDER);
		buf_printf(&add->lines, "%s\n", json ? json : "null");
		json_decref(value);
		free(json);
	} else if (cli_flag(in, "quiet")) {
		buf_printf(&add->lines, "%s\n", text);
	} else {
		buf_printf(&add->lines, "added %s ", text);
		cli_add_safe(&add->lines, name, strlen(name));
		buf_add_u8(&add->lines, '\n');
	}
	if (add->lines.len - add->tried >= LINES_BYTES)
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

/* ---- options ---- */

/* A whole number of an option, at most max; *out stays when it is not given. 0 or an exit code. */
static int number(struct invocation *in, const char *name, int64_t max, unsigned *out)
{
	int64_t value = cli_int(in, name);

	if (!cli_given(in, name))
		return EXIT_OK;
	if (value < 0 || value > max)
		return cli_usage(in, "--%s is not within 0..%" PRId64, name, max);
	*out = (unsigned)value;
	return EXIT_OK;
}

/* Version, hash function and leaves; as Kubo, another hash implies version 1, and that raw leaves.
 */
static int configure_names(struct add *add)
{
	struct invocation *in = add->in;
	struct import_config *config = &add->config;
	bool given = cli_given(in, "cid-version");
	int code = number(in, "cid-version", 1, &config->cid_version);
	int64_t hash;

	if (cli_given(in, "hash")) {
		hash = hash_by_name(cli_text(in, "hash"));
		if (hash < 0)
			return cli_usage(in, "unknown hash function '%s'", cli_text(in, "hash"));
		config->hash_code = (uint64_t)hash;
		if (hash != HASH_SHA2_256 && !given) {
			config->cid_version = 1;
			given = true;
		}
	}
	if (given)
		config->raw_leaves = config->cid_version == 1;
	if (cli_given(in, "raw-leaves"))
		config->raw_leaves = cli_flag(in, "raw-leaves");
	if (cli_flag(in, "inline")) {
		config->inline_max = IMPORT_INLINE_DEFAULT;
		code = code ? code
			    : number(in, "inline-limit", IMPORT_INLINE_MAX, &config->inline_max);
	}
	return code;
}

static int configure_layout(struct add *add)
{
	struct invocation *in = add->in;
	struct import_config *config = &add->config;
	const char *estimate = cli_text(in, "hamt-estimate");
	int code = number(in, "max-file-links", UINT32_MAX, &config->links_max);

	if (!code)
		code = number(in, "max-directory-links", UINT32_MAX, &config->dir_links_max);
	if (!code)
		code = number(in, "max-hamt-fanout", UINT32_MAX, &config->hamt_fanout);
	if (code)
		return code;
	if (cli_given(in, "chunker")) {
		if (strlen(cli_text(in, "chunker")) >= sizeof(config->chunker))
			return cli_usage(in, "chunker's name is too long");
		strcpy(config->chunker, cli_text(in, "chunker"));
	}
	if (cli_flag(in, "trickle"))
		config->layout = LAYOUT_TRICKLE;
	if (cli_given(in, "hamt-threshold"))
		config->hamt_threshold = cli_amount(in, "hamt-threshold");
	if (!estimate)
		return EXIT_OK;
	if (strcmp(estimate, "links") && strcmp(estimate, "block"))
		return cli_usage(in, "--hamt-estimate is neither links nor block");
	config->hamt_estimate = strcmp(estimate, "links") ? ESTIMATE_BLOCK : ESTIMATE_LINKS;
	return EXIT_OK;
}

static int configure_metadata(struct add *add)
{
	struct invocation *in = add->in;
	struct import_config *config = &add->config;
	const char *mode = cli_text(in, "mode");
	unsigned long value;
	char *end;
	int code = number(in, "mtime-nsecs", 999999999, &config->mtime_nanos);

	if (code)
		return code;
	config->preserve_mode = cli_flag(in, "preserve-mode");
	config->preserve_mtime = cli_flag(in, "preserve-mtime");
	config->has_mtime = cli_given(in, "mtime");
	config->mtime = cli_int(in, "mtime");
	if (cli_given(in, "mtime-nsecs") && !config->has_mtime)
		return cli_usage(in, "--mtime-nsecs needs --mtime");
	if (mode) {
		value = strtoul(mode, &end, 0);
		if (*mode < '0' || *mode > '9' || *end || value > 07777)
			return cli_usage(in, "--mode is not within 0..07777");
		config->mode = (uint32_t)value;
	}
	if (cli_flag(in, "raw-leaves") &&
	    (config->preserve_mode || config->preserve_mtime || config->mode || config->has_mtime))
		return cli_usage(in, "raw leaves have no place for a mode or a modification time");
	return EXIT_OK;
}

/* What of a tree is taken. */
static int configure_choice(struct add *add)
{
	struct invocation *in = add->in;
	struct import_config *config = &add->config;
	const char *rule, *file = cli_text(in, "ignore-rules-path");
	size_t at = 0;
	int err = 0;

	config->hidden = cli_flag(in, "hidden");
	config->follow_symlinks = cli_flag(in, "dereference-symlinks");
	config->skip_empty_dirs = !cli_flag(in, "empty-dirs");
	if (!file && !cli_given(in, "ignore"))
		return EXIT_OK;
	config->ignore = add->ignore = ignore_new();
	if (file)
		err = ignore_add_file(add->ignore, file);
	if (err)
		return cli_fail(in, err, "cannot take the rules of %s", file);
	while ((rule = cli_listed(in, "ignore", &at)))
		if (ignore_add(add->ignore, rule))
			return cli_usage(in, "too many rules, or one too long");
	return EXIT_OK;
}

/* Options that a key of the configuration says where the command line does not. */
static const struct setting {
	const char *option, *key;
} settings[SETTINGS] = {
	{ "cid-version", "Import.CidVersion" },
	{ "hash", "Import.HashFunction" },
	{ "raw-leaves", "Import.UnixFSRawLeaves" },
	{ "chunker", "Import.UnixFSChunker" },
	{ "max-file-links", "Import.UnixFSFileMaxLinks" },
	{ "max-directory-links", "Import.UnixFSDirectoryMaxLinks" },
	{ "max-hamt-fanout", "Import.UnixFSHAMTDirectoryMaxFanout" },
	{ "hamt-threshold", "Import.UnixFSHAMTDirectorySizeThreshold" },
	{ "hamt-estimate", "Import.UnixFSHAMTDirectorySizeEstimation" },
	{ "trickle", "Import.UnixFSDAGLayout" },
};

/* As text of its option; written to out where the file has no text. */
static const char *setting_text(const json_t *value, char out[static 32])
{
	const char *text = json_string_value(value);

	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (text && (!strcmp(text, "trickle") || !strcmp(text, "balanced")))
		return strcmp(text, "trickle") ? "false" : "true";
	if (!text)
		snprintf(out, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return text ? text : out;
}

/* `--profile` asks for just that profile, and a mode or time turns raw leaves off. */
static void take_settings(struct add *add)
{
	struct invocation *in = add->in;
	bool no_raw = cli_flag(in, "preserve-mode") || cli_flag(in, "preserve-mtime") ||
		      cli_given(in, "mode") || cli_given(in, "mtime");

	for (size_t i = 0; i < ARRAY_LEN(settings) && !cli_given(in, "profile"); i++) {
		const json_t *value = config_get(in->repo->config, settings[i].key);

		if (value && !(no_raw && strcmp(settings[i].option, "raw-leaves") == 0))
			cli_imply(in, settings[i].option, setting_text(value, add->said[i]));
	}
}

/* The import as profile, configuration and options have it. 0 or an exit code. */
static int configure(struct add *add)
{
	struct invocation *in = add->in;
	struct import_config *config = &add->config;
	const char *profile = cli_text(in, "profile"), *why;
	int code;

	take_settings(add);
	if (!profile)
		profile = config_str(in->repo->config, "Import.Profile");
	if (import_profile(config, profile))
		return cli_usage(in, "unknown profile '%s'", profile);
	code = configure_names(add);
	if (!code)
		code = configure_layout(add);
	if (!code)
		code = configure_metadata(add);
	if (!code)
		code = configure_choice(add);
	if (code)
		return code;
	config->only_hash = cli_flag(in, "only-hash");
	if (cli_flag(in, "cache"))
		config->seen = in->repo->db;
	config->on_done = on_done;
	config->on_bytes = on_bytes;
	config->ctx = add;
	if (import_config_check(config, &why))
		return cli_usage(in, "%s", why);
	return EXIT_OK;
}

/* ---- adding ---- */

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
	err = blocks_sync(add->blocks);
	if (err)
		return cli_fail(in, err, "cannot write the store");
	if (cli_flag(in, "pin"))
		err = pin_record(in->repo->db, root, PIN_RECURSIVE, name, 0, size);
	if (err)
		return cli_fail(in, err, "cannot record the pin");
	err = print_lines(add);
	if (err)
		return cli_fail(in, err, "cannot write the store");
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

static int tell_failed(struct add *add, int err, const char *path)
{
	char safe[1024];

	cli_safe(safe, sizeof(safe), path, strlen(path));
	if (err == -ESTALE)
		return cli_fail(add->in, 0, "cannot add %s: changed while being read", safe);
	return cli_fail(add->in, err, "cannot add %s", safe);
}

/* What comes out of fd until its end; name NULL: it is called as its CID. */
static int add_stream(struct add *add, int fd, const char *path, const char *name)
{
	char text[CID_TEXT_MAX];
	struct cid cid;
	uint64_t size;
	int err = import_fd(add->blocks, fd, &add->config, cli_wait(add->in), &cid, &size);

	progress_end(add->progress);
	add->progress = NULL;
	if (err)
		return tell_failed(add, err, path);
	print_added(add, name ? name : cli_cid(add->in, &cid, text), &cid, size);
	return finish_one(add, name ? name : cid_text(&cid, text), &cid, size);
}

static int add_stdin(struct add *add)
{
	return add_stream(add, STDIN_FILENO, "the input", cli_text(add->in, "stdin-name"));
}

/* A pipe with a name, when it is named on the command line, as Kubo does. Without waiting here:
 * import_fd() waits, interruptibly. */
static int add_fifo(struct add *add, const char *path, const char *name)
{
	int code, fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return cli_fail_file(add->in, -errno, "cannot add %s", path);
	code = add_stream(add, fd, path, name);
	close(fd);
	return code;
}

/* Adds up file sizes for the progress line; a large tree is not walked twice: one file only. */
static uint64_t expected_bytes(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
}

/* Adds one path under a name, with progress if it is wanted, and prints what came of it. */
static int add_named(struct add *add, const char *path, const char *name)
{
	struct invocation *in = add->in;
	char *failed = NULL;
	struct stat st;
	struct cid cid;
	uint64_t size;
	int err;

	if (add->config.follow_symlinks ? stat(path, &st) : lstat(path, &st))
		return cli_fail(in, -errno, "%s", path);
	if (S_ISDIR(st.st_mode) && !cli_flag(in, "recursive"))
		return cli_fail(in, 0,
				"'%s' is a directory, use the '-r' flag to specify directories",
				path);
	if (cli_flag(in, "progress") && !cli_flag(in, "silent"))
		add->progress = progress_start("added", expected_bytes(&st));
	err = import_path(add->blocks, path, name, &add->config, cli_wait(in), &cid, &size,
			  &failed);
	progress_end(add->progress);
	add->progress = NULL;
	if (err) {
		failed = failed ? failed : xstrdup(path);
		err = tell_failed(add, err, failed);
	} else {
		err = finish_one(add, name, &cid, size);
	}
	free(failed);
	return err;
}

/* Also one that no path leads to, as those of a shell's <(...). */
static bool is_fifo(const struct add *add, const char *path)
{
	bool follow = cli_flag(add->in, "dereference-args") || add->config.follow_symlinks;
	struct stat st;

	return (follow ? stat(path, &st) : lstat(path, &st)) == 0 && S_ISFIFO(st.st_mode);
}

static int add_path(struct add *add, const char *path)
{
	char *real = NULL, *name;
	int code;

	if (strcmp(path, "-") == 0)
		return add_stdin(add);
	name = add_name(path);
	if (!name) {
		code = cli_fail(add->in, access(path, F_OK) ? -errno : 0,
				"cannot tell a name for '%s'", path);
		return code;
	}
	if (cli_flag(add->in, "dereference-args"))
		real = realpath(path, NULL);
	code = is_fifo(add, path) ? add_fifo(add, path, name)
				  : add_named(add, real ? real : path, name);
	free(real);
	free(name);
	return code;
}

static int wrap(struct add *add)
{
	struct cid cid;
	uint64_t size;
	const struct import_config *config = &add->config;
	int err = dir_builder_finish(add->wrapper, config->mode, config->has_mtime, config->mtime,
				     config->mtime_nanos, &cid, &size);

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

	if (cli_flag(in, "wrap-with-directory")) {
		add->wrapper = dir_builder_new(add->blocks, &add->config);
		code = add_names_check(in);
	}
	if (!in->argc && !code)
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
	int code = cli_need_repo(in);

	if (code)
		return code;
	code = configure(&add);
	if (!code) {
		add.blocks = cli_blocks(in);
		blocks_batch_begin(add.blocks);
		code = add_all(&add);
		print_lines(&add); /* what was stored before an error */
		blocks_free(add.blocks);
	}
	buf_release(&add.lines);
	ignore_free(add.ignore);
	return code;
}

const struct command cmd_add = {
	"add",
	"[PATH...]",
	0,
	-1,
	"store files and directories, and pin them",
	"Without PATH, or for \"-\", the input is added; a named pipe is read to its end. When it "
	"returns\n"
	"everything is on disk.\n"
	"Rules of --ignore are those of .gitignore, seen from each PATH: \"name\" anywhere, "
	"\"dir/\" a\n"
	"directory, \"/a\" and \"a/b\" from PATH, \"**\" any directories, \"!\" takes back; of "
	"several the\n"
	"last that fits decides, those of the file first. PATH itself is never left out.\n"
	"A file added before with the same options, and with the same path, device, inode, size "
	"and\n"
	"times, is not read again while its blocks are stored; --cache=false reads it.\n"
	"A mode or time, said or preserved, turns raw leaves off.",
	options,
	run,
};
