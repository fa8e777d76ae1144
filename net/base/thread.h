/* Threads of ours beside those that the program's signal handlers expect. */
#ifndef NET_BASE_THREAD_H
#define NET_BASE_THREAD_H

#include <pthread.h>

/* pthread_create() of one that takes no signals, but for those of its own faults (SIGBUS, SIGSEGV and the like, which would else
 * end the process without its handler). 0 or -errno. Any thread; the caller's mask is as before. */
int thread_start(pthread_t *thread, void *(*run)(void *ctx), void *ctx);
/* What pthread_create() answered, as -errno: -ENOMEM when there is no room for a stack, -EAGAIN when there are too many. */
int thread_err(int result);

#endif
