/* A thread that walks a DAG ahead of its reader, so that blocks are fetched before they are asked
 * for. It stops when it is too far ahead and goes on when the reader follows. */
#include "dag/scout.h"

#include "dag/dag.h"
#include "net/base/alloc.h"
#include "net/base/thread.h"
#include "net/base/wait.h"

#include <errno.h>
#include <stdlib.h>

#define BLOCK_TIMEOUT_MS 60000 /* then the reader is alone, and will tell */
#define WINDOW EXCHANGE_PREFETCH_MAX

struct dag_scout {
	struct blocks *blocks;
	struct cid root;
	struct wait wait;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t moved;
	uint64_t walked, followed; /* bytes */
	bool stopping;
};

/* Waits while too far ahead. */
static int each(void *ctx, const struct block *block, unsigned depth)
{
	struct dag_scout *scout = ctx;

	(void)depth;
	pthread_mutex_lock(&scout->lock);
	scout->walked += block->data.len;
	while (!scout->stopping && scout->walked > scout->followed + SCOUT_BYTES_MAX)
		pthread_cond_wait(&scout->moved, &scout->lock);
	int err = scout->stopping ? -ECANCELED : 0;

	pthread_mutex_unlock(&scout->lock);
	return err;
}

static void *scout_run(void *ctx)
{
	static const struct dag_walk_config config = { .ahead_max = WINDOW };
	struct dag_scout *scout = ctx;

	dag_walk(scout->blocks, &scout->root, &config, &scout->wait, BLOCK_TIMEOUT_MS, each, NULL,
		 scout);
	return NULL;
}

static void scout_release(struct dag_scout *scout)
{
	pthread_cond_destroy(&scout->moved);
	pthread_mutex_destroy(&scout->lock);
	wait_release(&scout->wait);
	free(scout);
}

struct dag_scout *dag_scout_start(struct blocks *blocks, const struct cid *root)
{
	if (!blocks_fetches(blocks))
		return NULL;
	struct dag_scout *scout = xnew(struct dag_scout);

	scout->blocks = blocks;
	scout->root = *root;
	if (wait_init(&scout->wait)) {
		free(scout);
		return NULL;
	}
	wait_start(&scout->wait, 0);
	pthread_mutex_init(&scout->lock, NULL);
	pthread_cond_init(&scout->moved, NULL);
	if (thread_start(&scout->thread, scout_run, scout)) {
		scout_release(scout);
		return NULL;
	}
	return scout;
}

void dag_scout_follow(struct dag_scout *scout, uint64_t bytes)
{
	if (!scout)
		return;
	pthread_mutex_lock(&scout->lock);
	scout->followed += bytes;
	pthread_cond_signal(&scout->moved);
	pthread_mutex_unlock(&scout->lock);
}

void dag_scout_stop(struct dag_scout *scout)
{
	if (!scout)
		return;
	pthread_mutex_lock(&scout->lock);
	scout->stopping = true;
	pthread_cond_signal(&scout->moved);
	pthread_mutex_unlock(&scout->lock);
	wait_cancel(&scout->wait);
	pthread_join(scout->thread, NULL);
	scout_release(scout);
}
