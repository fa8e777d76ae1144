#include "net/base/thread.h"

#include "net/base/alloc.h"

#include <signal.h>
#include <stddef.h>

int thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx)
{
	static const int faults[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
	sigset_t masked, before;

	sigfillset(&masked);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		sigdelset(&masked, faults[i]);
	pthread_sigmask(SIG_BLOCK, &masked, &before);
	int err = pthread_create(thread, NULL, run, ctx);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}
