#include "net/base/alloc.h"
#include "net/base/trim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCKS 16384
#define BLOCK 4096

static size_t resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* 64 MiB in small blocks are freed below one that stays. */
static void freed_pages_go_back(void **state)
{
	struct timers *timers = timers_new();
	struct trim trim = { 0 };
	char **blocks = xcalloc(BLOCKS, sizeof(*blocks));

	(void)state;
	trim_start(&trim, timers);
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = xcalloc(1, BLOCK);
		memset(blocks[i], 7, BLOCK);
	}
	timers_run(timers, TRIM_EVERY_MS);
	for (size_t i = 0; i < BLOCKS - 1; i++)
		free(blocks[i]);
	size_t before = resident();

	timers_run(timers, 2 * TRIM_EVERY_MS);
#ifndef __SANITIZE_ADDRESS__ /* its allocator keeps what was freed, on purpose */
	assert_true(resident() + BLOCKS * BLOCK / 2 < before);
#else
	assert_true(before > 0);
#endif
	free(blocks[BLOCKS - 1]);
	free(blocks);
	trim_stop(&trim);
	timers_free(timers);
}

static void timer_goes_on_until_it_is_stopped(void **state)
{
	struct timers *timers = timers_new();
	struct trim trim = { 0 };

	(void)state;
	trim_stop(&trim);
	trim_start(&trim, timers);
	for (uint64_t i = 1; i < 4; i++) {
		assert_int_equal(timers_next(timers), i * TRIM_EVERY_MS);
		timers_run(timers, i * TRIM_EVERY_MS);
	}
	trim_stop(&trim);
	assert_true(timers_next(timers) == TIMER_NEVER);
	trim_stop(&trim);
	timers_free(timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freed_pages_go_back),
		cmocka_unit_test(timer_goes_on_until_it_is_stopped),
	};

	return cmocka_run_group_tests_name("net/trim", tests, NULL, NULL);
}
