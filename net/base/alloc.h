/* Memory of our own fixed sizes: failure ends the process, because no caller could go on. Sizes
 * chosen by a peer or a file are bounded by the caller first; where they are large it uses malloc()
 * and returns -ENOMEM. Any thread. */
#ifndef NET_BASE_ALLOC_H
#define NET_BASE_ALLOC_H

#include <stddef.h>

/* Writes a line to standard error and aborts. For failures of memory outside of this file. Any
 * thread. */
_Noreturn void out_of_memory(void);
/* Zeroed memory; never NULL. Release with free(). */
void *xcalloc(size_t count, size_t size);
/* realloc() that aborts; the new part is not zeroed. */
void *xrealloc(void *at, size_t size);
char *xstrdup(const char *text);
/* printf into fresh memory; never NULL. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One zeroed object of the pointed-to type. */
#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
