/* init, id, version, config, help, completion. */
#include "fs/cli.h"
#include "fs/config_keys.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/multibase.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* ---- init ---- */

static const struct option_spec init_options[] = {
	{ "profile", 'p', OPTION_TEXT, "NAME", "default, or test: loopback only, no bootstrap",
	  "default" },
	{ 0 },
};

static int run_init(struct invocation *in)
{
	char id_text[PEER_ID_TEXT_MAX], path[PATH_MAX], *why = NULL;
	const char *profile = cli_text(in, "profile");
	struct peer_id id;
	int code;

	if (strcmp(profile, "default") && strcmp(profile, "test"))
		return cli_usage(in, "unknown profile '%s': there are default and test", profile);
	code = cli_need_path(in);
	if (code)
		return code;
	if (repo_init(in->repo_path, profile, &why)) {
		code = cli_fail(in, 0, "%s", why);
		free(why);
		return code;
	}
	code = cli_need_repo(in);
	if (code)
		return code;
	peer_id_of_identity(&id, in->repo->identity);
	peer_id_text(&id, id_text);
	if (in->json)
		cli_print_json(json_pack("{s:s, s:o}", "ID", id_text, "Path",
					 cli_json_text(in->repo_path, strlen(in->repo_path))));
	else
		printf("generating ED25519 keypair...done\npeer identity: %s\ninitializing dagfs "
		       "node at %s\n",
		       id_text, cli_safe(path, sizeof(path), in->repo_path, strlen(in->repo_path)));
	return EXIT_OK;
}

const struct command cmd_init = {
	"init",
	"",
	0,
	0,
	"make a repository with an identity of its own",
	"The test profile listens on 127.0.0.1 alone, on a port that the system chooses, knows no "
	"bootstrap\n"
	"peers and keeps to itself: for tests and demos.",
	init_options,
	run_init,
};

/* ---- config ---- */

static const struct option_spec config_options[] = {
	{ "json", 0, OPTION_FLAG, NULL, "VALUE is JSON", NULL },
	{ "bool", 0, OPTION_FLAG, NULL, "VALUE is true or false", NULL },
	{ "unset", 0, OPTION_FLAG, NULL, "remove KEY from the file: its default holds again",
	  NULL },
	{ 0 },
};

static void print_value(struct invocation *in, const json_t *value)
{
	if (in->json && in->argc && strcmp(in->argv[0], "show")) { /* Kubo's form of one key */
		cli_print_json(json_pack("{s:s, s:O}", "Key", in->argv[0], "Value", value));
		return;
	}
	if (json_is_string(value)) {
		puts(json_string_value(value));
		return;
	}
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
	putchar('\n');
}

/* Text as the key's type wants it; what is not, config_set() will tell. NULL with *why. */
static json_t *value_of_text(struct invocation *in, const char *key, const char *text, char **why)
{
	const struct config_key *known = config_key(key);
	bool plain = known && (known->type == CONFIG_SIZE || known->type == CONFIG_DURATION ||
			       known->type == CONFIG_CHOICE || known->type == CONFIG_TEXT);
	json_error_t error;
	json_t *value;

	if (cli_flag(in, "bool") && strcmp(text, "true") && strcmp(text, "false")) {
		*why = xasprintf("%s: '%s' is neither true nor false", key, text);
		return NULL;
	}
	if (plain && !cli_flag(in, "json") && !cli_flag(in, "bool")) {
		value = json_string(text);
		if (!value)
			*why = xasprintf("%s: the value is no UTF-8", key);
		return value;
	}
	value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!value && !cli_flag(in, "json"))
		value = json_string(text);
	if (!value)
		*why = xasprintf("%s: '%s' is not JSON: %s", key, text, error.text);
	return value;
}

static int change(struct invocation *in, struct config *config, char **why)
{
	const char *key = in->argv[0];
	json_t *value;
	int err;

	if (cli_flag(in, "unset")) {
		err = config_unset(config, key);
		if (err)
			*why = xasprintf("the configuration does not say %s", key);
		return err;
	}
	/* The name is checked first: if it is mistyped, the value does not matter. */
	if (!config_key(key) && !config_is_section(key)) {
		*why = config_unknown(key);
		return -EINVAL;
	}
	value = value_of_text(in, key, in->argv[1], why);
	return value ? config_set(config, key, value, why) : -EINVAL;
}

/* Two commands that set at once must not undo each other: locked from reading to renaming. */
static int set_value(struct invocation *in, const char *file, char **why)
{
	struct config *config = NULL;
	int fd = repo_lock_file(in->repo_path, REPO_CONFIG_LOCK);
	int err = fd < 0 ? fd : flock(fd, LOCK_EX) ? -errno : 0;

	if (!err)
		err = config_load(file, &config, why);
	if (!err)
		err = change(in, config, why);
	if (!err)
		err = config_save(config);
	if (err && !*why)
		*why = xasprintf("cannot write %s: %s", file, err_file_text(err));
	config_free(config);
	if (fd >= 0)
		close(fd);
	return err;
}

/* A key that the file does not say is shown as what holds. */
static int get_value(struct invocation *in, const char *file, char **why)
{
	const char *key = in->argc ? in->argv[0] : "show";
	struct config *config = NULL;
	json_t *value;
	int err = config_load(file, &config, why);

	if (err)
		return err;
	value = strcmp(key, "show") ? config_value(config, key) : config->root;
	if (!value && config_key(key))
		value = json_object_get(config->defaults, key);
	if (value) {
		print_value(in, value);
	} else if (config_is_section(key)) {
		*why = xasprintf("the configuration says nothing of %s", key);
		err = -ENOENT;
	} else {
		*why = config_unknown(key);
		err = -ENOENT;
	}
	config_free(config);
	return err;
}

static int run_config(struct invocation *in)
{
	char *why = NULL, *file;
	int err, code;

	if (cli_flag(in, "unset") && in->argc != 1)
		return cli_usage(in, "--unset needs one key, and no value");
	code = cli_need_path(in);
	if (code)
		return code;
	file = repo_file(in->repo_path, "config.json");
	if (access(file, F_OK)) {
		why = xasprintf("no repository at %s: run `dagfs init` first", in->repo_path);
		err = -ENOENT;
	} else {
		err = in->argc == 2 || cli_flag(in, "unset") ? set_value(in, file, &why)
							     : get_value(in, file, &why);
	}
	if (err)
		code = cli_fail(in, 0, "%s", why);
	free(why);
	free(file);
	return code;
}

const struct command cmd_config = {
	"config",
	"[KEY [VALUE]]",
	0,
	2,
	"show the configuration, or show or set one key",
	"Without KEY, or for the word show, all that the file says is shown. KEY may be a section, "
	"like Swarm. A running\n"
	"daemon reads the configuration when it starts.",
	config_options,
	run_config,
};

/* ---- help, completion ---- */

static const struct option_spec help_options[] = {
	{ "man", 0, OPTION_FLAG, NULL, "print the man page (troff); for config dagfs-config(5)",
	  NULL },
	{ 0 },
};

static int run_help(struct invocation *in)
{
	struct buf name = { 0 };
	char *text, *why = NULL;
	int code = EXIT_OK;

	if (cli_flag(in, "man")) {
		if (in->argc && (in->argc > 1 || strcmp(in->argv[0], "config")))
			return cli_usage(in, "there are the man page of all, and that of config");
		(in->argc ? help_man_config : help_man)(stdout);
		return EXIT_OK;
	}
	for (int i = 0; i < in->argc; i++)
		buf_printf(&name, "%s%s", i ? " " : "", in->argv[i]);
	text = in->argc ? buf_take_text(&name) : NULL;
	if (help_print(stdout, text)) {
		why = cli_unknown_command(text);
		code = cli_usage(in, "%s", why);
	}
	free(why);
	free(text);
	return code;
}

const struct command cmd_help = {
	"help", "[COMMAND]", 0, CLI_WORDS_MAX, "show help", NULL, help_options, run_help,
};

static int run_completion(struct invocation *in)
{
	if (in->argc && strcmp(in->argv[0], "bash"))
		return cli_usage(in, "only bash is known");
	help_completion(stdout);
	return EXIT_OK;
}

const struct command cmd_completion = {
	"completion",
	"[bash]",
	0,
	1,
	"print completions for the shell: source <(dagfs completion)",
	NULL,
	NULL,
	run_completion,
};
