/* A mount that follows a name: what the name leads to is the base of a tree, which is switched when
 * a better record comes. The loop hears of records; a thread of each such mount fetches what a new
 * one leads to and makes the switch. A record with a commit of its owner shows the state of that,
 * which has modes and times; any other shows the plain directory. */
#include "fs/daemon/daemon_follow.h"

#include "dag/dag.h"
#include "dag/share.h"
#include "dag/tree.h"
#include "fs/daemon/daemon_private.h"
#include "fs/mount/tree_share.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"
#include "net/base/wait.h"
#include "routing/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 5000
#define TAKE_MS 300000 /* for a switch, however many blocks it needs */

struct daemon_follow {
	struct daemon *daemon;
	struct peer_id name;
	char *rest; /* of the path: "/a/b", or "" */
	struct fetcher *fetcher;
	struct tree *tree;
	struct mount_tree *shown;
	struct names_follow *names; /* loop */
	bool started;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct wait wait; /* of the thread */
	bool stopping, pending;
	struct buf value, commit;
};

/* ---- what a record leads to ---- */

/* The plain root that the record's value names. */
static int plain_root(struct daemon_follow *follow, struct blocks *blocks, struct bytes value,
		      struct cid *root, struct cid *base)
{
	struct dag_path path;
	const char *why;
	char *text = xasprintf("%.*s", (int)value.len, (const char *)value.at), *rest;
	int err = dag_path_parse(text, &path, &why);

	free(text);
	if (err)
		return -EBADMSG;
	*root = path.root;
	rest = xasprintf("%s%s", path.rest, follow->rest);
	err = dag_resolve(blocks, &path.root, rest, &follow->wait, base, NULL);
	free(rest);
	return err;
}

/* Is the commit what the name's own key signed, of just this root? Then its state is the base. */
static int commit_base(struct daemon_follow *follow, struct blocks *blocks, struct bytes cid_bytes,
		       const struct cid *root, struct cid *base)
{
	uint8_t owner[WRITER_KEY_LEN];
	struct commit commit = { 0 };
	struct public_key key;
	struct block *block;
	struct cid cid;
	int err = cid_from_bytes(&cid, cid_bytes);

	if (!err)
		err = peer_id_key(&follow->name, &key);
	if (!err)
		err = writer_key(&key, owner);
	if (!err)
		err = blocks_get(blocks, &cid, &follow->wait, &block);
	if (err)
		return err;
	err = commit_decode(&commit, block->data);
	block_unref(block);
	if (!err &&
	    (memcmp(commit.by, owner, sizeof(owner)) != 0 || !cid_equal(&commit.tree, root)))
		err = -EKEYREJECTED;
	if (!err)
		err = commit_verify(&commit);
	if (!err)
		*base = commit.state;
	commit_release(&commit);
	return err;
}

static int follow_take(struct daemon_follow *follow, struct bytes value, struct bytes commit)
{
	struct blocks *blocks = blocks_new(follow->daemon->repo->store, follow->fetcher);
	char text[PEER_ID_TEXT_MAX];
	struct cid root, base;
	int err = plain_root(follow, blocks, value, &root, &base);

	if (!err && commit.len && !*follow->rest) {
		int bad = commit_base(follow, blocks, commit, &root, &base);

		if (bad == -EINTR || bad == -ETIMEDOUT || bad == -EHOSTUNREACH)
			err = bad;
		else if (bad)
			log_warn("names", "commit is not heeded name=%s err=%s",
				 peer_id_text(&follow->name, text), err_text(bad));
	}
	blocks_free(blocks);
	if (!err)
		err = tree_take(follow->tree, &base, &follow->wait);
	if (err && err != -EINTR)
		log_warn("names", "not followed, what was there stays name=%s value=%.*s err=%s",
			 peer_id_text(&follow->name, text), (int)value.len, (const char *)value.at,
			 err_text(err));
	return err;
}

/* ---- the thread ---- */

/* With the lock held. */
static void sleep_for(struct daemon_follow *follow, uint64_t ms)
{
	uint64_t until = monotonic_ms() + ms;
	struct timespec at = { .tv_sec = (time_t)(until / 1000),
			       .tv_nsec = (long)(until % 1000 * 1000000) };

	pthread_cond_timedwait(&follow->wake, &follow->lock, &at);
}

static void *follow_run(void *ctx)
{
	struct daemon_follow *follow = ctx;
	struct buf value = { 0 }, commit = { 0 };

	pthread_mutex_lock(&follow->lock);
	while (!follow->stopping) {
		if (!follow->pending) {
			pthread_cond_wait(&follow->wake, &follow->lock);
			continue;
		}
		follow->pending = false;
		buf_clear(&value);
		buf_clear(&commit);
		buf_add(&value, buf_bytes(&follow->value));
		buf_add(&commit, buf_bytes(&follow->commit));
		wait_start(&follow->wait, TAKE_MS);
		pthread_mutex_unlock(&follow->lock);
		int err = follow_take(follow, buf_bytes(&value), buf_bytes(&commit));

		pthread_mutex_lock(&follow->lock);
		if (err && !follow->stopping && !follow->pending) {
			sleep_for(follow, RETRY_MS);
			follow->pending = true;
		}
	}
	pthread_mutex_unlock(&follow->lock);
	buf_release(&value);
	buf_release(&commit);
	return NULL;
}

/* ---- the loop ---- */

static void on_better(void *ctx, const struct name_record *record)
{
	struct daemon_follow *follow = ctx;

	pthread_mutex_lock(&follow->lock);
	buf_clear(&follow->value);
	buf_clear(&follow->commit);
	buf_add(&follow->value, record->value);
	buf_add(&follow->commit, record->commit);
	follow->pending = true;
	pthread_cond_signal(&follow->wake);
	pthread_mutex_unlock(&follow->lock);
}

int daemon_follow_open(struct daemon *daemon, const struct daemon_follow_config *config,
		       struct daemon_follow **out)
{
	struct daemon_follow *follow = xnew(struct daemon_follow);
	pthread_condattr_t attr;
	int err = wait_init(&follow->wait);

	if (err) {
		free(follow);
		return err;
	}
	follow->daemon = daemon;
	follow->name = config->name;
	follow->rest = xstrdup(config->rest ? config->rest : "");
	if (!config->offline && daemon->fetcher)
		follow->fetcher = tree_share_fetcher_new(daemon->fetcher, config->timeout_ms);
	pthread_mutex_init(&follow->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&follow->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = tree_follow(daemon->repo->store, follow->fetcher, &config->root, &follow->tree);
	if (!err)
		follow->shown = tree_share_new(follow->tree, true);
	if (err) {
		daemon_follow_free(follow);
		return err;
	}
	*out = follow;
	return 0;
}

struct mount_tree *daemon_follow_shown(struct daemon_follow *follow)
{
	return follow->shown;
}

int daemon_follow_start(struct daemon_follow *follow)
{
	int err = thread_start(&follow->thread, follow_run, follow);

	if (err)
		return err;
	follow->started = true;
	if (follow->daemon->names)
		follow->names =
			names_follow(follow->daemon->names, &follow->name, on_better, follow);
	return 0;
}

void daemon_follow_free(struct daemon_follow *follow)
{
	if (!follow)
		return;
	if (follow->daemon->names)
		names_unfollow(follow->names);
	pthread_mutex_lock(&follow->lock);
	follow->stopping = true;
	wait_cancel(&follow->wait);
	pthread_cond_signal(&follow->wake);
	pthread_mutex_unlock(&follow->lock);
	if (follow->started)
		pthread_join(follow->thread, NULL);
	mount_tree_unref(follow->shown);
	tree_close(follow->tree);
	if (follow->fetcher)
		follow->fetcher->ops->free(follow->fetcher);
	pthread_cond_destroy(&follow->wake);
	pthread_mutex_destroy(&follow->lock);
	wait_release(&follow->wait);
	buf_release(&follow->value);
	buf_release(&follow->commit);
	free(follow->rest);
	free(follow);
}
