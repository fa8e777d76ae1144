/* Calls on their way: found in the table, run, given up, ended. All state is in the call, so calls
 * know nothing of each other. The thread that runs the call. */
#include "fs/api/api.h"

#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* "swarm peers" and "swarm/peers" are one. */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == ' ' && *b == '/'))
			return false;
	return *a == *b;
}

const struct api_row *api_row(const char *name)
{
	for (const struct api_row *const *at = api_rows; *at; at++)
		if (same_name((*at)->command.name, name))
			return *at;
	return NULL;
}

const struct api_row *api_row_of(const struct command *command)
{
	return container_of(command, const struct api_row, command);
}

void api_run(struct api_call *call, bool in_daemon)
{
	if (in_daemon)
		call->row->run_daemon(call);
	else
		call->row->run(call);
}

void api_cancel(struct api_call *call)
{
	if (call->cancelled)
		return;
	call->cancelled = true;
	if (call->on_cancel)
		call->on_cancel(call->cancel_ctx); /* may end the call */
}

void api_on_cancel(struct api_call *call, void (*cancelled)(void *ctx), void *ctx)
{
	call->on_cancel = cancelled;
	call->cancel_ctx = ctx;
}

/* ---- answers ---- */

void api_item(struct api_call *call, json_t *item)
{
	if (item) /* NULL: a text in it was no UTF-8 */
		call->sink->item(call, item);
	json_decref(item);
}

static char *message_of(const char *fmt, va_list args)
{
	char *text;

	if (vasprintf(&text, fmt, args) < 0)
		out_of_memory();
	return text;
}

void api_trouble(struct api_call *call, json_t *details, const char *fmt, ...)
{
	va_list args;
	char *message;

	va_start(args, fmt);
	message = message_of(fmt, args);
	va_end(args);
	call->sink->trouble(call, message, details);
	free(message);
	json_decref(details);
}

int api_bytes(struct api_call *call, struct bytes data)
{
	return call->sink->bytes ? call->sink->bytes(call, data) : -ENOTSUP;
}

void api_progress(struct api_call *call, const struct api_progress *progress)
{
	if (call->sink->progress)
		call->sink->progress(call, progress);
}

void api_end(struct api_call *call, int err, const char *message)
{
	call->on_cancel = NULL;
	if (err && !message)
		message = err_text(err);
	call->sink->end(call, err, err ? message : NULL);
}

void api_fail(struct api_call *call, int err, const char *fmt, ...)
{
	va_list args;
	char *what, *message, why[WAIT_TEXT_MAX];

	va_start(args, fmt);
	what = message_of(fmt, args);
	va_end(args);
	message = xasprintf("%s: %s", what,
			    call->waited ? wait_err_text(call->waited, err, why) : err_text(err));
	api_end(call, err, message);
	free(message);
	free(what);
}

void api_fail_file(struct api_call *call, int err, const char *fmt, ...)
{
	va_list args;
	char *what, *message;

	va_start(args, fmt);
	what = message_of(fmt, args);
	va_end(args);
	message = xasprintf("%s: %s", what, err_file_text(err));
	api_end(call, err, message);
	free(message);
	free(what);
}

void api_refuse(struct api_call *call, int err, const char *fmt, ...)
{
	va_list args;
	char *message;

	va_start(args, fmt);
	message = message_of(fmt, args);
	va_end(args);
	api_end(call, err, message);
	free(message);
}
