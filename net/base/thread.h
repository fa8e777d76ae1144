/* Starting threads that leave the program's signals to the main thread. */
#ifndef NET_BASE_THREAD_H
#define NET_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread that blocks all signals but those of its own faults (SIGBUS, SIGSEGV and the
 * like; if these were blocked, the process would end without its handler). 0 or -errno. Any thread;
 * the caller's own mask does not change. */
int thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx);
/* A result of pthread_create() as -errno: -ENOMEM if there is no room for a stack, -EAGAIN if there
 * are too many threads. */
int thread_err(int result);

#endif
