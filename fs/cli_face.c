/* The command line as a face of the table of calls: options and words become arguments, the call
 * runs here or in the daemon, and what it yields is printed, as text or as JSON, in this one place.
 */
#include "fs/cli.h"
#include "fs/cli_out.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_MAX 512 /* of the daemon's, as shown */

/* One call from its arguments to its last line. */
struct face {
	struct invocation *in;
	const struct api_row *row;
	json_t *args;
	struct api_call call; /* run here */
	struct api_host host;
	bool list; /* items become one JSON object */
	size_t count;
	json_t *whole;		   /* of an API_WHOLE row: items that wait for a good end */
	struct cli_out out;	   /* bytes */
	struct progress *progress; /* NULL: it is not shown */
	bool working;		   /* progress was told, and its end was not */
	bool ended;
	int code;
};

/* ---- printing ---- */

static bool wants_json(const struct face *face)
{
	const char *text = face->row->text_option;
	const json_t *option = text ? json_object_get(face->args, text) : NULL;

	return face->in->json && (!option || json_is_false(option));
}

/* An element of the one object: its key, when it has one, and the rest of it. */
static void print_element(struct face *face, const json_t *item)
{
	const char *key = face->row->key;
	json_t *rest = key ? json_copy((json_t *)item) : json_incref((json_t *)item);

	fputs(face->count ? "," : face->row->head, stdout);
	if (key) {
		json_dumpf(json_object_get(item, key), stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		putchar(':');
		json_object_del(rest, key);
	}
	json_dumpf(rest, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
	json_decref(rest);
}

/* Goes on with the item before, if item does. */
static bool grow_last(json_t *items, const char *name, const json_t *item)
{
	json_t *more = name ? json_object_get(item, name) : NULL, *list;

	if (!more || json_object_size(item) != 1)
		return false;
	list = json_object_get(json_array_get(items, json_array_size(items) - 1), name);
	return list && json_array_extend(list, more) == 0;
}

/* Members for the text alone are left out. */
static json_t *json_of(const json_t *item)
{
	json_t *valid = cli_json_valid(item), *member;
	const char *name;
	void *next;

	json_object_foreach_safe(valid, next, name, member)
	{
		if (*name == '_')
			json_object_del(valid, name);
	}
	return valid;
}

static void print_json(struct face *face, const json_t *item)
{
	json_t *valid = json_of(item);

	if (json_object_size(item) && !json_object_size(valid)) {
		face->count--; /* for the text alone */
	} else if (face->row->flags & API_WHOLE) {
		if (!grow_last(face->whole, face->row->grows, valid))
			json_array_append(face->whole, valid);
	} else if (face->list) {
		print_element(face, valid);
	} else {
		cli_print_json(json_incref(valid));
	}
	json_decref(valid);
}

static void print_item(struct face *face, json_t *item)
{
	progress_hide(face->progress);
	if (!wants_json(face)) {
		if (face->row->text)
			face->row->text(stdout, face->args, item);
	} else {
		print_json(face, item);
	}
	face->count++;
	if (face->row->flags & API_STREAMS)
		fflush(stdout);
}

/* Nobody may take a list that broke off for all of it, unless what was done is just what it tells.
 */
static void end_list(struct face *face)
{
	bool tells_all = face->row->flags & API_TELLS_ALL;
	const json_t *item;
	size_t i;

	if (!wants_json(face) || !face->list)
		return;
	if (tells_all ? !face->count : face->code != EXIT_OK && !face->call.complete)
		return;
	face->count = face->whole ? 0 : face->count;
	json_array_foreach(face->whole, i, item) {
		print_element(face, item);
		face->count++;
	}
	printf("%s%s\n", face->count ? "" : face->row->head, face->row->tail);
}

static void print_trouble(struct face *face, const char *message, const json_t *details)
{
	char safe[MESSAGE_MAX];
	const json_t *line;
	size_t i;

	progress_hide(face->progress);
	face->code = cli_fail(face->in, 0, "%s", message);
	json_array_foreach(details, i, line) {
		const char *text = json_string_value(line);

		fprintf(stderr, "  * %s\n",
			text ? cli_safe(safe, sizeof(safe), text, strlen(text)) : "");
	}
}

/* ---- a call that runs here ---- */

static void on_item(struct api_call *call, json_t *item)
{
	print_item(container_of(call, struct face, call), item);
}

static void on_trouble(struct api_call *call, const char *message, const json_t *details)
{
	print_trouble(container_of(call, struct face, call), message, details);
}

/* An output that fails is told in the place of what became of the call by that; when nobody reads
 * any more there is no reason to talk. */
static void on_end(struct api_call *call, int err, const char *message)
{
	struct face *face = container_of(call, struct face, call);
	int write_err = cli_out_end(&face->out);

	progress_end(face->progress);
	face->progress = NULL;
	face->ended = true;
	if (write_err == -EPIPE)
		face->code = EXIT_FAILED;
	else if (write_err)
		face->code = cli_fail_file(face->in, write_err, "cannot write the output");
	else if (err == -ENOLINK)
		face->code = cli_need_daemon(face->in);
	else if (err == API_USAGE)
		face->code = cli_usage(face->in, "%s", message);
	else if (err && err != API_SOME_FAILED)
		face->code = cli_fail_as(face->in, err, message);
	else if (err)
		face->code = EXIT_FAILED;
}

static int on_bytes(struct api_call *call, struct bytes data)
{
	struct face *face = container_of(call, struct face, call);

	return cli_out_put(&face->out, data, face->row->flags & API_STREAMS);
}

/* Not beside bytes on the same terminal. */
static void on_progress(struct api_call *call, const struct api_progress *now)
{
	struct face *face = container_of(call, struct face, call);

	if (!now) {
		progress_end(face->progress);
		face->progress = NULL;
		face->working = false;
		return;
	}
	if (!face->working && !(face->row->flags & API_BYTES && isatty(STDOUT_FILENO)))
		face->progress = progress_start(now->what, now->total_bytes);
	face->working = true;
	progress_total(face->progress, now->total_bytes);
	progress_set(face->progress, now->bytes, now->blocks);
}

static const struct api_sink sink = { on_item, on_trouble, on_end, on_bytes, on_progress };

/* What the words name; the standard input for "-", and in the place of a last word that may be left
 * out. */
static int host_input(struct api_host *host, size_t at, struct api_input *out)
{
	struct face *face = container_of(host, struct face, host);
	const char *word = api_word(face->args, at);

	if (at >= api_word_count(face->args) && at && (int)at != face->row->command.args_max - 1)
		return -ENODATA;
	out->name = word ? word : "-";
	if (strcmp(out->name, "-") == 0) {
		out->fd = STDIN_FILENO;
		return 0;
	}
	out->fd = open(word, O_RDONLY | O_CLOEXEC);
	out->close = out->fd >= 0;
	return out->close ? 0 : -errno;
}

static void host_provided(struct api_host *host, const struct cid *cid)
{
	cli_provided(container_of(host, struct face, host)->in, cid);
}

static int host_ask(struct api_host *host, const char *call, json_t *args, struct wait *wait,
		    api_asked_fn *item, void *ctx, char **why)
{
	return cli_ask(container_of(host, struct face, host)->in, call, args, wait, item, ctx, why);
}

static struct wait *host_wait(struct api_host *host, uint64_t timeout_ms)
{
	return cli_wait_ms(container_of(host, struct face, host)->in, timeout_ms);
}

static struct fetcher *host_fetcher(struct api_host *host)
{
	return cli_fetcher(container_of(host, struct face, host)->in);
}

static struct shares *host_shares(struct api_host *host)
{
	return cli_shares(container_of(host, struct face, host)->in);
}

static int run_here(struct face *face)
{
	struct invocation *in = face->in;
	int code = face->row->flags & (API_BARE | API_UNOPENED) ? 0 : cli_need_repo(in);

	if (code)
		return code;
	face->host = (struct api_host){
		.repo = in->repo,
		.repo_path = in->repo_path,
		.wait = host_wait,
		.fetcher = host_fetcher,
		.ask = host_ask,
		.own_files = true,
		.input = host_input,
		.provided = host_provided,
		.shares = host_shares,
	};
	face->whole = face->row->flags & API_WHOLE ? json_array() : NULL;
	face->call = (struct api_call){
		.row = face->row, .args = face->args, .host = &face->host, .sink = &sink
	};
	api_run(&face->call, false);
	if (!face->ended)
		abort(); /* a row whose run leaves its call open */
	return face->code;
}

/* ---- a call that runs in the daemon ---- */

/* As long as the daemon takes to give up by itself, a word after the other, and some more. */
static struct wait *wait_for_daemon(struct face *face)
{
	uint64_t words = api_word_count(face->args), timeout_ms = face->in->timeout_ms;

	if (face->row->flags & API_LONG)
		return cli_wait_long(face->in);
	return cli_wait_ms(face->in,
			   timeout_ms ? timeout_ms * (words ? words : 1) + CLI_GRACE_MS : 0);
}

static int on_answer(void *ctx, enum control_kind kind, json_t *value)
{
	struct face *face = ctx;

	if (kind == CONTROL_ITEM) {
		print_item(face, value);
	} else {
		const char *message = json_string_value(json_object_get(value, "error"));
		char safe[MESSAGE_MAX];

		message = message ? message : "";
		print_trouble(face, cli_safe(safe, sizeof(safe), message, strlen(message)),
			      json_object_get(value, "details"));
	}
	wait_for_daemon(face);
	return 0;
}

static int face_ask(struct face *face, char **why)
{
	return control_call(face->in->control, face->row->command.name, json_incref(face->args),
			    wait_for_daemon(face), on_answer, face, why);
}

/* Has the daemon run the call. If the daemon was about to end, the next one is asked, or without
 * one it runs here, if it can. */
static int run_in_daemon(struct face *face)
{
	struct invocation *in = face->in;
	char *why = NULL, safe[MESSAGE_MAX];
	int err = face_ask(face, &why), code = face->code;

	if (err && control_gone(in->control)) { /* the next one, when it was ending */
		free(why);
		why = NULL;
		cli_drop_daemon(in);
		if (face->row->run && !cli_interrupted() && !cli_daemon(in))
			return run_here(face);
		code = cli_need_daemon(in);
		err = code ? 0 : face_ask(face, &why);
		code = code ? code : face->code;
	}
	if (err == API_SOME_FAILED)
		code = face->code;
	else if (err && why)
		code = cli_fail(in, 0, "%s", cli_safe(safe, sizeof(safe), why, strlen(why)));
	else if (err)
		code = cli_fail(in, err, "%s", face->row->command.name);
	free(why);
	return err == -EINTR || (!err && cli_interrupted()) ? EXIT_INTERRUPTED : code;
}

/* ---- from words to the call ---- */

static int face_run(struct face *face)
{
	struct invocation *in = face->in;
	bool alone = face->row->flags & API_BARE && !face->row->run_daemon;
	int code = alone ? 0 : cli_need_path(in);

	if (code)
		return code;
	if (!face->row->run)
		code = cli_need_daemon(in);
	if (code)
		return code;
	return face->row->run_daemon && cli_daemon(in) ? run_in_daemon(face) : run_here(face);
}

int cli_run_call(struct invocation *in, const struct api_row *row, json_t *args)
{
	struct face face = { .in = in, .row = row, .args = args };
	char *why;
	int err;

	json_object_set_new(args, "timeout", json_integer((json_int_t)in->timeout_ms));
	if (in->cid_base)
		json_object_set_new(args, "cid-base", json_sprintf("%c", in->cid_base));
	err = api_check(row, args, &why);
	if (err == -EBADMSG)
		face.code = cli_fail(in, 0, "%s", why);
	else if (err)
		face.code = cli_usage(in, "%s", why);
	free(why);
	if (!err) {
		face.list = row->head && (row->flags & API_WHOLE || !api_flag(args, "stream"));
		face.code = face_run(&face);
		end_list(&face);
	}
	json_decref(face.whole);
	json_decref(args);
	return face.code;
}

/* An option's value or values, NULL when it was not given. */
static json_t *given(struct invocation *in, const struct option_spec *spec)
{
	const char *text;
	json_t *list;
	size_t at = 0;

	if (!cli_given(in, spec->name))
		return NULL;
	if (spec->kind != OPTION_LIST)
		return api_value(spec, cli_text(in, spec->name));
	list = json_array();
	while ((text = cli_listed(in, spec->name, &at)))
		json_array_append_new(list, api_value(spec, text));
	return list;
}

int cli_run_row(struct invocation *in)
{
	const struct option_spec *spec = in->command->options;
	json_t *args = json_object(), *words = json_array();

	for (; spec && spec->name; spec++) {
		json_t *value = given(in, spec);

		if (value)
			json_object_set_new(args, spec->name, value);
	}
	for (int i = 0; i < in->argc; i++)
		json_array_append_new(words, json_string_nocheck(in->argv[i]));
	json_object_set_new(args, "arg", words);
	return cli_run_call(in, api_row_of(in->command), args);
}
