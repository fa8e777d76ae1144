/* Words to a command, its options and its arguments. Global options may stand anywhere; "--" ends
 * options. */
#include "fs/cli.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/multibase.h"

#include <stdlib.h>
#include <string.h>

#define DISTANCE_WORD_MAX 64
#define SUGGEST_EDITS_MAX 3

const struct command *cli_command(const char *name)
{
	for (const struct command *const *at = commands; *at; at++)
		if (strcmp((*at)->name, name) == 0)
			return *at;
	return NULL;
}

/* Levenshtein, one row at a time. */
unsigned cli_distance(const char *a, const char *b, unsigned max)
{
	unsigned row[DISTANCE_WORD_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > DISTANCE_WORD_MAX || b_len > DISTANCE_WORD_MAX)
		return max + 1;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b_len] > max ? max + 1 : row[b_len];
}

bool cli_is_group(const char *words)
{
	size_t len = strlen(words);

	for (const struct command *const *at = commands; *at; at++)
		if (strncmp((*at)->name, words, len) == 0 && (*at)->name[len] == ' ')
			return true;
	return false;
}

/* "unknown command", and the nearest there is. */
static char *unknown_command(const char *given)
{
	const char *best = NULL;
	unsigned edits = SUGGEST_EDITS_MAX + 1;
	char safe[128];

	for (const struct command *const *at = commands; *at; at++) {
		unsigned distance = cli_distance(given, (*at)->name, SUGGEST_EDITS_MAX);
		bool likelier = best && (*at)->name[0] == given[0] && best[0] != given[0];

		if (distance < edits || (distance == edits && likelier)) {
			best = (*at)->name;
			edits = distance;
		}
	}
	cli_safe(safe, sizeof(safe), given, strlen(given));
	if (best)
		return xasprintf("unknown command '%s': did you mean '%s'?", safe, best);
	return xasprintf("unknown command '%s': `dagfs help` lists them", safe);
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
	const char *best = NULL;
	unsigned edits = SUGGEST_EDITS_MAX;
	char text[DISTANCE_WORD_MAX];

	cli_safe(text, sizeof(text), name, len);
	for (size_t i = 0; specs && specs[i].name; i++) {
		unsigned distance = cli_distance(text, specs[i].name, SUGGEST_EDITS_MAX);

		if (distance < edits) {
			best = specs[i].name;
			edits = distance;
		}
	}
	*p->why = best ? xasprintf("unknown option '--%s': did you mean '--%s'?", text, best)
		       : xasprintf("unknown option '%s%s'", len > 1 ? "--" : "-", text);
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
		*p->why = unknown_command(*name ? name : p->argv[0]);
		return -EINVAL;
	}
	p->argv += used;
	p->argc -= used;
	return 0;
}

static int take_globals(struct invocation *in, char **why)
{
	size_t i = 0;

	in->repo_given = in->globals[i++];
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
