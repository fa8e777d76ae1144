/* How the engine comes to its work: once per turn of the loop, and when other threads have left
 * something. What is to be done then is told by engine.c at the start, so the files that wake it do
 * not depend on it. Loop thread, except where engine.h says otherwise. */
#include "exchange/bitswap/engine.h"

#include <stdlib.h>
#include <string.h>

#define NEWS_MAX 8192 /* CIDs of exchange_have() not yet looked at */

/* Other threads speak to the loop by one note at a time. It outlives an exchange freed meanwhile.
 */
struct engine_note {
	struct inbox_item item;
	struct exchange *exchange; /* NULL: freed */
};

void engine_wake_init(struct exchange *exchange, timer_fn *flush, timer_fn *serve,
		      void (*left)(struct exchange *exchange))
{
	exchange->on_flush = flush;
	exchange->on_serve = serve;
	exchange->on_left = left;
	pthread_mutex_init(&exchange->lock, NULL);
	pthread_cond_init(&exchange->called, NULL);
}

void engine_wake_release(struct exchange *exchange)
{
	timer_stop(exchange->timers, &exchange->flush);
	timer_stop(exchange->timers, &exchange->serve);
	pthread_mutex_lock(&exchange->lock);
	if (exchange->note)
		exchange->note->exchange = NULL;
	free(exchange->left.news);
	pthread_mutex_unlock(&exchange->lock);
	pthread_mutex_destroy(&exchange->lock);
	pthread_cond_destroy(&exchange->called);
}

/* ---- once per turn of the loop ---- */

void engine_wake_flush(void *ctx)
{
	struct exchange *exchange = ctx;

	if (!timer_running(&exchange->flush))
		timer_start(exchange->timers, &exchange->flush, 0, exchange->on_flush, exchange);
}

void engine_wake_serve(void *ctx)
{
	struct exchange *exchange = ctx;

	if (!timer_running(&exchange->serve))
		timer_start(exchange->timers, &exchange->serve, 0, exchange->on_serve, exchange);
}

/* ---- from other threads ---- */

static void on_note(struct inbox_item *item)
{
	struct engine_note *note = container_of(item, struct engine_note, item);
	struct exchange *exchange = note->exchange;

	free(note);
	if (exchange)
		exchange->on_left(exchange);
}

void engine_poke(struct exchange *exchange)
{
	if (exchange->note)
		return;
	exchange->note = xnew(struct engine_note);
	exchange->note->exchange = exchange;
	exchange->note->item.run = on_note;
	loop_post(exchange->loop, &exchange->note->item);
}

struct engine_left engine_take_left(struct exchange *exchange)
{
	struct engine_left left;

	pthread_mutex_lock(&exchange->lock);
	left = exchange->left;
	exchange->left = (struct engine_left){ 0 };
	exchange->note = NULL;
	pthread_mutex_unlock(&exchange->lock);
	return left;
}

void exchange_have(struct exchange *exchange, const struct cid *cids, size_t count)
{
	struct engine_left *left = &exchange->left;

	pthread_mutex_lock(&exchange->lock);
	if (left->news_lost || left->news_count + count > NEWS_MAX) {
		left->news_lost = true;
	} else if (count) {
		if (left->news_count + count > left->news_cap) {
			left->news_cap = 2 * (left->news_count + count);
			left->news = xrealloc(left->news, left->news_cap * sizeof(*left->news));
		}
		memcpy(left->news + left->news_count, cids, count * sizeof(*cids));
		left->news_count += count;
	}
	engine_poke(exchange);
	pthread_mutex_unlock(&exchange->lock);
}
