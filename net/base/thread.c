/* Starting threads. New threads block all signals but those of their own faults, so that the main
 * thread alone handles SIGINT and SIGTERM. Errors tell lack of memory from lack of threads. Any
 * thread. */
#include "net/base/thread.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

int thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx)
{
	static const int faults[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
	sigset_t masked, before;

	sigfillset(&masked);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		sigdelset(&masked, faults[i]);
	pthread_sigmask(SIG_BLOCK, &masked, &before);
	int err = thread_err(pthread_create(thread, NULL, run, ctx));

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* The C library answers EAGAIN both without room for a stack and without leave for one more thread.
 */
int thread_err(int result)
{
	pthread_attr_t attributes;
	size_t bytes = 0;
	void *stack;

	if (result != EAGAIN || pthread_getattr_default_np(&attributes))
		return -result;
	pthread_attr_getstacksize(&attributes, &bytes);
	pthread_attr_destroy(&attributes);
	stack = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -ENOMEM;
	munmap(stack, bytes);
	return -EAGAIN;
}
