/* Each followed name has an entry, which keeps the best record that came. One thread turns records
 * into pins, one after the other: it says what it is about to pin, fetches and pins it in the place
 * of the old one, then says that it did. After an interruption it begins again with the record that
 * the names remember. */
#include "fs/daemon/daemon_followed.h"

#include "dag/dag.h"
#include "fs/daemon/daemon_private.h"
#include "fs/followed_pins.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"
#include "net/base/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_TIMEOUT_MS 60000
#define RETRY_MS 15000

struct followed {
	struct list node;
	struct daemon_followed *all;
	struct peer_id name;
	struct names_follow *follow; /* loop */
	bool listed;		     /* loop: the table has it */
	/* Under the lock. */
	bool pending;
	uint64_t after_ms; /* not before: it failed */
	struct buf record;
};

struct daemon_followed {
	struct daemon *daemon;
	struct inbox_item provide;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows, and entries */
	pthread_cond_t wake;
	struct list entries;
	struct wait wait;
	bool stopping, posted;
};

/* ---- the thread ---- */

static void on_provide(struct inbox_item *item)
{
	struct daemon_followed *all = container_of(item, struct daemon_followed, provide);

	pthread_mutex_lock(&all->lock);
	all->posted = false;
	pthread_mutex_unlock(&all->lock);
	if (!all->daemon->stopping)
		daemon_provide_changed(all->daemon);
}

static void followed_announce(struct daemon_followed *all, const struct cid *old,
			      const struct cid *new)
{
	struct repo *repo = all->daemon->repo;

	if (cid_is_set(old))
		(void)repo_provide(repo, old, false);
	(void)repo_provide(repo, new, true);
	pthread_mutex_lock(&all->lock);
	if (!all->posted && !all->stopping)
		loop_post(all->daemon->loop, &all->provide);
	all->posted = true;
	pthread_mutex_unlock(&all->lock);
}

static int target_of(struct daemon_followed *all, struct blocks *blocks,
		     const struct name_record *record, struct cid *out)
{
	struct dag_path path;
	const char *why;
	char *text;
	int err = followed_pin_target(record, out, &text);

	if (err || !text)
		return err;
	err = dag_path_parse(text, &path, &why) ? -EBADMSG : 0;
	if (!err)
		err = dag_resolve(blocks, &path.root, path.rest, &all->wait, out, NULL);
	free(text);
	return err;
}

/* Pins `to` in the place of what is pinned for the name. */
static int move_pin(struct daemon_followed *all, struct blocks *blocks, struct followed_pin *pin,
		    const struct cid *to)
{
	struct db *db = all->daemon->repo->db;
	struct cid left = pin->next;
	char text[PEER_ID_TEXT_MAX + 8] = "/ipns/";
	int err;

	peer_id_text(&pin->name, text + strlen(text));
	pin->next = *to;
	err = followed_pin_put(db, pin);
	if (!err)
		err = cid_is_set(&pin->cid) ? pin_update(db, blocks, &pin->cid, to, true,
							 &all->wait, BLOCK_TIMEOUT_MS, NULL, NULL)
					    : -ENOENT;
	if (err == -ENOENT || err == -EEXIST)
		err = pin_add(db, blocks, to, PIN_RECURSIVE, text, &all->wait, BLOCK_TIMEOUT_MS,
			      NULL, NULL);
	if (err)
		return err;
	/* Of a move that was interrupted. */
	if (cid_is_set(&left) && !cid_equal(&left, to) && !cid_equal(&left, &pin->cid))
		(void)pin_rm(db, &left, PIN_RECURSIVE);
	followed_announce(all, &pin->cid, to);
	pin->cid = *to;
	pin->next = (struct cid){ 0 };
	return followed_pin_put(db, pin);
}

static int take_record(struct daemon_followed *all, const struct peer_id *name, struct bytes bytes)
{
	struct repo *repo = all->daemon->repo;
	struct blocks *blocks = blocks_new(repo->store, all->daemon->fetcher);
	char text[PEER_ID_TEXT_MAX], cid[CID_TEXT_MAX], why[WAIT_TEXT_MAX];
	struct name_record record;
	struct followed_pin pin;
	struct cid to;
	int err = name_record_read(&record, bytes, wallclock_ns());

	if (!err)
		err = followed_pin_get(repo->db, name, &pin);
	if (!err)
		err = target_of(all, blocks, &record, &to);
	if (!err && !cid_equal(&to, &pin.cid)) {
		err = move_pin(all, blocks, &pin, &to);
		if (!err)
			log_info("pins", "followed name=%s cid=%s", peer_id_text(name, text),
				 cid_text(&to, cid));
	}
	blocks_free(blocks);
	if (err && err != -ENOENT && err != -EINTR)
		log_info("pins", "not followed until later name=%s err=\"%s\"",
			 peer_id_text(name, text), wait_err_text(&all->wait, err, why));
	return err;
}

/* With the lock held: the next that is due; *until_ms is when another may be. */
static struct followed *next_due(struct daemon_followed *all, uint64_t *until_ms)
{
	*until_ms = UINT64_MAX;
	list_for_each(entry, &all->entries, struct followed, node) {
		if (!entry->pending)
			continue;
		if (entry->after_ms <= monotonic_ms())
			return entry;
		if (entry->after_ms < *until_ms)
			*until_ms = entry->after_ms;
	}
	return NULL;
}

static void sleep_until(struct daemon_followed *all, uint64_t until_ms)
{
	struct timespec at = { .tv_sec = (time_t)(until_ms / 1000),
			       .tv_nsec = (long)(until_ms % 1000 * 1000000) };

	if (until_ms == UINT64_MAX)
		pthread_cond_wait(&all->wake, &all->lock);
	else
		pthread_cond_timedwait(&all->wake, &all->lock, &at);
}

/* With the lock held: an entry may have gone while the lock was given up. */
static void followed_retry(struct daemon_followed *all, const struct peer_id *name)
{
	list_for_each(entry, &all->entries, struct followed, node) {
		if (!peer_id_equal(&entry->name, name))
			continue;
		entry->after_ms = monotonic_ms() + RETRY_MS;
		entry->pending = true;
	}
}

static void *followed_run(void *ctx)
{
	struct daemon_followed *all = ctx;
	struct buf record = { 0 };

	pthread_mutex_lock(&all->lock);
	while (!all->stopping) {
		uint64_t until_ms;
		struct followed *entry = next_due(all, &until_ms);

		if (!entry) {
			sleep_until(all, until_ms);
			continue;
		}
		struct peer_id name = entry->name;

		entry->pending = false;
		buf_clear(&record);
		buf_add(&record, buf_bytes(&entry->record));
		wait_start(&all->wait, 0);
		pthread_mutex_unlock(&all->lock);
		int err = take_record(all, &name, buf_bytes(&record));

		pthread_mutex_lock(&all->lock);
		if (err && err != -ENOENT)
			followed_retry(all, &name);
	}
	pthread_mutex_unlock(&all->lock);
	buf_release(&record);
	return NULL;
}

/* ---- the loop ---- */

static void on_better(void *ctx, const struct name_record *record)
{
	struct followed *entry = ctx;
	struct daemon_followed *all = entry->all;

	pthread_mutex_lock(&all->lock);
	buf_clear(&entry->record);
	buf_add(&entry->record, record->bytes);
	entry->pending = true;
	entry->after_ms = 0;
	pthread_cond_signal(&all->wake);
	pthread_mutex_unlock(&all->lock);
}

static int list_one(void *ctx, const struct followed_pin *pin)
{
	struct daemon_followed *all = ctx;
	struct followed *entry;

	list_for_each(known, &all->entries, struct followed, node) {
		if (!peer_id_equal(&known->name, &pin->name))
			continue;
		known->listed = true;
		return 0;
	}
	entry = xnew(struct followed);
	entry->all = all;
	entry->name = pin->name;
	entry->listed = true;
	pthread_mutex_lock(&all->lock);
	list_add_tail(&all->entries, &entry->node);
	pthread_mutex_unlock(&all->lock);
	entry->follow = names_follow(all->daemon->names, &entry->name, on_better, entry);
	return 0;
}

static void entry_free(struct followed *entry)
{
	struct daemon_followed *all = entry->all;

	names_unfollow(entry->follow);
	pthread_mutex_lock(&all->lock);
	list_remove(&entry->node);
	pthread_mutex_unlock(&all->lock);
	buf_release(&entry->record);
	free(entry);
}

void daemon_followed_changed(struct daemon *daemon)
{
	struct daemon_followed *all = daemon->followed;

	if (!all || !daemon->names)
		return;
	list_for_each(entry, &all->entries, struct followed, node)
		entry->listed = false;
	if (followed_pins_each(daemon->repo->db, list_one, all))
		log_warn("pins", "not all followed names are read");
	list_for_each_safe(entry, &all->entries, struct followed, node)
		if (!entry->listed)
			entry_free(entry);
}

void daemon_followed_start(struct daemon *daemon)
{
	struct daemon_followed *all = xnew(struct daemon_followed);
	pthread_condattr_t attr;
	int err = wait_init(&all->wait);

	all->daemon = daemon;
	all->provide.run = on_provide;
	list_init(&all->entries);
	pthread_mutex_init(&all->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&all->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (!err) {
		err = thread_start(&all->thread, followed_run, all);
		if (err)
			wait_release(&all->wait);
	}
	if (err) {
		log_error("pins", "names are not followed err=%s", err_text(err));
		free(all);
		return;
	}
	daemon->followed = all;
	daemon_followed_changed(daemon);
}

void daemon_followed_stop(struct daemon *daemon)
{
	struct daemon_followed *all = daemon->followed;

	if (!all)
		return;
	pthread_mutex_lock(&all->lock);
	all->stopping = true;
	wait_cancel(&all->wait);
	pthread_cond_signal(&all->wake);
	pthread_mutex_unlock(&all->lock);
	pthread_join(all->thread, NULL);
	list_for_each_safe(entry, &all->entries, struct followed, node)
		entry_free(entry);
	daemon->followed = NULL;
	daemon->followed_ended = all;
}

void daemon_followed_free(struct daemon *daemon)
{
	struct daemon_followed *all = daemon->followed_ended;

	if (!all)
		return;
	pthread_cond_destroy(&all->wake);
	pthread_mutex_destroy(&all->lock);
	wait_release(&all->wait);
	free(all);
	daemon->followed_ended = NULL;
}
