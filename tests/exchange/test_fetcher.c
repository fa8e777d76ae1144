/* The fetcher over a scripted engine: this file defines the engine's functions that the fetcher
 * calls, so the linker takes them and not engine.c's. A thread runs the loop, others fetch. */
#include "exchange/exchange.h"
#include "net/base/list.h"
#include "net/base/loop.h"
#include "tests/exchange/store_helper.h"

#include <errno.h>
#include <pthread.h>

/* ---- the scripted engine ---- */

struct exchange {
	struct loop *loop;
	struct block *block; /* what is answered */
	bool silent;
	bool late; /* gets end by their deadline, and tell what was tried */
	atomic_int sessions, gets, cancelled, told;
};

struct exchange_session {
	struct exchange *exchange;
};

struct exchange_get {
	struct exchange *exchange;
	struct timer timer;
	struct wait_tried *tried;
	exchange_got_fn *got;
	void *ctx;
};

struct exchange_session *exchange_session_new(struct exchange *exchange)
{
	struct exchange_session *session = xnew(struct exchange_session);

	atomic_fetch_add(&exchange->sessions, 1);
	session->exchange = exchange;
	return session;
}

void exchange_session_free(struct exchange_session *session)
{
	atomic_fetch_sub(&session->exchange->sessions, 1);
	free(session);
}

static void on_answer(void *ctx)
{
	struct exchange_get get = *(struct exchange_get *)ctx;

	free(ctx);
	atomic_fetch_sub(&get.exchange->gets, 1);
	get.got(get.ctx, 0, block_ref(get.exchange->block));
}

static void on_late(void *ctx)
{
	struct exchange_get get = *(struct exchange_get *)ctx;

	free(ctx);
	atomic_fetch_sub(&get.exchange->gets, 1);
	if (get.tried)
		*get.tried = (struct wait_tried){
			.told = true, .asked = 3, .known = 12, .providers = 1
		};
	get.got(get.ctx, -ETIMEDOUT, NULL);
}

void exchange_get_tell(struct exchange_get *get, struct wait_tried *tried)
{
	get->tried = tried;
}

struct exchange_get *exchange_get(struct exchange_session *session, const struct cid *cid,
				  uint64_t deadline_ms, exchange_got_fn *got, void *ctx)
{
	struct exchange *exchange = session->exchange;

	if (!cid_equal(cid, &exchange->block->cid))
		return NULL; /* as when there are too many wants */
	struct exchange_get *get = xnew(struct exchange_get);

	*get = (struct exchange_get){ .exchange = exchange, .got = got, .ctx = ctx };
	atomic_fetch_add(&exchange->gets, 1);
	if (exchange->late)
		timer_start_at(loop_timers(exchange->loop), &get->timer, deadline_ms, on_late, get);
	else if (!exchange->silent)
		timer_start(loop_timers(exchange->loop), &get->timer, 0, on_answer, get);
	return get;
}

void exchange_get_cancel(struct exchange_get *get)
{
	timer_stop(loop_timers(get->exchange->loop), &get->timer);
	atomic_fetch_sub(&get->exchange->gets, 1);
	atomic_fetch_add(&get->exchange->cancelled, 1);
	free(get);
}

size_t exchange_wants_max(const struct exchange *exchange)
{
	(void)exchange;
	return EXCHANGE_WANTS_MAX;
}

void exchange_have(struct exchange *exchange, const struct cid *cids, size_t count)
{
	(void)cids;
	atomic_fetch_add(&exchange->told, (int)count);
}

/* ---- the tests ---- */

struct fixture {
	struct exchange exchange;
	struct fetcher *fetcher;
	pthread_t thread;
};

static void *run_loop(void *ctx)
{
	loop_run(ctx);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->exchange.loop = loop_new();
	f->exchange.block = numbered(1, 1000);
	f->fetcher = fetcher_of_exchange(&f->exchange, f->exchange.loop);
	*state = f;
	return pthread_create(&f->thread, NULL, run_loop, f->exchange.loop);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_stop(f->exchange.loop);
	pthread_join(f->thread, NULL);
	fetcher_free(f->fetcher);
	fetcher_free(NULL);
	assert_int_equal(f->exchange.sessions, 0);
	assert_int_equal(f->exchange.gets, 0);
	loop_free(f->exchange.loop);
	block_unref(f->exchange.block);
	free(f);
	return 0;
}

static int fetch(struct fixture *f, void *session, struct wait *wait)
{
	struct block *found = NULL;
	int err =
		f->fetcher->ops->fetch(f->fetcher, session, &f->exchange.block->cid, wait, &found);

	if (!err)
		assert_ptr_equal(found, f->exchange.block);
	block_unref(found);
	return err;
}

#define THREADS 8
#define ROUNDS 300

static void *run_fetches(void *ctx)
{
	struct fixture *f = ctx;
	struct wait wait;
	void *session = f->fetcher->ops->open(f->fetcher);

	wait_init(&wait);
	for (int i = 0; i < ROUNDS; i++) {
		wait_start(&wait, 0);
		assert_int_equal(fetch(f, session, &wait), 0);
		if (i % 10 == 0)
			f->fetcher->ops->prefetch(f->fetcher, session, &f->exchange.block->cid, 1);
	}
	f->fetcher->ops->close(f->fetcher, session);
	wait_release(&wait);
	return NULL;
}

static void many_threads_fetch(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_fetches, f), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* Deadlines that pass about when the answer comes: the waiter's memory is gone right after. */
static void *run_impatient(void *ctx)
{
	struct fixture *f = ctx;
	void *session = f->fetcher->ops->open(f->fetcher);

	for (int i = 0; i < ROUNDS; i++) {
		struct wait *wait = xnew(struct wait);

		wait_init(wait);
		wait_start(wait, 1 + (uint64_t)i % 2);
		if (i % 3 == 0)
			wait_cancel(wait);
		int err = fetch(f, session, wait);

		assert_true(err == 0 || err == -ETIMEDOUT || err == -EINTR);
		wait_release(wait);
		free(wait);
	}
	f->fetcher->ops->close(f->fetcher, session);
	return NULL;
}

static void impatient_threads_leave_nothing_behind(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_impatient, f), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void *run_cancel(void *ctx)
{
	nap_ms(20);
	wait_cancel(ctx);
	return NULL;
}

static void giving_up_cancels_the_want(void **state)
{
	struct fixture *f = *state;
	void *session = f->fetcher->ops->open(f->fetcher);
	struct wait wait;
	pthread_t thread;

	f->exchange.silent = true;
	wait_init(&wait);
	wait_start(&wait, 5);
	assert_int_equal(fetch(f, session, &wait), -ETIMEDOUT);
	wait_start(&wait, 0);
	assert_int_equal(pthread_create(&thread, NULL, run_cancel, &wait), 0);
	assert_int_equal(fetch(f, session, &wait), -EINTR);
	pthread_join(thread, NULL);
	for (int i = 0; i < 5000 && atomic_load(&f->exchange.cancelled) < 2; i++)
		nap_ms(1);
	assert_int_equal(f->exchange.cancelled, 2);
	f->fetcher->ops->close(f->fetcher, session);
	wait_release(&wait);
}

static void a_wait_that_times_out_is_told_what_was_tried(void **state)
{
	struct fixture *f = *state;
	void *session = f->fetcher->ops->open(f->fetcher);
	char text[WAIT_TEXT_MAX];
	struct wait wait;

	f->exchange.late = true;
	wait_init(&wait);
	wait_start(&wait, 20);
	uint64_t deadline_ms = wait.deadline_ms;

	assert_int_equal(fetch(f, session, &wait), -ETIMEDOUT);
	assert_int_equal(wait.deadline_ms, deadline_ms);
	assert_string_equal(wait_err_text(&wait, -ETIMEDOUT, text),
			    "no answer in time: 3 peers asked, 12 known, 1 provider found");
	wait_start(&wait, 20);
	assert_false(wait.tried.told);
	f->fetcher->ops->close(f->fetcher, session);
	wait_release(&wait);
}

static void a_refused_want_is_eagain(void **state)
{
	struct fixture *f = *state;
	void *session = f->fetcher->ops->open(f->fetcher);
	struct block *other = numbered(2, 10), *found;
	struct wait wait;

	wait_init(&wait);
	wait_start(&wait, 0);
	assert_int_equal(f->fetcher->ops->fetch(f->fetcher, session, &other->cid, &wait, &found),
			 -EAGAIN);
	f->fetcher->ops->prefetch(f->fetcher, session, &other->cid, 1);
	f->fetcher->ops->have(f->fetcher, &other->cid, 1);
	assert_int_equal(f->exchange.told, 1);
	f->fetcher->ops->close(f->fetcher, session);
	wait_release(&wait);
	block_unref(other);
}

/* Wants that nobody answers, and items still in the inbox, when everything ends. */
static void it_ends_in_the_middle_of_work(void **state)
{
	struct fixture *f = *state;
	void *session = f->fetcher->ops->open(f->fetcher);

	f->exchange.silent = true;
	for (int i = 0; i < 10; i++)
		f->fetcher->ops->prefetch(f->fetcher, session, &f->exchange.block->cid, 1);
	for (int i = 0; i < 5000 && atomic_load(&f->exchange.gets) < 1; i++)
		nap_ms(1);
	assert_int_equal(f->exchange.gets, 1); /* one want for ten orders */
	loop_stop(f->exchange.loop);
	pthread_join(f->thread, NULL);
	f->fetcher->ops->prefetch(f->fetcher, session, &f->exchange.block->cid, 1);
	f->fetcher->ops->close(f->fetcher, session);
	fetcher_free(f->fetcher);
	assert_int_equal(f->exchange.sessions, 0);
	assert_int_equal(f->exchange.gets, 0);
	/* For the teardown, which ends the same once more. */
	f->fetcher = fetcher_of_exchange(&f->exchange, f->exchange.loop);
	assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f->exchange.loop), 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(many_threads_fetch),
		WITH(impatient_threads_leave_nothing_behind),
		WITH(giving_up_cancels_the_want),
		WITH(a_wait_that_times_out_is_told_what_was_tried),
		WITH(a_refused_want_is_eagain),
		WITH(it_ends_in_the_middle_of_work),
	};

	return cmocka_run_group_tests_name("exchange/fetcher", tests, NULL, NULL);
}
