/* Allocation for objects of our own fixed sizes. If it fails, the process ends: no caller could
 * go on. The message is written without allocating. Any thread. */
#include "net/base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void out_of_memory(void)
{
	static const char text[] = "dagfs: out of memory\n";

	fwrite(text, 1, sizeof text - 1, stderr);
	abort();
}

void *xcalloc(size_t count, size_t size)
{
	void *at = calloc(count ? count : 1, size ? size : 1);

	if (!at)
		out_of_memory();
	return at;
}

void *xrealloc(void *at, size_t size)
{
	/* realloc(at, 0) may free: never ask for nothing. */
	void *grown = realloc(at, size ? size : 1);

	if (!grown)
		out_of_memory();
	return grown;
}

char *xstrdup(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		out_of_memory();
	return copy;
}

char *xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		out_of_memory();
	va_end(args);
	return text;
}
