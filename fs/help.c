/* Help, the man pages and bash completion, all from the tables of commands and of configuration
 * keys. The main thread. */
#include "fs/api/api_runs.h"
#include "fs/cli.h"
#include "fs/config_keys.h"
#include "net/base/alloc.h"

#include <stdlib.h>
#include <string.h>

static const char exit_text[] = "0 done, 1 failed, 2 wrong usage, 130 interrupted";

static void print_option(FILE *out, const struct option_spec *spec)
{
	char left[80];

	snprintf(left, sizeof(left), "%c%c%s--%s%s%s", spec->letter ? '-' : ' ',
		 spec->letter ? spec->letter : ' ', spec->letter ? ", " : "  ", spec->name,
		 spec->value ? "=" : "", spec->value ? spec->value : "");
	fprintf(out, "  %-30s %s", left, spec->help);
	if (spec->fallback)
		fprintf(out, " [%s]", spec->fallback);
	fputc('\n', out);
}

static void print_options(FILE *out, const char *title, const struct option_spec *specs)
{
	if (!specs || !specs->name)
		return;
	fprintf(out, "\n%s:\n", title);
	for (; specs->name; specs++)
		print_option(out, specs);
}

/* Of a long list only how many there are. */
static char *fallback_text(const struct config_key *key)
{
	json_t *value = json_loads(key->fallback, JSON_DECODE_ANY, NULL);
	char *text;

	if (json_array_size(value) > 2)
		text = xasprintf("%zu addresses", json_array_size(value));
	else if (json_is_string(value))
		text = xstrdup(json_string_value(value));
	else
		text = json_dumps(value, JSON_ENCODE_ANY);
	json_decref(value);
	return text;
}

static void print_keys(FILE *out)
{
	char must[128];

	fputs("\nKeys: what a value must be, its unit, [what holds without one]; null in the file "
	      "is the same as nothing.\n",
	      out);
	for (const struct config_key *at = config_keys; at->key; at++) {
		char *text = fallback_text(at);

		fprintf(out, "  %s: %s%s%s [%s]\n      %s\n", at->key, config_type_text(at, must),
			at->unit ? ", " : "", at->unit ? at->unit : "", text, at->meaning);
		if (at->unbuilt)
			fputs("      (not built yet: any other value is refused)\n", out);
		free(text);
	}
}

static void print_command(FILE *out, const struct command *command)
{
	fprintf(out, "dagfs %s: %s\n\nUsage: dagfs %s [options] %s\n", command->name,
		command->summary, command->name, command->args);
	if (command->text)
		fprintf(out, "\n%s\n", command->text);
	print_options(out, "Options", command->options);
	if (command == &api_config.command)
		print_keys(out);
	print_options(out, "Global options", cli_globals);
	fprintf(out, "\nExit codes: %s\n", exit_text);
}

/* Commands of a group, or all when group is NULL. */
static void print_list(FILE *out, const char *group)
{
	size_t len = group ? strlen(group) : 0;

	for (const struct command *const *at = commands; *at; at++) {
		if (group && (strncmp((*at)->name, group, len) || (*at)->name[len] != ' '))
			continue;
		fprintf(out, "  %-22s %s\n", (*at)->name, (*at)->summary);
	}
}

int help_print(FILE *out, const char *what)
{
	const struct command *command = what ? cli_command(what) : NULL;

	if (command) {
		print_command(out, command);
		return EXIT_OK;
	}
	if (what && !cli_is_group(what))
		return EXIT_USAGE;
	if (what) {
		fprintf(out, "Usage: dagfs %s COMMAND [options] [arguments]\n\n", what);
		print_list(out, what);
		return EXIT_OK;
	}
	fputs("dagfs mounts trees of content-addressed blocks as files and directories.\n\n"
	      "Usage: dagfs COMMAND [options] [arguments]\n\nCommands:\n",
	      out);
	print_list(out, NULL);
	print_options(out, "Global options", cli_globals);
	fprintf(out,
		"\nPaths are CID, CID/a/b, /ipfs/CID/a/b or ipfs://CID/a/b.\n"
		"Exit codes: %s\n`dagfs COMMAND --help` tells more about one.\n",
		exit_text);
	return EXIT_OK;
}

/* Text for troff: backslashes, dashes, and dots or quotes that would begin a request. */
static void man_text(FILE *out, const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		if (begins && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
		begins = *text == '\n';
	}
}

/* Long addresses may be broken behind a slash or comma, without a hyphen. */
static void man_json(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, "%c%s", *text, *text == '/' || *text == ',' ? "\\:" : "");
}

static void man_options(FILE *out, const struct option_spec *specs)
{
	for (; specs && specs->name; specs++) {
		fputs(".TP\n.B ", out);
		if (specs->letter)
			fprintf(out, "\\-%c, ", specs->letter);
		fputs("\\-\\-", out);
		man_text(out, specs->name);
		if (specs->value) {
			fputc('=', out);
			man_text(out, specs->value);
		}
		fputc('\n', out);
		man_text(out, specs->help);
		if (specs->fallback) {
			fputs(" [", out);
			man_text(out, specs->fallback);
			fputc(']', out);
		}
		fputc('\n', out);
	}
}

void help_man(FILE *out)
{
	fputs(".TH DAGFS 1 \"\" \"dagfs " CLI_VERSION "\"\n.SH NAME\ndagfs \\- mount trees of "
	      "content\\-addressed blocks\n.SH SYNOPSIS\n.B dagfs\n.I COMMAND\n[options] "
	      "[arguments]\n.SH GLOBAL OPTIONS\n",
	      out);
	man_options(out, cli_globals);
	fputs(".SH COMMANDS\n", out);
	for (const struct command *const *at = commands; *at; at++) {
		fputs(".SS \"dagfs ", out);
		man_text(out, (*at)->name);
		fputc(' ', out);
		man_text(out, (*at)->args);
		fputs("\"\n", out);
		man_text(out, (*at)->summary);
		fputs(".\n", out);
		if ((*at)->text) {
			fputs(".PP\n", out);
			man_text(out, (*at)->text);
			fputc('\n', out);
		}
		man_options(out, (*at)->options);
	}
	fprintf(out,
		".SH EXIT STATUS\n%s.\n.SH ENVIRONMENT\n.TP\n.B DAGFS_PATH\nThe repository.\n"
		".TP\n.B DAGFS_LOG\nLog levels, like \"warn,swarm=debug\".\n"
		".SH FILES\n.TP\n.B ~/.local/share/dagfs\nThe repository when nothing else is "
		"said.\n.SH SEE ALSO\n.BR dagfs-config (5)\n",
		exit_text);
}

void help_man_config(FILE *out)
{
	char must[128];

	fputs(".TH DAGFS\\-CONFIG 5 \"\" \"dagfs " CLI_VERSION
	      "\"\n.SH NAME\ndagfs\\-config \\- configuration of a dagfs node\n"
	      ".SH SYNOPSIS\n.B ~/.local/share/dagfs/config.json\n.SH DESCRIPTION\n"
	      "A JSON object of sections and keys. A key is told with dots here and on the command "
	      "line: the key\n"
	      ".B Swarm.ConnMgr.HighWater\nis the member HighWater of the object ConnMgr in the "
	      "object Swarm.\n"
	      ".B dagfs config\n.I KEY VALUE\nchecks and sets one;\n.B dagfs init\nwrites those "
	      "that are often changed. "
	      "What the file does not say, or says to be null, is as told here.\n"
	      "Keys that are not told here are refused by name. A running daemon reads the file "
	      "when it starts.\n"
	      ".PP\nSizes are numbers of bytes, or texts with kB, MB, GB, TB (powers of 1000), "
	      "KiB, MiB, GiB, TiB (powers of 1024). "
	      "Times are texts like 500ms, 30s or 1h30m.\n.SH KEYS\n.na\n",
	      out);
	for (const struct config_key *at = config_keys; at->key; at++) {
		fputs(".TP\n.B ", out);
		man_text(out, at->key);
		fputc('\n', out);
		man_text(out, at->meaning);
		fputs(".\n.br\nValue: ", out);
		man_text(out, config_type_text(at, must));
		fprintf(out, "%s%s.\n", at->unit ? ", " : "", at->unit ? at->unit : "");
		if (at->unbuilt)
			fputs("Not built yet: any other than the default is refused.\n", out);
		fputs(".br\nDefault: ", out);
		man_json(out, at->fallback);
		fputc('\n', out);
	}
	fputs(".SH SEE ALSO\n.BR dagfs (1)\n", out);
}

static void completion_options(FILE *out, const struct option_spec *specs)
{
	for (; specs && specs->name; specs++)
		fprintf(out, " --%s%s", specs->name, specs->value ? "=" : "");
}

void help_completion(FILE *out)
{
	fputs("_dagfs() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} words=\" ${COMP_WORDS[*]:1:COMP_CWORD-1} \" "
	      "list=\n"
	      "\tcase $words in\n",
	      out);
	for (const struct command *const *at = commands; *at; at++) {
		fprintf(out, "\t\"  %s \"*|\" %s \"*) list=\"", (*at)->name, (*at)->name);
		completion_options(out, (*at)->options);
		fputs("\" ;;\n", out);
	}
	fputs("\tesac\n\tif [[ $words != *[a-z]* || -z $list ]]; then\n\t\tcase $words in\n", out);
	for (const struct command *const *at = commands; *at; at++) {
		const char *space = strchr((*at)->name, ' ');

		if (space)
			fprintf(out, "\t\t\" %.*s \"*) list=\"$list %s\" ;;&\n",
				(int)(space - (*at)->name), (*at)->name, space + 1);
	}
	fputs("\t\t\"  \") list=\"", out);
	for (const struct command *const *at = commands; *at; at++)
		fprintf(out, "%.*s ", (int)strcspn((*at)->name, " "), (*at)->name);
	fputs("\" ;;\n\t\tesac\n\tfi\n\tlist=\"$list", out);
	completion_options(out, cli_globals);
	fputs("\"\n\tCOMPREPLY=($(compgen -W \"$list\" -- \"$word\"))\n"
	      "\t[[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} = *= ]] && compopt -o nospace\n}\n"
	      "complete -o bashdefault -o default -F _dagfs dagfs\n",
	      out);
}
