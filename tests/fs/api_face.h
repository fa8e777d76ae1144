/* What tests of the table of calls share: a face of the tests' own, which keeps what a call yields
 * and gives it up where the test wants, and the program itself to compare with. */
#ifndef TESTS_FS_API_FACE_H
#define TESTS_FS_API_FACE_H

#include "fs/cli.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/wait.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FACE_INPUTS_MAX 4

struct face {
	char dir[64];
	char *path;
	struct wait wait;
	struct api_host host;
	struct api_call call;
	json_t *items;
	struct buf bytes;
	unsigned pieces, pieces_max; /* of bytes: so many are taken, 0: any number */
	unsigned cancel_after;	     /* items or pieces; 0: never */
	unsigned steps;		     /* of progress */
	bool working;		     /* the last step was not the end of the work */
	unsigned cancel_waits;	     /* the wait at which the call is given up; 0: none */
	bool cancelled;
	int inputs[FACE_INPUTS_MAX]; /* descriptors, closed by the calls; -errno: cannot be opened
				      */
	size_t input_count;
	unsigned provided, withdrawn;
	unsigned troubles, ends;
	int err;
	char message[256];
};

static void face_cancel(struct face *face)
{
	face->cancelled = true;
	wait_cancel(&face->wait);
}

static void on_item(struct api_call *call, json_t *item)
{
	struct face *face = container_of(call, struct face, call);

	json_array_append(face->items, item);
	if (json_array_size(face->items) == face->cancel_after)
		face_cancel(face);
}

static int on_bytes(struct api_call *call, struct bytes data)
{
	struct face *face = container_of(call, struct face, call);

	face->pieces++;
	if (face->pieces_max && face->pieces > face->pieces_max)
		return -EPIPE;
	buf_add(&face->bytes, data);
	if (face->pieces == face->cancel_after)
		face_cancel(face);
	return 0;
}

static void on_progress(struct api_call *call, const struct api_progress *progress)
{
	struct face *face = container_of(call, struct face, call);

	face->steps += progress != NULL;
	face->working = progress != NULL;
}

static void on_trouble(struct api_call *call, const char *message, const json_t *details)
{
	struct face *face = container_of(call, struct face, call);

	(void)details;
	snprintf(face->message, sizeof(face->message), "%s", message);
	face->troubles++;
}

static void on_end(struct api_call *call, int err, const char *message)
{
	struct face *face = container_of(call, struct face, call);

	face->ends++;
	face->err = err;
	if (err && err != API_SOME_FAILED)
		snprintf(face->message, sizeof(face->message), "%s", message);
}

static const struct api_sink sink = { on_item, on_trouble, on_end, on_bytes, on_progress };

static struct wait *begin_wait(struct api_host *host, uint64_t timeout_ms)
{
	struct face *face = container_of(host, struct face, host);

	wait_start(&face->wait, timeout_ms);
	if (face->cancel_waits && --face->cancel_waits == 0)
		face->cancelled = true;
	if (face->cancelled)
		wait_cancel(&face->wait);
	return &face->wait;
}

static int give_input(struct api_host *host, size_t at, struct api_input *out)
{
	struct face *face = container_of(host, struct face, host);

	out->name = "input";
	if (at >= face->input_count)
		return -ENODATA;
	out->fd = face->inputs[at];
	out->close = out->fd >= 0;
	return out->close ? 0 : out->fd;
}

static void on_provided(struct api_host *host, const struct cid *cid)
{
	struct face *face = container_of(host, struct face, host);

	face->provided += cid != NULL;
	face->withdrawn += cid == NULL;
}

/* Runs a call to its end: its error. args is taken. */
static int run(struct face *face, const char *name, json_t *args)
{
	char *why;

	json_array_clear(face->items);
	buf_clear(&face->bytes);
	face->troubles = face->ends = face->pieces = face->steps = 0;
	face->provided = face->withdrawn = 0;
	face->cancelled = face->working = false;
	face->call = (struct api_call){
		.row = api_row(name), .args = args, .host = &face->host, .sink = &sink
	};
	assert_int_equal(api_check(face->call.row, args, &why), 0);
	api_run(&face->call, false);
	assert_int_equal(face->ends, 1);
	assert_false(face->working);
	json_decref(args);
	return face->err;
}

static void open_repo(struct face *face)
{
	char *why = NULL;

	assert_int_equal(repo_open(face->path, &face->host.repo, &why), 0);
}

/* Runs the program for these words, parted by blanks; what it writes to its output. One process
 * opens a repository once: the program has it meanwhile. */
static void run_program(struct face *face, const char *words, struct buf *out)
{
	char file[96], *argv[16], *owned[16], *copy = xstrdup(words);
	int argc = 0, saved = dup(STDOUT_FILENO), fd;

	repo_close(face->host.repo);
	snprintf(file, sizeof(file), "%s/out", face->dir);
	argv[argc++] = xasprintf("--repo=%s", face->path);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = xstrdup(word);
	memcpy(owned, argv, sizeof(argv));
	fflush(stdout);
	assert_non_null(freopen(file, "w+", stdout));
	cli_run(argc, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	for (ssize_t n = 1; n > 0; out->len += (size_t)n)
		n = read(fd, buf_reserve(out, 65536), 65536);
	close(fd);
	unlink(file);
	for (int i = 0; i < argc; i++)
		free(owned[i]);
	free(copy);
	open_repo(face);
}

/* What the command line prints for these words with --enc=json, parsed; each line one value. */
static json_t *printed(struct face *face, const char *words)
{
	char *all = xasprintf("--enc=json %s", words), *text, *rest = NULL;
	json_t *lines = json_array();
	struct buf out = { 0 };

	run_program(face, all, &out);
	text = buf_take_text(&out);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		json_array_append_new(lines, json_loads(line, 0, NULL));
	free(text);
	free(all);
	return lines;
}

/* want is taken. */
static void assert_same_as_program(struct face *face, const char *words, json_t *want)
{
	json_t *got = printed(face, words);

	if (!json_equal(got, want))
		fail_msg("%s: %s, not %s", words, json_dumps(got, 0), json_dumps(want, 0));
	json_decref(got);
	json_decref(want);
}

static int setup(void **state)
{
	struct face *face = xnew(struct face);
	char *why = NULL;

	snprintf(face->dir, sizeof(face->dir), "/tmp/dagfs-test-api.XXXXXX");
	if (!mkdtemp(face->dir))
		return -1;
	face->path = xasprintf("%s/repo", face->dir);
	face->items = json_array();
	face->host.wait = begin_wait;
	face->host.repo_path = face->path;
	face->host.input = give_input;
	face->host.provided = on_provided;
	if (wait_init(&face->wait) || repo_init(face->path, "test", &why))
		return -1;
	open_repo(face);
	*state = face;
	return 0;
}

static int teardown(void **state)
{
	struct face *face = *state;
	char *remove;

	repo_close(face->host.repo);
	remove = xasprintf("rm -rf %s", face->dir);
	assert_int_equal(system(remove), 0);
	free(remove);
	wait_release(&face->wait);
	json_decref(face->items);
	buf_release(&face->bytes);
	free(face->path);
	free(face);
	return 0;
}

#endif
