/* Which signals a thread of ours takes. */
#include "net/base/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void *tell_mask(void *ctx)
{
	pthread_sigmask(SIG_BLOCK, NULL, ctx);
	return NULL;
}

static void new_thread_blocks_signals(void **state)
{
	sigset_t before, after, its;
	pthread_t thread;

	(void)state;
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	assert_int_equal(thread_start(&thread, tell_mask, &its), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	assert_int_equal(sigismember(&its, SIGINT), 1);
	assert_int_equal(sigismember(&its, SIGTERM), 1);
	assert_int_equal(sigismember(&its, SIGCHLD), 1);
	assert_int_equal(sigismember(&its, SIGBUS), 0);
	assert_int_equal(sigismember(&its, SIGSEGV), 0);
	for (int i = 1; i < SIGRTMIN; i++)
		assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

static void on_bus(int number)
{
	(void)number;
	_exit(7);
}

/* Beyond the end of a file. */
static void *read_nothing(void *ctx)
{
	return (void *)(uintptr_t) * (volatile char *)ctx;
}

static void faults_reach_their_handler(void **state)
{
	FILE *empty = tmpfile();
	int status;

	(void)state;
	assert_non_null(empty);
	pid_t child = fork();

	if (child == 0) {
		void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(empty), 0);
		pthread_t thread;

		signal(SIGBUS, on_bus);
		if (map != MAP_FAILED && !thread_start(&thread, read_nothing, map))
			pthread_join(thread, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	fclose(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_thread_blocks_signals),
		cmocka_unit_test(faults_reach_their_handler),
	};

	return cmocka_run_group_tests_name("net/thread", tests, NULL, NULL);
}
