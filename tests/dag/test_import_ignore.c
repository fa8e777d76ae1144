/* dag/import/ignore.c: rules as `git check-ignore` takes them. */
#include "tests/dag/import_room.h"

#include "net/base/err.h"

static bool left_out(const char *rules, const char *path, bool is_dir)
{
	struct ignore *ignore = ignore_new();
	char *copy = xstrdup(rules), *rest = copy, *line;
	bool answer;

	while ((line = strsep(&rest, "\n")))
		assert_int_equal(ignore_add(ignore, line), 0);
	answer = ignore_matches(ignore, path, is_dir);
	ignore_free(ignore);
	free(copy);
	return answer;
}

static void rules_are_gits(void **state)
{
	static const struct {
		const char *rules, *path;
		bool is_dir, expected;
	} cases[] = {
		{ "", "/a", false, false },
		{ "# a\n\n  ", "/a", false, false },
		{ "a", "/a", false, true },
		{ "a", "/b/c/a", false, true },
		{ "a", "/b/c/ab", false, false },
		{ "a", "/a", true, true },
		{ "a/", "/a", false, false },
		{ "a/", "/b/a", true, true },
		{ "*.o", "/b/x.o", false, true },
		{ "*.o", "/b/.o", false, true },
		{ "*.[oa]", "/x.a", false, true },
		{ "x?", "/xy", false, true },
		{ "/a", "/a", false, true },
		{ "/a", "/b/a", false, false },
		{ "b/a", "/b/a", false, true },
		{ "b/a", "/c/b/a", false, false },
		{ "/b/*/a", "/b/c/a", false, true },
		{ "/b/*/a", "/b/c/d/a", false, false },
		{ "b/*", "/b/c", false, true },
		{ "**/a", "/a", false, true },
		{ "**/a", "/b/c/a", false, true },
		{ "b/**", "/b", true, false },
		{ "b/**", "/b/c/d", false, true },
		{ "b/**/a", "/b/a", false, true },
		{ "b/**/a", "/b/c/d/a", false, true },
		{ "b/**/a", "/b/c/d/e", false, false },
		{ "b/**/c/**/a", "/b/x/c/y/c/z/a", false, true },
		{ "b/**/c/*", "/b/c/d/c/e", false, true },
		{ "*.o\n!keep.o", "/keep.o", false, false },
		{ "!keep.o\n*.o", "/keep.o", false, true },
		{ "\\#a", "/#a", false, true },
		{ "\\!a", "/!a", false, true },
		{ "a ", "/a", false, true },
		{ "a\\ ", "/a ", false, true },
		{ "a\r", "/a", false, true },
		{ "//", "/a", true, false },
		{ "b//a", "/b/a", false, true },
		{ "**", "/b/a", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (left_out(cases[i].rules, cases[i].path, cases[i].is_dir) != cases[i].expected)
			fail_msg("\"%s\" of %s", cases[i].rules, cases[i].path);
}

static void rules_are_bounded(void **state)
{
	struct ignore *ignore = ignore_new();
	char *line = xcalloc(1, IGNORE_LINE_MAX + 2);

	(void)state;
	memset(line, 'x', IGNORE_LINE_MAX + 1);
	assert_int_equal(ignore_add(ignore, line), -E2BIG);
	line[IGNORE_LINE_MAX] = '\0';
	for (unsigned i = 0; i < IGNORE_RULES_MAX; i++)
		assert_int_equal(ignore_add(ignore, i ? "a" : line), 0);
	assert_int_equal(ignore_add(ignore, "a"), -E2BIG);
	assert_int_equal(ignore_add(ignore, "# fine"), 0);
	free(line);
	ignore_free(ignore);
}

static void files_of_rules_are_read(void **state)
{
	struct room *room = *state;
	struct ignore *ignore = ignore_new();
	char *path = xasprintf("%s/rules", room->dir);

	room_put_file(room, "rules", bytes_str("# why\n*.o\r\n\n/b/\nlast"));
	assert_int_equal(ignore_add_file(ignore, path), 0);
	assert_true(ignore_matches(ignore, "/x/a.o", false));
	assert_true(ignore_matches(ignore, "/b", true));
	assert_true(ignore_matches(ignore, "/last", false));
	assert_false(ignore_matches(ignore, "/c", false));
	assert_int_equal(ignore_add_file(ignore, room->dir), -EISDIR);
	assert_int_equal(ignore_add_file(ignore, "/nowhere/rules"), -ENOENT);
	ignore_free(ignore);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_gits),
		cmocka_unit_test(rules_are_bounded),
		IN_ROOM(files_of_rules_are_read),
	};

	return cmocka_run_group_tests_name("dag/import_ignore", tests, NULL, NULL);
}
