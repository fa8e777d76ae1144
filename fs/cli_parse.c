/* Words to a command, its options and its arguments. Global options may stand anywhere; "--" ends
 * options. Nothing is run here. The main thread. */
#include "fs/cli.h"

#include "fs/values.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/multibase.h"

#include <stdlib.h>
#include <string.h>

const struct command *cli_command(const char *name)
{
	for (const struct command *const *at = commands; *at; at++)
		if (strcmp((*at)->name, name) == 0)
			return *at;
	return NULL;
}

bool cli_is_group(const char *words)
{
	size_t len = strlen(words);

	for (const struct command *const *at = commands; *at; at++)
		if (strncmp((*at)->name, words, len) == 0 && (*at)->name[len] == ' ')
			return true;
	return false;
}

/* ---- what may have been meant ---- */

#define SUGGESTED_MAX 4
#define SUGGEST_MIN 2 /* letters: of fewer, everything is one edit away */

struct suggestions {
	const char *given, *before; /* before: what stands before each name in the text, "--" */
	struct bytes names[SUGGESTED_MAX];
	size_t count, likely;
};

/* A name that the given word begins, or that is one edit away. */
static void suggest(struct suggestions *s, struct bytes name)
{
	char text[DISTANCE_WORD_MAX];
	size_t len = strlen(s->given), at = s->count;

	if (name.len >= sizeof(text) || !len || s->count == SUGGESTED_MAX)
		return;
	for (size_t i = 0; i < s->count; i++)
		if (bytes_equal(s->names[i], name))
			return;
	memcpy(text, name.at, name.len);
	text[name.len] = 0;
	if (strncmp(text, s->given, len) &&
	    (len < SUGGEST_MIN || word_distance(s->given, text, 1) > 1))
		return;
	/* Likeliest is that the end is missing, or something was added to it: such names stand
	 * first. */
	if (strncmp(text, s->given, name.len < len ? name.len : len) == 0) {
		at = s->likely++;
		memmove(&s->names[at + 1], &s->names[at], (s->count - at) * sizeof(*s->names));
	}
	s->names[at] = name;
	s->count++;
}

/* ": did you mean 'a', 'b' or 'c'?" (malloc'd); NULL when there is nothing to suggest. */
static char *suggested(const struct suggestions *s)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < s->count; i++)
		buf_printf(&out, "%s'%s%.*s'",
			   !i		      ? ": did you mean "
			   : i + 1 < s->count ? ", "
					      : " or ",
			   s->before, (int)s->names[i].len, (const char *)s->names[i].at);
	if (!s->count)
		return NULL;
	buf_printf(&out, "?");
	return buf_take_text(&out);
}

char *cli_unknown_command(const char *given)
{
	struct suggestions s = { .given = given, .before = "" };
	size_t group = strcspn(given, " ");
	char safe[128], *meant, *text;

	for (const struct command *const *at = commands; *at; at++)
		suggest(&s, bytes_of((*at)->name, given[group] ? strlen((*at)->name)
							       : strcspn((*at)->name, " ")));
	cli_safe(safe, sizeof(safe), given, strlen(given));
	meant = suggested(&s);
	if (meant)
		text = xasprintf("there is no command '%s'%s", safe, meant);
	else if (given[group])
		text = xasprintf("there is no command '%s': `dagfs help %.*s` lists them", safe,
				 (int)group, safe);
	else
		text = xasprintf("there is no command '%s': `dagfs help` lists them", safe);
	free(meant);
	return text;
}

struct parser {
	struct invocation *in;
	char **argv; /* words to come */
	int argc;
	char **kept; /* positional arguments found so far; within the same array */
	int kept_count;
	char **why;
};

static const struct option_spec *find_in(const struct option_spec *specs, const char *name,
					 size_t len, char letter, size_t *index)
{
	for (size_t i = 0; specs && specs[i].name; i++) {
		if (letter ? specs[i].letter == letter
			   : strlen(specs[i].name) == len && !memcmp(specs[i].name, name, len)) {
			*index = i;
			return &specs[i];
		}
	}
	return NULL;
}

/* The option and the place where its value is kept. */
static const struct option_spec *find_option(struct parser *p, const char *name, size_t len,
					     char letter, const char ***slot)
{
	const struct option_spec *spec = NULL;
	size_t index;

	if (p->in->command)
		spec = find_in(p->in->command->options, name, len, letter, &index);
	if (spec) {
		*slot = &p->in->values[index];
		return spec;
	}
	spec = find_in(cli_globals, name, len, letter, &index);
	if (spec)
		*slot = &p->in->globals[index];
	return spec;
}

static int unknown_option(struct parser *p, const char *name, size_t len)
{
	const struct option_spec *specs = p->in->command ? p->in->command->options : NULL;
	char text[DISTANCE_WORD_MAX], *meant;
	struct suggestions s = { .given = text, .before = "--" };

	cli_safe(text, sizeof(text), name, len);
	for (; specs && specs->name; specs++)
		suggest(&s, bytes_str(specs->name));
	for (specs = cli_globals; specs->name; specs++)
		suggest(&s, bytes_str(specs->name));
	meant = len > 1 ? suggested(&s) : NULL;
	*p->why = xasprintf("there is no option '%s%s'%s", len > 1 ? "--" : "-", text,
			    meant ? meant : "");
	free(meant);
	return -EINVAL;
}

/* The text of a value, checked by kind. */
static int check_value(const struct option_spec *spec, const char *value, char **why)
{
	uint64_t amount;
	const char *must = NULL;
	char *end;

	errno = 0;
	if (spec->kind == OPTION_FLAG && strcmp(value, "true") && strcmp(value, "false"))
		must = "true or false";
	else if (spec->kind == OPTION_INT && (!*value || (strtoll(value, &end, 10), *end || errno)))
		must = "a whole number";
	else if (spec->kind == OPTION_SIZE && parse_size(value, &amount))
		must = "a size like 4096, 10MB or 1GiB";
	else if (spec->kind == OPTION_DURATION && parse_duration_ms(value, &amount))
		must = "a time like 500ms, 30s or 1h30m";
	if (!must)
		return 0;
	*why = xasprintf("--%s must be %s", spec->name, must);
	return -EINVAL;
}

static int list_value(struct parser *p, const struct option_spec *spec, const char *value)
{
	if (p->in->listed_count == CLI_LISTED_MAX) {
		*p->why = xasprintf("--%s is given too often", spec->name);
		return -EINVAL;
	}
	p->in->listed[p->in->listed_count].spec = spec;
	p->in->listed[p->in->listed_count++].value = value;
	return 0;
}

static int set_option(struct parser *p, const struct option_spec *spec, const char **slot,
		      const char *value)
{
	if (!value && spec->kind == OPTION_FLAG) {
		value = "true";
	} else if (!value) {
		if (!p->argc) {
			*p->why = xasprintf("--%s needs a value (%s)", spec->name, spec->value);
			return -EINVAL;
		}
		value = *p->argv++;
		p->argc--;
	}
	*slot = value;
	if (spec->kind == OPTION_LIST)
		return list_value(p, spec, value);
	return check_value(spec, value, p->why);
}

static int long_option(struct parser *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct option_spec *spec;
	const char **slot;

	spec = find_option(p, word, len, 0, &slot);
	if (!spec)
		return unknown_option(p, word, len);
	return set_option(p, spec, slot, word[len] ? word + len + 1 : NULL);
}

/* "-q", "-rq", "-n5", "-n 5", "-n=5". */
static int short_options(struct parser *p, const char *word)
{
	for (; *word; word++) {
		const char **slot, *value = NULL;
		const struct option_spec *spec = find_option(p, NULL, 0, *word, &slot);
		int err;

		if (!spec)
			return unknown_option(p, word, 1);
		if (word[1] == '=')
			value = word + 2;
		else if (spec->kind != OPTION_FLAG && word[1])
			value = word + 1;
		err = set_option(p, spec, slot, value);
		if (err || value)
			return err;
	}
	return 0;
}

/* One word that is an option, or not: 1. */
static int one_option(struct parser *p)
{
	char *word = *p->argv;

	if (word[0] != '-' || !word[1])
		return 1;
	p->argv++;
	p->argc--;
	return word[1] == '-' ? long_option(p, word + 2) : short_options(p, word + 1);
}

/* The longest name of a command that the next words make. */
static int command_words(struct parser *p)
{
	char name[DISTANCE_WORD_MAX * CLI_WORDS_MAX] = "";
	int used = 0;

	for (int i = 0; i < CLI_WORDS_MAX && i < p->argc && strlen(p->argv[i]) < DISTANCE_WORD_MAX;
	     i++) {
		const struct command *command;

		if (i)
			strcat(name, " ");
		strcat(name, p->argv[i]);
		command = cli_command(name);
		if (command) {
			p->in->command = command;
			used = i + 1;
		} else if (!cli_is_group(name)) {
			break;
		}
	}
	if (!used && cli_is_group(p->argv[0]) && (p->argc == 1 || p->argv[1][0] == '-')) {
		p->in->group = p->argv[0];
		used = 1;
	}
	if (!used) {
		*p->why = cli_unknown_command(*name ? name : p->argv[0]);
		return -EINVAL;
	}
	p->argv += used;
	p->argc -= used;
	return 0;
}

/* Takes the values of the global options, in the order of their table. */
static int take_globals(struct invocation *in, char **why)
{
	size_t i = 0;

	in->repo_given = in->globals[i++];
	if (in->repo_given &&
	    !*in->repo_given) { /* an unset variable must not mean another repository */
		*why = xstrdup("--repo must not be empty");
		return -EINVAL;
	}
	in->offline = in->globals[i] && !strcmp(in->globals[i], "true");
	i++;
	parse_duration_ms(in->globals[i] ? in->globals[i] : CLI_TIMEOUT, &in->timeout_ms);
	i++;
	if (in->globals[i] && strcmp(in->globals[i], "text") && strcmp(in->globals[i], "json")) {
		*why = xstrdup("--enc must be text or json");
		return -EINVAL;
	}
	in->json = in->globals[i] && !strcmp(in->globals[i], "json");
	i++;
	if (in->globals[i]) {
		in->cid_base = multibase_by_name(in->globals[i]);
		if (!in->cid_base) {
			*why = xstrdup(
				"--cid-base must be base16, base32, base36, base58btc, base64...");
			return -EINVAL;
		}
	}
	i++;
	in->help = in->globals[i] && !strcmp(in->globals[i], "true");
	i++;
	in->version = in->globals[i] && !strcmp(in->globals[i], "true");
	return 0;
}

static int check_count(const struct invocation *in, char **why)
{
	const struct command *command = in->command;

	if (!command || in->help)
		return 0;
	if (in->argc < command->args_min)
		*why = xasprintf("too few arguments: dagfs %s %s", command->name, command->args);
	else if (command->args_max >= 0 && in->argc > command->args_max)
		*why = xasprintf("too many arguments: dagfs %s %s", command->name, command->args);
	return *why ? -EINVAL : 0;
}

int cli_parse(struct invocation *in, int argc, char **argv, char **why)
{
	struct parser p = { .in = in, .argv = argv, .argc = argc, .kept = argv, .why = why };
	bool options = true;
	int err = 0;

	*why = NULL;
	while (!err && p.argc) {
		err = 1;
		if (options && strcmp(*p.argv, "--") == 0) {
			options = false;
			p.argv++;
			p.argc--;
			err = 0;
			continue;
		}
		if (options)
			err = one_option(&p);
		if (err != 1)
			continue;
		err = 0;
		if (!in->command && !in->group) {
			err = command_words(&p);
		} else {
			/* kept never overtakes argv: what it overwrites was read */
			p.kept[p.kept_count++] = *p.argv++;
			p.argc--;
		}
	}
	if (err)
		return err;
	in->argv = p.kept;
	in->argc = p.kept_count;
	err = take_globals(in, why);
	return err ? err : check_count(in, why);
}
