#include "fs/cli.h"
#include "fs/values.h"
#include "net/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 16

/* One command line, words separated by single spaces; "" stays an empty word. */
struct line {
	struct invocation in;
	char text[512];
	char *argv[WORDS_MAX];
	int argc, err;
	char *why;
};

static void parse(struct line *line, const char *text)
{
	char *rest = line->text, *word;

	memset(line, 0, sizeof(*line));
	snprintf(line->text, sizeof(line->text), "%s", text);
	while (*text && (word = strsep(&rest, " ")))
		line->argv[line->argc++] = word;
	line->err = cli_parse(&line->in, line->argc, line->argv, &line->why);
	if (!line->err)
		assert_null(line->why);
}

static void expect_error(const char *text, const char *why)
{
	struct line line;

	parse(&line, text);
	assert_int_equal(line.err, -EINVAL);
	if (!strstr(line.why, why))
		fail_msg("'%s' told '%s', not '%s'", text, line.why, why);
	free(line.why);
}

static void commands_and_arguments(void **state)
{
	struct line line;

	(void)state;
	parse(&line, "pin add a b");
	assert_int_equal(line.err, 0);
	assert_string_equal(line.in.command->name, "pin add");
	assert_int_equal(line.in.argc, 2);
	assert_string_equal(line.in.argv[0], "a");
	assert_string_equal(line.in.argv[1], "b");
	parse(&line, "add - -- -r -");
	assert_int_equal(line.err, 0);
	assert_int_equal(line.in.argc, 3);
	assert_string_equal(line.in.argv[1], "-r");
	assert_false(cli_flag(&line.in, "recursive"));
	parse(&line, "pin");
	assert_int_equal(line.err, 0);
	assert_null(line.in.command);
	assert_string_equal(line.in.group, "pin");
	parse(&line, "");
	assert_int_equal(line.err, 0);
	assert_null(line.in.command);
	parse(&line, "pin --help");
	assert_true(line.in.help);
	parse(&line, "cat --help"); /* too few arguments do not matter then */
	assert_int_equal(line.err, 0);
	assert_true(line.in.help);
}

static void options_in_every_form(void **state)
{
	static const char *const forms[] = {
		"ping -n 5 P",	    "ping -n5 P",	"ping -n=5 P",
		"ping --count 5 P", "ping --count=5 P", "ping P -n 5",
	};
	struct line line;

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		parse(&line, forms[i]);
		assert_int_equal(line.err, 0);
		assert_int_equal(cli_int(&line.in, "count"), 5);
		assert_int_equal(line.in.argc, 1);
	}
	parse(&line, "ping P");
	assert_int_equal(cli_int(&line.in, "count"), 10);
	assert_false(cli_given(&line.in, "count"));
	parse(&line, "add -rQ --pin=false x");
	assert_int_equal(line.err, 0);
	assert_true(cli_flag(&line.in, "recursive"));
	assert_true(cli_flag(&line.in, "quieter"));
	assert_false(cli_flag(&line.in, "quiet"));
	assert_false(cli_flag(&line.in, "pin"));
	parse(&line, "add x");
	assert_true(cli_flag(&line.in, "pin"));
	parse(&line, "cat -o 1KiB -l=2kB x");
	assert_int_equal(cli_amount(&line.in, "offset"), 1024);
	assert_int_equal(cli_amount(&line.in, "length"), 2000);
}

static void options_given_again_and_again(void **state)
{
	static char option[] = "--ignore=x", command[] = "add";
	char *argv[CLI_LISTED_MAX + 2] = { command };
	struct invocation in = { 0 };
	struct line line;
	size_t at = 0;
	char *why;

	(void)state;
	parse(&line, "add --ignore=a --ignore b c --ignore-rules-path=d");
	assert_int_equal(line.err, 0);
	assert_int_equal(line.in.argc, 1);
	assert_string_equal(cli_listed(&line.in, "ignore", &at), "a");
	assert_string_equal(cli_listed(&line.in, "ignore", &at), "b");
	assert_null(cli_listed(&line.in, "ignore", &at));
	for (size_t i = 1; i < ARRAY_LEN(argv); i++)
		argv[i] = option;
	assert_int_equal(cli_parse(&in, CLI_LISTED_MAX + 1, argv, &why), 0);
	in = (struct invocation){ 0 };
	assert_int_equal(cli_parse(&in, CLI_LISTED_MAX + 2, argv, &why), -EINVAL);
	free(why);
}

static void global_options_anywhere(void **state)
{
	struct line line;

	(void)state;
	parse(&line, "--repo /r --offline cat --timeout=1m30s x --cid-base base36 --enc json");
	assert_int_equal(line.err, 0);
	assert_string_equal(line.in.repo_given, "/r");
	assert_true(line.in.offline);
	assert_true(line.in.json);
	assert_int_equal(line.in.timeout_ms, 90000);
	assert_int_equal(line.in.cid_base, 'k');
	assert_int_equal(line.in.argc, 1);
	parse(&line, "cat x");
	assert_int_equal(line.in.timeout_ms, 30000);
	assert_false(line.in.offline);
	parse(&line, "--version");
	assert_true(line.in.version);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	expect_error("pni add x", "did you mean 'pin'?");
	expect_error("pinn", "did you mean 'pin' or 'ping'?");
	expect_error("pinn add x", "did you mean 'pin' or 'ping'?");
	expect_error("swarm pers", "did you mean 'swarm peers'?");
	expect_error("rep", "did you mean 'repo'?");
	expect_error("bitswapp stat", "did you mean 'bitswap'?");
	expect_error("routing find", "did you mean 'routing findprovs' or 'routing findpeer'?");
	expect_error("caat", "did you mean 'cat'?");
	expect_error("caaat", "there is no command 'caaat': `dagfs help` lists them");
	expect_error("q", "there is no command 'q': `dagfs help` lists them");
	expect_error("xs", "did you mean 'ls'?");
	expect_error("swarm x", "there is no command 'swarm x': `dagfs help swarm` lists them");
	expect_error("cta x", "did you mean 'cat'");
	expect_error("qqqqqqqqq", "there is no command 'qqqqqqqqq'");
	expect_error("pin ad x", "did you mean 'pin add'");
	expect_error("swarm zzzzzzz", "there is no command");
	expect_error("add --recursiv x", "did you mean '--recursive'");
	expect_error("add --xyzzy x", "there is no option '--xyzzy'");
	expect_error("add -X x", "there is no option '-X'");
	expect_error("ping -n x P", "--count must be a whole number");
	expect_error("ping --count= P", "--count must be a whole number");
	expect_error("ping P -n", "--count needs a value");
	expect_error("add --pin=maybe x", "--pin must be true or false");
	expect_error("cat -o 1x y", "--offset must be a size");
	expect_error("cat --timeout 5q y", "--timeout must be a time");
	expect_error("cat --enc xml y", "--enc must be");
	expect_error("cat --cid-base base99 y", "--cid-base must be");
	expect_error("cat", "too few arguments");
	expect_error("shutdown now", "too many arguments");
	expect_error("config a b c", "too many arguments");
	expect_error("\x1b[31m", "\\x1b");
}

/* What the dispatcher and help rely on, for every entry. */
static void the_table_is_sound(void **state)
{
	(void)state;
	for (const struct command *const *at = commands; *at; at++) {
		const struct option_spec *options = (*at)->options;
		size_t count = 0;

		if (!(*at)->run)
			assert_ptr_equal(api_row((*at)->name), api_row_of(*at));
		assert_true(strlen((*at)->summary) > 0);
		assert_ptr_equal(cli_command((*at)->name), *at);
		for (; options && options[count].name; count++) {
			assert_true(count < CLI_OPTIONS_MAX);
			assert_true((options[count].kind == OPTION_FLAG) == !options[count].value);
			for (size_t i = 0; i < count; i++) {
				assert_string_not_equal(options[i].name, options[count].name);
				assert_true(!options[i].letter ||
					    options[i].letter != options[count].letter);
			}
		}
	}
	for (size_t i = 0; cli_globals[i].name; i++)
		assert_true(i < CLI_GLOBALS_MAX);
}

static char *printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	print(out);
	fclose(out);
	return text;
}

static void print_all_help(FILE *out)
{
	assert_int_equal(help_print(out, NULL), EXIT_OK);
	assert_int_equal(help_print(out, "pin"), EXIT_OK);
	assert_int_equal(help_print(out, "nothing"), EXIT_USAGE);
	for (const struct command *const *at = commands; *at; at++)
		assert_int_equal(help_print(out, (*at)->name), EXIT_OK);
}

static void help_man_and_completion_name_all(void **state)
{
	char *texts[] = { printed(print_all_help), printed(help_man), printed(help_completion) };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (const struct command *const *at = commands; *at; at++)
			assert_non_null(strstr(texts[i], (*at)->name));
		free(texts[i]);
	}
}

static void distances(void **state)
{
	char word[100];

	(void)state;
	assert_int_equal(word_distance("", "", 3), 0);
	assert_int_equal(word_distance("cat", "cat", 3), 0);
	assert_int_equal(word_distance("cat", "cut", 3), 1);
	assert_int_equal(word_distance("cat", "ca", 3), 1);
	assert_int_equal(word_distance("cat", "cta", 3), 1);
	assert_int_equal(word_distance("abcd", "badc", 3), 2);
	assert_int_equal(word_distance("", "abc", 3), 3);
	assert_int_equal(word_distance("abc", "", 3), 3);
	assert_int_equal(word_distance("kitten", "sitting", 3), 3);
	assert_int_equal(word_distance("kitten", "sitting", 2), 3);
	memset(word, 'a', 99);
	word[99] = 0;
	assert_int_equal(word_distance(word, "a", 3), 4);
}

static void text_for_terminals(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(cli_safe(out, sizeof(out), "a\033[m\177", 5), "a\\x1b[m\\x7f");
	assert_string_equal(cli_safe(out, sizeof(out), "\xc3\xa4", 2), "\xc3\xa4");
	assert_string_equal(cli_safe(out, sizeof(out), "\xff\xc3z", 3), "\\xff\\xc3z");
	assert_string_equal(cli_safe(out, sizeof(out), "\xc2\x9b", 2), "\\xc2\\x9b");
	assert_string_equal(cli_safe(out, sizeof(out), "\xed\xa0\x80", 3), "\\xed\\xa0\\x80");
	assert_string_equal(cli_safe(out, sizeof(out), "\xf0\x9f\x97\x82", 4), "\xf0\x9f\x97\x82");
	assert_true(strlen(cli_safe(out, sizeof(out), "\n\n\n\n\n\n\n\n", 8)) < sizeof(out));
	assert_string_equal(progress_size(999, (char[32]){ 0 }), "999 B");
	assert_string_equal(progress_size(1500000, (char[32]){ 0 }), "1.5 MB");
}

static void bytes_that_are_no_utf8_are_marked_in_json(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "a\xc3\xa4", "a\xc3\xa4" },
		{ "a\xff", "a\xef\xbf\xbd" },
		{ "\xc3", "\xef\xbf\xbd" },
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80z", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *json = cli_json_text(cases[i].text, strlen(cases[i].text));

		assert_string_equal(json_string_value(json), cases[i].want);
		json_t *again = json_string(json_string_value(json)); /* jansson checks it */

		assert_non_null(again);
		json_decref(again);
		json_decref(json);
	}
}

static void time_left(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(progress_left(0, 1, out), "~0s left");
	assert_string_equal(progress_left(59999, 1000, out), "~59s left");
	assert_string_equal(progress_left(80000, 1000, out), "~1m20s left");
	assert_string_equal(progress_left(3600 + 65, 1, out), "~1h01m left");
	assert_string_equal(progress_left(2 * 86400 + 3 * 3600, 1, out), "~2d03h left");
	assert_string_equal(progress_left(UINT64_MAX, UINT64_MAX, out), "~1s left");
	assert_null(progress_left(100 * 86400, 1, out));
	assert_null(progress_left(1, 0, out));
	assert_null(progress_left(UINT64_MAX, 1, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_and_arguments),
		cmocka_unit_test(options_in_every_form),
		cmocka_unit_test(options_given_again_and_again),
		cmocka_unit_test(global_options_anywhere),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(help_man_and_completion_name_all),
		cmocka_unit_test(distances),
		cmocka_unit_test(text_for_terminals),
		cmocka_unit_test(bytes_that_are_no_utf8_are_marked_in_json),
		cmocka_unit_test(time_left),
	};

	return cmocka_run_group_tests_name("fs/cli", tests, NULL, NULL);
}
