/* A count of bytes with a limit, shared by many files. Who waits is in a list and is woken by
 * whoever makes room. Any thread. */
#include "dag/tree/data_private.h"
#include "net/base/list.h"

#include <assert.h>
#include <stdlib.h>

struct data_budget {
	pthread_mutex_t lock;
	uint64_t limit, used;
	struct list waiting;
	void (*full)(void *ctx);
	void *ctx;
};

struct waiting {
	struct list list;
	struct wait *wait;
};

struct data_budget *data_budget_new(uint64_t limit, void (*full)(void *ctx), void *ctx)
{
	struct data_budget *budget = xnew(struct data_budget);

	pthread_mutex_init(&budget->lock, NULL);
	list_init(&budget->waiting);
	budget->limit = limit;
	budget->full = full;
	budget->ctx = ctx;
	return budget;
}

void data_budget_free(struct data_budget *budget)
{
	if (!budget)
		return;
	assert(list_empty(&budget->waiting));
	pthread_mutex_destroy(&budget->lock);
	free(budget);
}

uint64_t data_budget_used(struct data_budget *budget)
{
	pthread_mutex_lock(&budget->lock);
	uint64_t used = budget->used;

	pthread_mutex_unlock(&budget->lock);
	return used;
}

/* One that alone is over the limit goes when there is nothing else. */
static bool budget_take(struct data_budget *budget, uint64_t bytes)
{
	pthread_mutex_lock(&budget->lock);
	bool fits = budget->used == 0 || budget->used + bytes <= budget->limit;

	if (fits)
		budget->used += bytes;
	pthread_mutex_unlock(&budget->lock);
	return fits;
}

int data_budget_reserve(struct data_budget *budget, uint64_t bytes, struct wait *wait)
{
	struct waiting me = { .wait = wait };
	int err = 0;

	if (budget_take(budget, bytes))
		return 0;
	pthread_mutex_lock(&budget->lock);
	list_add_tail(&budget->waiting, &me.list);
	pthread_mutex_unlock(&budget->lock);
	while (!budget_take(budget, bytes)) {
		if (budget->full)
			budget->full(budget->ctx);
		if (budget_take(budget, bytes))
			break;
		err = wait_sleep(wait);
		if (err)
			break;
	}
	pthread_mutex_lock(&budget->lock);
	list_remove(&me.list);
	pthread_mutex_unlock(&budget->lock);
	return err;
}

void data_budget_add(struct data_budget *budget, uint64_t bytes)
{
	pthread_mutex_lock(&budget->lock);
	budget->used += bytes;
	pthread_mutex_unlock(&budget->lock);
}

void data_budget_drop(struct data_budget *budget, uint64_t bytes)
{
	pthread_mutex_lock(&budget->lock);
	assert(budget->used >= bytes);
	budget->used -= bytes;
	list_for_each(waiting, &budget->waiting, struct waiting, list)
		wait_wake(waiting->wait);
	pthread_mutex_unlock(&budget->lock);
}
