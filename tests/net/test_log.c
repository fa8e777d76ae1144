#include "net/base/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What stderr was given while it pointed to a file. */
struct capture {
	FILE *file;
	int saved;
	char text[8192];
};

static void capture_start(struct capture *capture)
{
	capture->file = tmpfile();
	assert_non_null(capture->file);
	capture->saved = dup(STDERR_FILENO);
	dup2(fileno(capture->file), STDERR_FILENO);
}

static const char *capture_end(struct capture *capture)
{
	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	rewind(capture->file);
	size_t len = fread(capture->text, 1, sizeof capture->text - 1, capture->file);

	capture->text[len] = '\0';
	fclose(capture->file);
	return capture->text;
}

static void environment_sets_the_first_levels(void **state)
{
	(void)state;
	assert_true(log_enabled("other", LOG_ERROR));
	assert_false(log_enabled("other", LOG_WARN));
	assert_true(log_enabled("swarm", LOG_DEBUG));
	assert_true(log_enabled("dag", LOG_INFO));
	assert_false(log_enabled("dag", LOG_DEBUG));
}

static void levels_by_area(void **state)
{
	(void)state;
	assert_int_equal(log_set_level("all", "warn"), 0);
	assert_false(log_enabled("swarm", LOG_INFO));
	assert_int_equal(log_set_level("bitswap", "debug"), 0);
	assert_true(log_enabled("bitswap", LOG_DEBUG));
	assert_int_equal(log_set_level("bitswap", "info"), 0);
	assert_false(log_enabled("bitswap", LOG_DEBUG));
	assert_int_equal(log_set_level("bitswap", "loud"), -ENOENT);
	assert_int_equal(log_set_level("", "info"), -EINVAL);
	assert_int_equal(log_set_level("a-name-that-is-longer-than-23", "info"), -EINVAL);
	assert_int_equal(log_set_level("*", "warn"), 0);
	assert_false(log_enabled("bitswap", LOG_INFO));
}

static void table_is_bounded(void **state)
{
	char area[16];

	(void)state;
	log_set_level("all", "warn");
	for (int i = 0; i < 64; i++) {
		snprintf(area, sizeof area, "area%d", i);
		assert_int_equal(log_set_level(area, "info"), 0);
	}
	assert_int_equal(log_set_level("one-more", "info"), -EAGAIN);
	assert_int_equal(log_set_level("area63", "debug"), 0);
	log_set_level("all", "warn");
}

static void line_has_its_form(void **state)
{
	struct capture capture;
	char date[32], rest[64];

	(void)state;
	capture_start(&capture);
	errno = EPIPE;
	log_warn("swarm", "dial failed err=%d", 5);
	log_info("swarm", "not %s", "shown");
	log_debug("swarm", "not %s", "shown");
	int kept = errno;
	const char *text = capture_end(&capture);

	assert_int_equal(kept, EPIPE);
	assert_int_equal(sscanf(text, "%31s %63[^\n]", date, rest), 2);
	assert_int_equal(strlen(date), strlen("2026-11-21T08:00:00.123"));
	assert_string_equal(rest, "warn swarm: dial failed err=5");
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void long_lines_are_cut(void **state)
{
	struct capture capture;
	char longer[3000];

	(void)state;
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	capture_start(&capture);
	log_error("swarm", "%s", longer);
	const char *text = capture_end(&capture);

	assert_in_range(strlen(text), 900, 1024);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void remote_text_cannot_forge_lines(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(log_safe(out, sizeof out, "a\nb\\\xc3", 5), "a\\x0ab\\x5c\\xc3");
	assert_string_equal(log_safe(out, 6, "abcdefgh", 8), "abcde");
	assert_string_equal(log_safe(out, 5, "ab\n", 3), "ab"); /* no half escape */
	assert_string_equal(log_safe(out, 1, "ab", 2), "");
	assert_string_equal(log_safe(out, sizeof out, NULL, 0), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(environment_sets_the_first_levels),
		cmocka_unit_test(levels_by_area),
		cmocka_unit_test(table_is_bounded),
		cmocka_unit_test(line_has_its_form),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(remote_text_cannot_forge_lines),
	};
	setenv("DAGFS_LOG", "error,swarm=debug,nonsense,x=loud,=,dag=info,", 1);
	return cmocka_run_group_tests_name("net/log", tests, NULL, NULL);
}
