#include "fs/control/control_frame.h"
#include "fs/control/control_socket.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_NAME 180

/* ---- frames ---- */

static void frames_split_anywhere(void **state)
{
	struct control_frame frame;
	struct buf wire = { 0 };

	(void)state;
	control_frame_encode(&wire, 7, CONTROL_CALL, bytes_str("hello"));
	control_frame_encode(&wire, 0xfffffffe, CONTROL_CANCEL, bytes_of(NULL, 0));
	for (size_t len = 0; len < CONTROL_HEAD_LEN + 5; len++)
		assert_int_equal(control_frame_decode(&frame, bytes_of(wire.at, len)), 0);
	assert_int_equal(control_frame_decode(&frame, buf_bytes(&wire)), CONTROL_HEAD_LEN + 5);
	assert_int_equal(frame.id, 7);
	assert_int_equal(frame.kind, CONTROL_CALL);
	assert_true(bytes_equal(frame.body, bytes_str("hello")));
	buf_consume(&wire, CONTROL_HEAD_LEN + 5);
	assert_int_equal(control_frame_decode(&frame, buf_bytes(&wire)), CONTROL_HEAD_LEN);
	assert_int_equal(frame.id, 0xfffffffe);
	assert_int_equal(frame.kind, CONTROL_CANCEL);
	assert_int_equal(frame.body.len, 0);
	buf_release(&wire);
}

static void heads_out_of_bounds(void **state)
{
	uint8_t head[CONTROL_HEAD_LEN];
	struct control_frame frame;

	(void)state;
	control_head_encode(head, 1, CONTROL_BLOCK, CONTROL_FRAME_MAX);
	assert_int_equal(control_frame_decode(&frame, bytes_of(head, sizeof(head))), 0);
	control_head_encode(head, 1, CONTROL_BLOCK, CONTROL_FRAME_MAX + 1);
	assert_int_equal(control_frame_decode(&frame, bytes_of(head, sizeof(head))), -EBADMSG);
	control_head_encode(head, 1, 0, 0);
	assert_int_equal(control_frame_decode(&frame, bytes_of(head, sizeof(head))), -EBADMSG);
	control_head_encode(head, 1, CONTROL_TROUBLE + 1, 0);
	assert_int_equal(control_frame_decode(&frame, bytes_of(head, sizeof(head))), -EBADMSG);
}

static struct cid numbered_cid(unsigned number)
{
	struct cid cid;

	assert_int_equal(
		cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(&number, sizeof(number))),
		0);
	return cid;
}

static void bodies_round_trip(void **state)
{
	struct control_fetch fetch = { .session = 3, .ms = 4000, .cid = numbered_cid(1) }, again;
	struct buf body = { 0 };
	struct cursor c;
	struct cid cid;

	(void)state;
	control_fetch_encode(&body, &fetch);
	assert_int_equal(control_fetch_decode(&again, buf_bytes(&body)), 0);
	assert_int_equal(again.session, 3);
	assert_int_equal(again.ms, 4000);
	assert_true(cid_equal(&again.cid, &fetch.cid));
	for (size_t len = 0; len < body.len; len++)
		assert_int_equal(control_fetch_decode(&again, bytes_of(body.at, len)), -EBADMSG);
	buf_add_u8(&body, 0);
	assert_int_equal(control_fetch_decode(&again, buf_bytes(&body)), -EBADMSG);
	buf_clear(&body);
	for (unsigned i = 0; i < 3; i++) {
		cid = numbered_cid(i);
		control_cid_encode(&body, &cid);
	}
	c = cursor_over(buf_bytes(&body));
	for (unsigned i = 0; i < 3; i++) {
		struct cid want = numbered_cid(i);

		assert_true(control_cid_next(&c, &cid));
		assert_true(cid_equal(&cid, &want));
	}
	assert_false(control_cid_next(&c, &cid));
	assert_false(c.bad);
	c = cursor_over(bytes_of(body.at, body.len - 1));
	while (control_cid_next(&c, &cid))
		;
	assert_true(c.bad);
	buf_release(&body);
}

static void failures_round_trip(void **state)
{
	struct wait_tried tried = { .told = true,
				    .asked = 3,
				    .known = 12,
				    .providers = WAIT_NOT_LOOKED },
			  again;
	struct buf body = { 0 };

	(void)state;
	control_fail_encode(&body, -ETIMEDOUT, &tried);
	assert_int_equal(control_fail_decode(buf_bytes(&body), &again), -ETIMEDOUT);
	assert_true(again.told);
	assert_int_equal(again.asked, 3);
	assert_int_equal(again.known, 12);
	assert_int_equal(again.providers, WAIT_NOT_LOOKED);
	for (size_t len = 0; len < body.len; len++) {
		assert_int_equal(control_fail_decode(bytes_of(body.at, len), &again),
				 len < 4 ? -EIO : -ETIMEDOUT);
		assert_false(again.told);
	}
	buf_clear(&body);
	tried.told = false;
	control_fail_encode(&body, -EAGAIN, &tried);
	assert_int_equal(control_fail_decode(buf_bytes(&body), &again), -EAGAIN);
	assert_false(again.told);
	memset(body.at, 0xff, body.len);
	assert_int_equal(control_fail_decode(buf_bytes(&body), &again), -EIO);
	buf_release(&body);
}

/* ---- a server on a loop of its own thread ---- */

struct bench {
	char dir[64];
	char *path; /* the repository */
	struct store *store;
	struct loop *loop;
	struct control_server *server;
	struct api_call *kept; /* of "keep" */
	atomic_int cancelled;
	int err;
	pthread_t thread;
	pthread_barrier_t ready;
};

static void run_echo(struct api_call *call)
{
	api_item(call, json_incref(json_object_get(call->args, "arg")));
	api_end(call, 0, NULL);
}

static void run_count(struct api_call *call)
{
	json_int_t n = api_int(call->args, "n");

	for (json_int_t i = 0; i < n; i++)
		api_item(call, json_integer(i));
	api_end(call, 0, NULL);
}

static void run_fail(struct api_call *call)
{
	api_trouble(call, json_pack("[s]", "a detail"), "one of %d", 2);
	api_end(call, -ENOTCONN, "no such luck");
}

static void on_cancelled(void *ctx)
{
	struct bench *bench = ctx;
	struct api_call *call = bench->kept;

	assert_true(call->cancelled);
	bench->kept = NULL;
	api_item(call, json_integer(1));
	api_end(call, api_flag(call->args, "well") ? 0 : -ECANCELED, NULL);
	bench->cancelled++;
}

static void run_keep(struct api_call *call)
{
	struct bench *bench = call->host;

	bench->kept = call;
	api_on_cancel(call, on_cancelled, bench);
}

static const struct option_spec count_options[] = {
	{ "n", 'n', OPTION_INT, "N", "how many", "3" },
	{ 0 },
};
static const struct option_spec keep_options[] = {
	{ "well", 0, OPTION_FLAG, NULL, "given up is no failure", "false" },
	{ 0 },
};
static const struct api_row row_echo = {
	.command = { .name = "echo", .args = "TEXT...", .args_max = -1 }, .run_daemon = run_echo
};
static const struct api_row row_count = {
	.command = { .name = "count", .args = "", .options = count_options },
	.run_daemon = run_count
};
static const struct api_row row_fail = { .command = { .name = "fail", .args = "" },
					 .run_daemon = run_fail };
static const struct api_row row_keep = {
	.command = { .name = "keep", .args = "", .options = keep_options }, .run_daemon = run_keep
};
/* Runs only in the process that asks. */
static const struct api_row row_local = { .command = { .name = "local", .args = "" },
					  .run = run_echo };

static const struct api_row *const test_rows[] = {
	&row_echo, &row_count, &row_fail, &row_keep, &row_local, NULL,
};

static void *serve(void *ctx)
{
	struct bench *bench = ctx;

	bench->loop = loop_new();
	bench->err = control_server_start(bench->loop, bench->path, NULL, bench->store, test_rows,
					  bench, &bench->server);
	pthread_barrier_wait(&bench->ready);
	if (!bench->err) {
		loop_run(bench->loop);
		control_server_stop(bench->server);
	}
	loop_free(bench->loop);
	return NULL;
}

static void start(struct bench *bench)
{
	pthread_barrier_init(&bench->ready, NULL, 2);
	assert_int_equal(pthread_create(&bench->thread, NULL, serve, bench), 0);
	pthread_barrier_wait(&bench->ready);
	assert_int_equal(bench->err, 0);
}

static void stop(struct bench *bench)
{
	loop_stop(bench->loop);
	pthread_join(bench->thread, NULL);
	pthread_barrier_destroy(&bench->ready);
}

static int setup_at(void **state, size_t name_len)
{
	struct bench *bench = xnew(struct bench);
	char name[LONG_NAME + 1];

	snprintf(bench->dir, sizeof(bench->dir), "/tmp/dagfs-test-control.XXXXXX");
	if (!mkdtemp(bench->dir))
		return -1;
	memset(name, 'x', name_len);
	name[name_len] = 0;
	bench->path = xasprintf("%s/%s", bench->dir, name);
	if (mkdir(bench->path, 0700))
		return -1;
	bench->store = store_new_memory();
	start(bench);
	*state = bench;
	return 0;
}

static int setup(void **state)
{
	return setup_at(state, 1);
}

static int setup_long(void **state)
{
	return setup_at(state, LONG_NAME);
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	char *lock = xasprintf("%s/daemon.lock", bench->path);

	stop(bench);
	store_close(bench->store);
	unlink(lock);
	free(lock);
	assert_int_equal(rmdir(bench->path), 0); /* the socket is gone */
	rmdir(bench->dir);
	free(bench->path);
	free(bench);
	return 0;
}

static int sum(void *ctx, enum control_kind kind, json_t *value)
{
	assert_int_equal(kind, CONTROL_ITEM);
	*(json_int_t *)ctx += json_integer_value(value);
	return 0;
}

static int keep_text(void *ctx, enum control_kind kind, json_t *value)
{
	char *out = ctx;

	if (kind == CONTROL_ITEM)
		sprintf(out, "%s", json_string_value(json_array_get(value, 0)));
	else
		sprintf(out, "%s: %s", json_string_value(json_object_get(value, "error")),
			json_string_value(json_array_get(json_object_get(value, "details"), 0)));
	return 0;
}

static int give_up(void *ctx, enum control_kind kind, json_t *value)
{
	(void)ctx;
	(void)kind;
	(void)value;
	return 1;
}

static void calls_are_answered(void **state)
{
	struct bench *bench = *state;
	struct control *control;
	struct wait wait;
	json_int_t total = 0;
	char *why, text[64];

	wait_init(&wait);
	wait_start(&wait, 60000);
	assert_int_equal(control_connect(bench->path, &control), 0);
	assert_int_equal(control_call(control, "echo", json_pack("{s:[s]}", "arg", "b"), &wait,
				      keep_text, text, &why),
			 0);
	assert_string_equal(text, "b");
	assert_int_equal(control_call(control, "count", json_pack("{s:i}", "n", 1000), &wait, sum,
				      &total, &why),
			 0);
	assert_int_equal(total, 1000 * 999 / 2);
	assert_int_equal(control_call(control, "fail", NULL, &wait, keep_text, text, &why),
			 -ENOTCONN);
	assert_string_equal(text, "one of 2: a detail");
	assert_string_equal(why, "no such luck");
	free(why);
	/* given up in the middle: the rest of it does not disturb the next */
	assert_int_equal(control_call(control, "count", json_pack("{s:i}", "n", 10), &wait, give_up,
				      NULL, &why),
			 -ECANCELED);
	assert_int_equal(control_call(control, "echo", NULL, &wait, NULL, NULL, &why), 0);
	control_close(control);
	wait_release(&wait);
}

static void calls_that_are_wrong_do_not_run(void **state)
{
	struct bench *bench = *state;
	static const struct {
		const char *name, *args;
		int err;
		const char *why;
	} wrong[] = {
		{ "nothing", "{}", -ENOTSUP, "the daemon does not know this command" },
		{ "local", "{}", -ENOTSUP, "the daemon does not know this command" },
		{ "count", "{\"n\": \"3\"}", -EINVAL, "option 'n' is of another type" },
		{ "count", "{\"m\": 3}", -EINVAL, "there is no option 'm'" },
		{ "count", "{\"arg\": [\"x\"]}", -EINVAL, "too many arguments: count " },
		{ "echo", "{\"arg\": [1]}", -EINVAL, "arguments must be texts" },
		{ "echo", "{\"timeout\": -1}", -EINVAL, "option 'timeout' is of another type" },
		{ "echo", "{\"cid-base\": \"?\"}", -EINVAL, "no such base of CIDs" },
	};
	struct control *control;
	struct wait wait;
	char *why;

	wait_init(&wait);
	wait_start(&wait, 60000);
	assert_int_equal(control_connect(bench->path, &control), 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(control_call(control, wrong[i].name,
					      json_loads(wrong[i].args, 0, NULL), &wait, NULL, NULL,
					      &why),
				 wrong[i].err);
		assert_string_equal(why, wrong[i].why);
		free(why);
	}
	control_close(control);
	wait_release(&wait);
}

/* A call that was cancelled at once is so on the server when the next one is answered. */
static void cancelled_and_left_calls_end(void **state)
{
	struct bench *bench = *state;
	struct control *control, *other;
	struct wait wait;
	char *why;

	wait_init(&wait);
	wait_start(&wait, 1);
	assert_int_equal(control_connect(bench->path, &control), 0);
	assert_int_equal(control_call(control, "keep", NULL, &wait, NULL, NULL, &why), -ETIMEDOUT);
	wait_start(&wait, 60000);
	assert_int_equal(control_call(control, "echo", NULL, &wait, NULL, NULL, &why), 0);
	assert_int_equal(bench->cancelled, 1);
	/* and one whose client goes */
	assert_int_equal(control_connect(bench->path, &other), 0);
	wait_start(&wait, 60000);
	wait_cancel(&wait);
	assert_int_equal(control_call(other, "keep", NULL, &wait, NULL, NULL, &why), -EINTR);
	control_close(other);
	wait_start(&wait, 60000);
	while (bench->cancelled < 2)
		usleep(1000);
	control_close(control);
	wait_release(&wait);
}

static void interrupted_call_still_tells_what_it_has(void **state)
{
	struct bench *bench = *state;
	struct control *control;
	json_int_t total = 0;
	struct wait wait;
	char *why;

	wait_init(&wait);
	assert_int_equal(control_connect(bench->path, &control), 0);
	wait_start(&wait, 60000);
	wait_cancel(&wait);
	assert_int_equal(control_call(control, "keep", NULL, &wait, sum, &total, &why), -EINTR);
	assert_int_equal(total, 1);
	wait_start(&wait, 60000);
	wait_cancel(&wait);
	assert_int_equal(control_call(control, "keep", json_pack("{s:b}", "well", 1), &wait, sum,
				      &total, &why),
			 0);
	assert_int_equal(total, 2);
	control_close(control);
	wait_release(&wait);
}

static void a_stopped_server_is_told(void **state)
{
	struct bench *bench = *state;
	struct control *control, *none;
	struct fetcher *fetcher;
	struct block *block;
	struct cid cid = numbered_cid(1);
	struct wait wait;
	void *session;
	char *why;

	assert_int_equal(control_connect(bench->path, &control), 0);
	fetcher = fetcher_of_control(bench->path);
	assert_non_null(fetcher);
	session = fetcher->ops->open(fetcher);
	stop(bench);
	assert_int_equal(control_connect(bench->path, &none), -ENOENT);
	assert_null(fetcher_of_control(bench->path));
	wait_init(&wait);
	wait_start(&wait, 60000);
	assert_true(control_call(control, "echo", NULL, &wait, NULL, NULL, &why) < 0);
	assert_true(control_gone(control));
	free(why);
	assert_int_equal(fetcher->ops->fetch(fetcher, session, &cid, &wait, &block), -ESHUTDOWN);
	fetcher->ops->close(fetcher, session);
	fetcher_free(fetcher);
	control_close(control);
	wait_release(&wait);
	start(bench);
}

/* ---- blocks ---- */

static struct cid stored(struct bench *bench, unsigned number)
{
	struct cid cid = numbered_cid(number);
	struct block *block = block_copy(&cid, bytes_of(&number, sizeof(number)));

	assert_int_equal(store_put(bench->store, block, STORE_WAIT, NULL, NULL), 0);
	block_unref(block);
	return cid;
}

static void *fetch_many(void *ctx)
{
	struct fetcher *fetcher = ctx;
	void *session = fetcher->ops->open(fetcher);
	struct wait wait;

	wait_init(&wait);
	for (unsigned i = 0; i < 200; i++) {
		struct cid cid = numbered_cid(i);
		struct block *block = NULL;
		int err;

		wait_start(&wait, 60000);
		fetcher->ops->prefetch(fetcher, session, &cid, 1);
		err = fetcher->ops->fetch(fetcher, session, &cid, &wait, &block);
		assert_int_equal(err, i < 100 ? 0 : -EHOSTUNREACH);
		if (!err) {
			assert_int_equal(cid_verify(&cid, block->data), 0);
			block_unref(block);
		}
	}
	fetcher->ops->close(fetcher, session);
	wait_release(&wait);
	return NULL;
}

static void blocks_for_many_threads(void **state)
{
	struct bench *bench = *state;
	struct fetcher *fetcher = fetcher_of_control(bench->path);
	struct cid have[3];
	pthread_t threads[4];

	assert_non_null(fetcher);
	for (unsigned i = 0; i < 100; i++)
		stored(bench, i);
	store_sync(bench->store);
	for (unsigned i = 0; i < 3; i++)
		have[i] = numbered_cid(i);
	fetcher->ops->have(fetcher, have, 3);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fetch_many, fetcher), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	fetcher_free(fetcher);
}

/* ---- hostile clients ---- */

/* Sends bytes; true when the server throws us out for them. */
static bool thrown_out(struct bench *bench, struct bytes data)
{
	struct timeval limit = { .tv_sec = 60 };
	int fd = control_socket_connect(bench->path);
	char byte;
	ssize_t n;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(send(fd, data.at, data.len, MSG_NOSIGNAL), data.len);
	n = recv(fd, &byte, 1, 0);
	close(fd);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool frame_thrown_out(struct bench *bench, enum control_kind kind, struct bytes body)
{
	struct buf wire = { 0 };
	bool out;

	control_frame_encode(&wire, 1, kind, body);
	out = thrown_out(bench, buf_bytes(&wire));
	buf_release(&wire);
	return out;
}

static void hostile_bytes_end_the_client(void **state)
{
	struct bench *bench = *state;

	assert_true(thrown_out(bench, bytes_str("GET / HTTP/1.1\r\n\r\n")));
	assert_true(frame_thrown_out(bench, CONTROL_CALL, bytes_str("not json")));
	assert_true(frame_thrown_out(bench, CONTROL_CALL, bytes_str("{\"cmd\":1}")));
	assert_true(frame_thrown_out(bench, CONTROL_CALL, bytes_str("{\"cmd\":\"echo\"}")));
	assert_true(frame_thrown_out(bench, CONTROL_DONE, bytes_str("{}")));
	assert_true(frame_thrown_out(bench, CONTROL_FETCH, bytes_str("x")));
	assert_true(frame_thrown_out(bench, CONTROL_PREFETCH, bytes_of("\0\0\0\1\377", 5)));
	assert_true(frame_thrown_out(bench, CONTROL_HAVE, bytes_of("\3abc", 4)));
	assert_true(frame_thrown_out(bench, CONTROL_CLOSE_SESSION, bytes_of(NULL, 0)));
	calls_are_answered(state); /* others do not notice */
}

static void rights_and_lock(void **state)
{
	struct bench *bench = *state;
	char *file = xasprintf("%s/control.sock", bench->path);
	struct stat st;
	int fd, pid;

	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	free(file);
	assert_false(control_owned(bench->path, &pid));
	fd = control_lock(bench->path);
	assert_true(fd >= 0);
	assert_int_equal(control_lock(bench->path), -EADDRINUSE);
	assert_true(control_owned(bench->path, &pid));
	assert_int_equal(pid, getpid());
	close(fd);
	assert_false(control_owned(bench->path, &pid));
}

struct looker {
	struct bench *bench;
	atomic_bool end;
};

static void *look_at_the_lock(void *ctx)
{
	struct looker *looker = ctx;
	int pid;

	while (!atomic_load(&looker->end))
		control_owned(looker->bench->path, &pid);
	return NULL;
}

static void checking_the_lock_does_not_stop_a_daemon_from_starting(void **state)
{
	struct looker looker = { .bench = *state };
	pthread_t threads[2];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_at_the_lock, &looker), 0);
	for (int i = 0; i < 2000; i++) {
		int fd = control_lock(looker.bench->path);

		assert_true(fd >= 0);
		close(fd);
	}
	atomic_store(&looker.end, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

struct reaching {
	const char *path;
	uint64_t timeout_ms;
	atomic_bool done;
	int err;
};

static void *reach(void *ctx)
{
	struct reaching *reaching = ctx;
	struct control *control = NULL;
	struct wait wait;

	assert_int_equal(wait_init(&wait), 0);
	wait_start(&wait, reaching->timeout_ms);
	reaching->err = control_reach(reaching->path, &wait, &control);
	control_close(control);
	wait_release(&wait);
	atomic_store(&reaching->done, true);
	return NULL;
}

/* A daemon has the lock before its socket answers, and still when it does no longer. */
static void a_daemon_that_starts_or_ends_is_waited_for(void **state)
{
	struct bench *bench = *state;
	struct reaching reaching = { .path = bench->path, .timeout_ms = 60000 };
	pthread_t thread;
	int lock;

	stop(bench);
	reach(&reaching);
	assert_int_equal(reaching.err, -ENOENT);
	lock = control_lock(bench->path);
	reaching.timeout_ms = 20;
	reach(&reaching);
	assert_int_equal(reaching.err, -ETIMEDOUT);
	reaching.timeout_ms = 60000;
	atomic_store(&reaching.done, false);
	pthread_create(&thread, NULL, reach, &reaching);
	usleep(30000);
	assert_false(atomic_load(&reaching.done));
	start(bench);
	pthread_join(thread, NULL);
	assert_int_equal(reaching.err, 0);
	stop(bench);
	atomic_store(&reaching.done, false);
	pthread_create(&thread, NULL, reach, &reaching);
	usleep(30000);
	assert_false(atomic_load(&reaching.done));
	close(lock);
	pthread_join(thread, NULL);
	assert_int_equal(reaching.err, -ENOENT);
	start(bench);
}

static void moved_folder_loses_its_own_socket_alone(void **state)
{
	struct bench *bench = *state;
	char *moved = xasprintf("%s/moved", bench->dir),
	     *mine = xasprintf("%s/control.sock", moved);
	char *another = xasprintf("%s/control.sock", bench->path);

	assert_int_equal(rename(bench->path, moved), 0);
	assert_int_equal(mkdir(bench->path, 0700), 0);
	fclose(fopen(another, "w"));
	stop(bench);
	assert_int_not_equal(access(mine, F_OK), 0);
	assert_int_equal(access(another, F_OK), 0);
	unlink(another);
	assert_int_equal(rmdir(moved), 0);
	start(bench);
	free(another);
	free(mine);
	free(moved);
}

static void replaced_socket_is_left_alone(void **state)
{
	struct bench *bench = *state;
	char *file = xasprintf("%s/control.sock", bench->path);

	assert_int_equal(unlink(file), 0);
	fclose(fopen(file, "w"));
	stop(bench);
	assert_int_equal(access(file, F_OK), 0);
	start(bench);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_split_anywhere),
		cmocka_unit_test(heads_out_of_bounds),
		cmocka_unit_test(bodies_round_trip),
		cmocka_unit_test(failures_round_trip),
		cmocka_unit_test_setup_teardown(calls_are_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_are_answered, setup_long, teardown),
		cmocka_unit_test_setup_teardown(calls_that_are_wrong_do_not_run, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled_and_left_calls_end, setup, teardown),
		cmocka_unit_test_setup_teardown(interrupted_call_still_tells_what_it_has, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stopped_server_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(blocks_for_many_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_bytes_end_the_client, setup, teardown),
		cmocka_unit_test_setup_teardown(rights_and_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(
			checking_the_lock_does_not_stop_a_daemon_from_starting, setup, teardown),
		cmocka_unit_test_setup_teardown(a_daemon_that_starts_or_ends_is_waited_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(moved_folder_loses_its_own_socket_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(replaced_socket_is_left_alone, setup, teardown),
	};

	return cmocka_run_group_tests_name("fs/control", tests, NULL, NULL);
}
