/* The shares in the daemon: open as long as it runs, from its start on, so that what was written
 * before a crash becomes a version. Opening and closing wait for disks, so each has a thread; they
 * are closed after mounts and jobs have ended and before the network does. The loop thread, but for
 * what says otherwise. */
#include "fs/daemon/daemon_private.h"
#include "fs/shares.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"
#include "net/base/wait.h"
#include "routing/names.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct daemon_shares {
	struct daemon *daemon;
	struct inbox_item told, closed;
	atomic_bool posted;
	struct inbox_item opened;
	struct wait wait; /* the opening thread's; cancelled to end it */
	bool opening;
	pthread_t thread; /* that opens, or closes */
};

/* ---- opening ---- */

struct ids {
	uint32_t at[SHARES_MAX];
	size_t count;
};

static int take_id(void *ctx, const struct share_record *record)
{
	struct ids *ids = ctx;

	if (ids->count < SHARES_MAX)
		ids->at[ids->count++] = record->id;
	return 0;
}

static void on_opened(struct inbox_item *item)
{
	struct daemon_shares *work = container_of(item, struct daemon_shares, opened);

	pthread_join(work->thread, NULL);
	wait_release(&work->wait);
	work->opening = false;
	if (work->daemon->stopping)
		daemon_part_gone(work->daemon);
}

static void *run_open(void *ctx)
{
	struct daemon_shares *work = ctx;
	struct daemon *daemon = work->daemon;
	struct ids ids = { 0 };
	struct db *db;
	int err = repo_work(daemon->repo, false, &db);

	if (!err)
		err = share_each(db, take_id, &ids);
	if (err && err != -ENOENT)
		log_error("shares", "cannot be read err=%s", err_text(err));
	for (size_t i = 0; i < ids.count && !wait_check(&work->wait); i++) {
		struct share *share;

		err = shares_open(daemon->shares, ids.at[i], &work->wait, &share);
		if (!err)
			shares_release(share);
		else if (err != -EINTR)
			log_warn("shares", "not open share=%u err=%s", ids.at[i], err_text(err));
	}
	loop_post(daemon->loop, &work->opened);
	return NULL;
}

static void open_all(struct daemon_shares *work)
{
	int err = wait_init(&work->wait);

	if (!err) {
		wait_start(&work->wait, 0);
		work->opened.run = on_opened;
		err = thread_start(&work->thread, run_open, work);
		if (err)
			wait_release(&work->wait);
	}
	work->opening = !err;
	if (err)
		log_warn("shares", "opened only when they are used err=%s", err_text(err));
}

/* ---- telling ---- */

static void on_told(struct inbox_item *item)
{
	struct daemon_shares *work = container_of(item, struct daemon_shares, told);
	struct daemon *daemon = work->daemon;

	atomic_store(&work->posted, false);
	if (daemon->names)
		names_changed(daemon->names);
	daemon_provide_changed(daemon);
}

static void shares_told(void *ctx)
{
	struct daemon_shares *work = ctx;

	if (!atomic_exchange(&work->posted, true))
		loop_post(work->daemon->loop, &work->told);
}

void daemon_shares_told(struct daemon *daemon)
{
	shares_told(daemon->shares_work);
}

void daemon_shares_start(struct daemon *daemon)
{
	struct daemon_shares *work = xnew(struct daemon_shares);

	work->daemon = daemon;
	work->told.run = on_told;
	daemon->shares_work = work;
	daemon->shares = shares_new(&(struct shares_config){ .repo = daemon->repo,
							     .fetcher = daemon->fetcher,
							     .stays = true,
							     .told = shares_told,
							     .ctx = work });
	open_all(work);
}

/* ---- closing ---- */

static void on_closed(struct inbox_item *item)
{
	struct daemon_shares *work = container_of(item, struct daemon_shares, closed);

	pthread_join(work->thread, NULL);
	work->daemon->shares = NULL;
	daemon_part_gone(work->daemon);
}

static void *run_close(void *ctx)
{
	struct daemon_shares *work = ctx;

	shares_close(work->daemon->shares); /* what failed is in the log */
	loop_post(work->daemon->loop, &work->closed);
	return NULL;
}

bool daemon_shares_stop(struct daemon *daemon)
{
	struct daemon_shares *work = daemon->shares_work;
	int err;

	if (!daemon->shares)
		return true;
	if (work->opening)
		wait_cancel(&work->wait);
	if (work->opening || work->closed.run)
		return false;
	work->closed.run = on_closed;
	err = thread_start(&work->thread, run_close, work);
	if (!err)
		return false;
	log_warn("shares", "no thread to close them err=%s", err_text(err));
	shares_close(daemon->shares);
	daemon->shares = NULL;
	return true;
}

void daemon_shares_free(struct daemon *daemon)
{
	free(daemon->shares_work);
	daemon->shares_work = NULL;
}
