/* init, id, version, config, help, completion. */
#include "fs/cli.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/multibase.h"

#include <fcntl.h>
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
	char id_text[PEER_ID_TEXT_MAX], *why = NULL;
	struct peer_id id;
	int code = cli_need_path(in);

	if (code)
		return code;
	if (repo_init(in->repo_path, cli_text(in, "profile"), &why)) {
		code = cli_fail(in, 0, "%s", why);
		free(why);
		return code;
	}
	code = cli_need_repo(in);
	if (code)
		return code;
	peer_id_of_identity(&id, in->repo->identity);
	printf("generating ED25519 keypair...done\npeer identity: %s\n"
	       "initializing dagfs node at %s\n",
	       peer_id_text(&id, id_text), in->repo_path);
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

/* ---- id ---- */

static const struct option_spec id_options[] = {
	{ "format", 'f', OPTION_TEXT, "TEXT", "<id> <aver> <pver> <pubkey> <addrs>, \\n and \\t",
	  NULL },
	{ 0 },
};

/* What can be told without a daemon. */
static json_t *own_id(struct invocation *in)
{
	char id_text[PEER_ID_TEXT_MAX], *key;
	struct buf text = { 0 };
	struct peer_id id;
	json_t *result;

	peer_id_of_identity(&id, in->repo->identity);
	base_encode(&text, 'M', public_key_proto(identity_public(in->repo->identity)));
	key = buf_take_text(&text);
	result = json_pack("{s:s, s:s, s:[], s:s, s:[]}", "ID", peer_id_text(&id, id_text),
			   "PublicKey", key, "Addresses", "AgentVersion", CLI_AGENT, "Protocols");
	free(key);
	return result;
}

static void print_member(const json_t *result, const char *name)
{
	const json_t *value = json_object_get(result, name);
	const char *text;
	size_t i;
	json_t *addr;

	if (json_is_string(value)) {
		text = json_string_value(value);
		fputs(text, stdout);
	}
	json_array_foreach(value, i, addr) printf("%s%s", i ? "\n" : "", json_string_value(addr));
}

static void print_format(const json_t *result, const char *format)
{
	static const struct {
		const char *mark, *member;
	} marks[] = {
		{ "<id>", "ID" },
		{ "<aver>", "AgentVersion" },
		{ "<pver>", "ProtocolVersion" },
		{ "<pubkey>", "PublicKey" },
		{ "<addrs>", "Addresses" },
	};

	while (*format) {
		size_t i = 0;

		while (i < ARRAY_LEN(marks) &&
		       strncmp(format, marks[i].mark, strlen(marks[i].mark)))
			i++;
		if (i < ARRAY_LEN(marks)) {
			print_member(result, marks[i].member);
			format += strlen(marks[i].mark);
		} else if (format[0] == '\\' && (format[1] == 'n' || format[1] == 't')) {
			putchar(format[1] == 'n' ? '\n' : '\t');
			format += 2;
		} else {
			putchar(*format++);
		}
	}
}

static int run_id(struct invocation *in)
{
	json_t *result = NULL;
	int code = cli_need_path(in);

	if (!code && in->argc)
		code = cli_need_daemon(in);
	if (code)
		return code;
	if (cli_daemon(in)) {
		code = cli_call(in, "id",
				in->argc ? json_pack("{s:s}", "peer", in->argv[0]) : json_object(),
				NULL, NULL, &result);
	} else {
		code = cli_need_repo(in);
		if (!code)
			result = own_id(in);
	}
	if (code)
		return code;
	if (cli_given(in, "format")) {
		print_format(result, cli_text(in, "format"));
		json_decref(result);
		return EXIT_OK;
	}
	if (in->json) {
		cli_print_json(result);
		return EXIT_OK;
	}
	json_dumpf(result, stdout, JSON_INDENT(8) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(result);
	return EXIT_OK;
}

const struct command cmd_id = {
	"id", "[PEER]",	  0,	  1, "show the identity of this node, or of a connected peer",
	NULL, id_options, run_id,
};

/* ---- version ---- */

static const struct option_spec version_options[] = {
	{ "number", 'n', OPTION_FLAG, NULL, "only the number", NULL },
	{ 0 },
};

static int run_version(struct invocation *in)
{
	if (in->json)
		cli_print_json(json_pack("{s:s}", "Version", CLI_VERSION));
	else
		printf("%s%s\n", cli_flag(in, "number") ? "" : "dagfs version ", CLI_VERSION);
	return EXIT_OK;
}

const struct command cmd_version = {
	"version", "", 0, 0, "show the version", NULL, version_options, run_version,
};

/* ---- config ---- */

static const struct option_spec config_options[] = {
	{ "json", 0, OPTION_FLAG, NULL, "VALUE is JSON", NULL },
	{ "bool", 0, OPTION_FLAG, NULL, "VALUE is true or false", NULL },
	{ 0 },
};

static void print_value(const json_t *value)
{
	if (json_is_string(value)) {
		puts(json_string_value(value));
		return;
	}
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
	putchar('\n');
}

/* Text as the key's present type wants it; NULL with *why. */
static json_t *value_of_text(struct invocation *in, const struct config *config, const char *key,
			     const char *text, char **why)
{
	json_t *before = config_get(config, key), *value;
	json_error_t error;

	if (cli_flag(in, "bool") && strcmp(text, "true") && strcmp(text, "false")) {
		*why = xasprintf("%s: '%s' is neither true nor false", key, text);
		return NULL;
	}
	if (!cli_flag(in, "json") && !cli_flag(in, "bool") && (!before || json_is_string(before)))
		return json_string(text);
	value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!value && !cli_flag(in, "json"))
		return json_string(text); /* of the wrong type, as config_set() will tell */
	if (!value)
		*why = xasprintf("%s: '%s' is not JSON: %s", key, text, error.text);
	return value;
}

/* Two commands that set at once must not undo each other: locked from reading to renaming. */
static int set_value(struct invocation *in, const char *file, char **why)
{
	char *lock = repo_file(in->repo_path, "config.lock");
	struct config *config = NULL;
	json_t *value;
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int err = fd < 0 || flock(fd, LOCK_EX) ? -errno : 0;

	if (!err)
		err = config_load(file, &config, why);
	if (!err) {
		value = value_of_text(in, config, in->argv[0], in->argv[1], why);
		err = value ? config_set(config, in->argv[0], value, why) : -EINVAL;
	}
	if (!err)
		err = config_check(config, why);
	if (!err)
		err = config_save(config);
	if (err && !*why)
		*why = xasprintf("cannot write %s: %s", file, err_text(err));
	config_free(config);
	if (fd >= 0)
		close(fd);
	free(lock);
	return err;
}

static int get_value(struct invocation *in, const char *file, char **why)
{
	const char *key = in->argc ? in->argv[0] : "show";
	struct config *config = NULL;
	json_t *value;
	int err = config_load(file, &config, why);

	if (err)
		return err;
	value = strcmp(key, "show") ? config_get(config, key) : config->root;
	if (value) {
		print_value(value);
	} else {
		err = -ENOENT;
		*why = xasprintf("no such key in the configuration: %s", key);
	}
	config_free(config);
	return err;
}

static int run_config(struct invocation *in)
{
	char *why = NULL, *file;
	int err, code = cli_need_path(in);

	if (code)
		return code;
	file = repo_file(in->repo_path, "config.json");
	if (access(file, F_OK)) {
		why = xasprintf("no repository at %s: run `dagfs init` first", in->repo_path);
		err = -ENOENT;
	} else {
		err = in->argc == 2 ? set_value(in, file, &why) : get_value(in, file, &why);
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
	"Keys are dotted: Addresses.Swarm, Datastore.StorageMax, Routing.Type, Mounts.Timeout...\n"
	"AutoNAT.ServiceMode: enabled tells other peers whether they can be reached, disabled does not.\n"
	"`dagfs config show` prints all. A running daemon reads it when it starts.",
	config_options,
	run_config,
};

/* ---- help, completion ---- */

static const struct option_spec help_options[] = {
	{ "man", 0, OPTION_FLAG, NULL, "print the man page (troff)", NULL },
	{ 0 },
};

static int run_help(struct invocation *in)
{
	struct buf name = { 0 };
	char *text;
	int code;

	if (cli_flag(in, "man")) {
		help_man(stdout);
		return EXIT_OK;
	}
	for (int i = 0; i < in->argc; i++)
		buf_printf(&name, "%s%s", i ? " " : "", in->argv[i]);
	text = in->argc ? buf_take_text(&name) : NULL;
	code = help_print(stdout, text);
	if (code)
		cli_fail(in, 0, "no such command: %s", text);
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
