/* How `add` stores: its options, and what the configuration says in their place. The thread that
 * runs the call. */
#include "fs/api/api_add.h"

#include "fs/repo.h"
#include "net/base/alloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct option_spec add_options[] = {
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

static bool is_given(const struct add *add, const char *name)
{
	return json_object_get(add->args, name) != NULL;
}

/* A whole number of an option, at most max; *out stays when it is not given. 0 or an error. */
static int add_config_number(struct add *add, const char *name, int64_t max, unsigned *out)
{
	int64_t value = api_int(add->args, name);

	if (!is_given(add, name))
		return 0;
	if (value < 0 || value > max)
		return add_refuse(add, API_USAGE, "--%s is not within 0..%" PRId64, name, max);
	*out = (unsigned)value;
	return 0;
}

/* Version, hash function and leaves; as Kubo, another hash implies version 1, and that raw leaves.
 */
static int configure_names(struct add *add)
{
	struct import_config *config = &add->config;
	bool given = is_given(add, "cid-version");
	int err = add_config_number(add, "cid-version", 1, &config->cid_version);
	int64_t hash;

	if (is_given(add, "hash")) {
		hash = hash_by_name(api_text(add->args, "hash"));
		if (hash < 0)
			return add_refuse(add, API_USAGE, "unknown hash function '%s'",
					  api_text(add->args, "hash"));
		config->hash_code = (uint64_t)hash;
		if (hash != HASH_SHA2_256 && !given) {
			config->cid_version = 1;
			given = true;
		}
	}
	if (given)
		config->raw_leaves = config->cid_version == 1;
	if (is_given(add, "raw-leaves"))
		config->raw_leaves = api_flag(add->args, "raw-leaves");
	if (api_flag(add->args, "inline")) {
		config->inline_max = IMPORT_INLINE_DEFAULT;
		err = err ? err
			  : add_config_number(add, "inline-limit", IMPORT_INLINE_MAX,
					      &config->inline_max);
	}
	return err;
}

static int configure_layout(struct add *add)
{
	struct import_config *config = &add->config;
	const char *estimate = api_text(add->args, "hamt-estimate");
	int err = add_config_number(add, "max-file-links", UINT32_MAX, &config->links_max);

	if (!err)
		err = add_config_number(add, "max-directory-links", UINT32_MAX,
					&config->dir_links_max);
	if (!err)
		err = add_config_number(add, "max-hamt-fanout", UINT32_MAX, &config->hamt_fanout);
	if (err)
		return err;
	if (is_given(add, "chunker")) {
		if (strlen(api_text(add->args, "chunker")) >= sizeof(config->chunker))
			return add_refuse(add, API_USAGE, "chunker's name is too long");
		strcpy(config->chunker, api_text(add->args, "chunker"));
	}
	if (api_flag(add->args, "trickle"))
		config->layout = LAYOUT_TRICKLE;
	if (is_given(add, "hamt-threshold"))
		config->hamt_threshold = (uint64_t)api_int(add->args, "hamt-threshold");
	if (!estimate)
		return 0;
	if (strcmp(estimate, "links") && strcmp(estimate, "block"))
		return add_refuse(add, API_USAGE, "--hamt-estimate is neither links nor block");
	config->hamt_estimate = strcmp(estimate, "links") ? ESTIMATE_BLOCK : ESTIMATE_LINKS;
	return 0;
}

static int configure_metadata(struct add *add)
{
	struct import_config *config = &add->config;
	const char *mode = api_text(add->args, "mode");
	unsigned long value;
	char *end;
	int err = add_config_number(add, "mtime-nsecs", 999999999, &config->mtime_nanos);

	if (err)
		return err;
	config->preserve_mode = api_flag(add->args, "preserve-mode");
	config->preserve_mtime = api_flag(add->args, "preserve-mtime");
	config->has_mtime = is_given(add, "mtime");
	config->mtime = api_int(add->args, "mtime");
	if (is_given(add, "mtime-nsecs") && !config->has_mtime)
		return add_refuse(add, API_USAGE, "--mtime-nsecs needs --mtime");
	if (mode) {
		value = strtoul(mode, &end, 0);
		if (*mode < '0' || *mode > '9' || *end || value > 07777)
			return add_refuse(add, API_USAGE, "--mode is not within 0..07777");
		config->mode = (uint32_t)value;
	}
	if (api_flag(add->args, "raw-leaves") &&
	    (config->preserve_mode || config->preserve_mtime || config->mode || config->has_mtime))
		return add_refuse(add, API_USAGE,
				  "raw leaves have no place for a mode or a modification time");
	return 0;
}

/* What of a tree is taken. */
static int configure_choice(struct add *add)
{
	struct import_config *config = &add->config;
	const char *file = api_text(add->args, "ignore-rules-path");
	const json_t *rule;
	int err = 0;
	size_t i;

	config->hidden = api_flag(add->args, "hidden");
	config->follow_symlinks = api_flag(add->args, "dereference-symlinks");
	config->skip_empty_dirs = !api_flag(add->args, "empty-dirs");
	if (!file && !is_given(add, "ignore"))
		return 0;
	config->ignore = add->ignore = ignore_new();
	if (file)
		err = ignore_add_file(add->ignore, file);
	if (err)
		return add_fail(add, err, "cannot take the rules of %s", file);
	json_array_foreach(json_object_get(add->args, "ignore"), i, rule) {
		if (ignore_add(add->ignore, json_string_value(rule)))
			return add_refuse(add, API_USAGE, "too many rules, or one too long");
	}
	return 0;
}

/* Options that a key of the configuration says where the command line does not. */
static const struct setting {
	const char *option, *key;
} settings[] = {
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

static const struct option_spec *option_of(const char *name)
{
	for (const struct option_spec *at = add_options; at->name; at++)
		if (strcmp(at->name, name) == 0)
			return at;
	abort(); /* a setting of no option */
}

/* As if the option had been given. */
static void imply(struct add *add, const char *option, const json_t *value)
{
	char said[32];

	if (!is_given(add, option))
		json_object_set_new(add->args, option,
				    api_value(option_of(option), setting_text(value, said)));
}

/* `--profile` asks for just that profile, and a mode or time turns raw leaves off. */
static void take_settings(struct add *add)
{
	bool no_raw = api_flag(add->args, "preserve-mode") ||
		      api_flag(add->args, "preserve-mtime") || is_given(add, "mode") ||
		      is_given(add, "mtime");

	for (size_t i = 0; i < ARRAY_LEN(settings) && !is_given(add, "profile"); i++) {
		const json_t *value = config_get(api_repo(add->call)->config, settings[i].key);

		if (value && !(no_raw && strcmp(settings[i].option, "raw-leaves") == 0))
			imply(add, settings[i].option, value);
	}
}

int add_configure(struct add *add)
{
	struct import_config *config = &add->config;
	const char *profile = api_text(add->args, "profile"), *why;
	int err;

	take_settings(add);
	if (!profile)
		profile = config_str(api_repo(add->call)->config, "Import.Profile");
	if (import_profile(config, profile))
		return add_refuse(add, API_USAGE, "unknown profile '%s'", profile);
	err = configure_names(add);
	if (!err)
		err = configure_layout(add);
	if (!err)
		err = configure_metadata(add);
	if (!err)
		err = configure_choice(add);
	if (err)
		return err;
	config->only_hash = api_flag(add->args, "only-hash");
	if (api_flag(add->args, "cache"))
		config->seen = api_repo(add->call)->db;
	if (import_config_check(config, &why))
		return add_refuse(add, API_USAGE, "%s", why);
	return 0;
}
