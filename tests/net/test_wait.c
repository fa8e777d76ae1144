#include "net/base/wait.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void deadline_ends_the_wait(void **state)
{
	struct wait wait;

	(void)state;
	assert_int_equal(wait_init(&wait), 0);
	wait_start(&wait, 1);
	assert_int_equal(wait_sleep(&wait), -ETIMEDOUT);
	assert_int_equal(wait_check(&wait), -ETIMEDOUT);
	wait_start(&wait, 0);
	assert_true(wait.deadline_ms == UINT64_MAX);
	assert_int_equal(wait_check(&wait), 0);
	wait_start(&wait, UINT64_MAX);
	assert_true(wait.deadline_ms == UINT64_MAX);
	wait_release(&wait);
	wait_release(&wait);
}

static void wake_before_sleep_is_kept_and_start_forgets(void **state)
{
	struct wait wait;

	(void)state;
	assert_int_equal(wait_init(&wait), 0);
	wait_start(&wait, 0);
	wait_wake(&wait);
	wait_wake(&wait);
	assert_int_equal(wait_sleep(&wait), 0);
	wait_wake(&wait);
	wait_start(&wait, 1);
	assert_int_equal(wait_sleep(&wait), -ETIMEDOUT);
	wait_cancel(&wait);
	assert_int_equal(wait_check(&wait), -EINTR);
	assert_int_equal(wait_sleep(&wait), -EINTR);
	assert_int_equal(wait_sleep(&wait), -EINTR); /* stays */
	wait_start(&wait, 0);
	assert_int_equal(wait_check(&wait), 0);
	wait_release(&wait);
}

static void *wake_it(void *ctx)
{
	wait_wake(ctx);
	return NULL;
}

static void *cancel_it(void *ctx)
{
	wait_cancel(ctx);
	return NULL;
}

static void another_thread_ends_the_wait(void **state)
{
	struct wait wait;
	pthread_t thread;

	(void)state;
	assert_int_equal(wait_init(&wait), 0);
	wait_start(&wait, 0);
	assert_int_equal(pthread_create(&thread, NULL, wake_it, &wait), 0);
	assert_int_equal(wait_sleep(&wait), 0);
	pthread_join(thread, NULL);
	assert_int_equal(pthread_create(&thread, NULL, cancel_it, &wait), 0);
	assert_int_equal(wait_sleep(&wait), -EINTR);
	pthread_join(thread, NULL);
	wait_release(&wait);
}

static struct wait signalled;

static void on_signal(int number)
{
	(void)number;
	wait_cancel(&signalled);
}

static void signal_handler_ends_the_wait(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };

	(void)state;
	assert_int_equal(wait_init(&signalled), 0);
	wait_start(&signalled, 0);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	ualarm(1000, 0);
	assert_int_equal(wait_sleep(&signalled), -EINTR);
	wait_release(&signalled);
}

static void *cancel_soon(void *ctx)
{
	usleep(20000);
	wait_cancel(ctx);
	return NULL;
}

static void reading_of_a_silent_pipe_ends_with_the_wait(void **state)
{
	struct wait wait;
	pthread_t thread;
	char bytes[8];
	int fds[2];

	(void)state;
	assert_int_equal(wait_init(&wait), 0);
	assert_int_equal(pipe(fds), 0);
	wait_start(&wait, 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	assert_int_equal(wait_read(&wait, fds[0], bytes, sizeof(bytes)), 3);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &wait), 0);
	assert_int_equal(wait_read(&wait, fds[0], bytes, sizeof(bytes)), -EINTR);
	pthread_join(thread, NULL);
	wait_start(&wait, 20);
	assert_int_equal(wait_read(&wait, fds[0], bytes, sizeof(bytes)), -ETIMEDOUT);
	wait_start(&wait, 0);
	close(fds[1]);
	assert_int_equal(wait_read(&wait, fds[0], bytes, sizeof(bytes)), 0);
	close(fds[0]);
	assert_int_equal(wait_read(&wait, fds[0], bytes, sizeof(bytes)), -EBADF);
	wait_release(&wait);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_of_a_silent_pipe_ends_with_the_wait),
		cmocka_unit_test(deadline_ends_the_wait),
		cmocka_unit_test(wake_before_sleep_is_kept_and_start_forgets),
		cmocka_unit_test(another_thread_ends_the_wait),
		cmocka_unit_test(signal_handler_ends_the_wait),
	};
	return cmocka_run_group_tests_name("net/wait", tests, NULL, NULL);
}
