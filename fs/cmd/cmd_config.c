/* init, help and completion: commands about the program itself, which need no repository. The main
 * thread. */
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
