/* Trees of shares that this process has open: each with its key, and with the tree that mounts
 * show. One lock guards the list, also while a tree is opened or closed, so that it is opened once.
 * What a tree commits is published on the tree's own thread. */
#include "fs/shares.h"

#include "dag/dag.h"
#include "fs/keystore.h"
#include "fs/mount/tree_share.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/list.h"
#include "net/base/log.h"
#include "net/base/wait.h"
#include "routing/names.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_LOOK_MS 50
#define LAST_COMMIT_MS 20000

struct shares {
	struct shares_config config;
	char *dir;		 /* work/, where a tree that is open has a lock */
	struct fetcher *fetcher; /* over the config's; NULL: nobody */
	pthread_mutex_t lock;
	struct list open; /* struct share */
};

struct share {
	struct list node;
	struct shares *shares;
	uint32_t id;
	unsigned users; /* the lock's */
	struct private_key *key;
	struct tree *tree;
	struct mount_tree *shown;
	pthread_mutex_t publishing; /* one at a time; guards what follows */
	struct cid provided;
};

struct shares *shares_new(const struct shares_config *config)
{
	struct shares *shares = xnew(struct shares);

	shares->config = *config;
	shares->dir = repo_file(config->repo->path, "work");
	if (config->fetcher)
		shares->fetcher = tree_share_fetcher_new(config->fetcher, SHARE_BLOCK_MS);
	pthread_mutex_init(&shares->lock, NULL);
	list_init(&shares->open);
	return shares;
}

/* ---- opening ---- */

static void on_commit(void *ctx, const struct tree_version *version)
{
	struct share *share = ctx;
	int err = share_publish(share, version);

	if (err)
		log_error("shares", "a version is not published share=%u no=%" PRIu64 " err=%s",
			  share->id, version->no, err_text(err));
}

/* Another process may be about to end. */
static int open_waiting(struct share *share, struct db *work, struct wait *wait)
{
	struct shares *shares = share->shares;
	const struct tree_config config = {
		.share = share->id,
		.dir = shares->dir,
		.writer = share->key,
		.quiet_ms = shares_quiet_ms(work, share->id),
		.commit_by_itself = shares->config.stays,
		.on_commit = on_commit,
		.ctx = share,
	};
	uint64_t until_ms = monotonic_ms() + SHARE_BUSY_MS, deadline_ms = wait->deadline_ms;
	int err;

	for (;;) {
		err = tree_open(work, shares->config.repo->store, shares->fetcher, &config,
				&share->tree);
		if (err != -EBUSY || monotonic_ms() >= until_ms)
			break;
		wait->deadline_ms = monotonic_ms() + BUSY_LOOK_MS;
		int ended = wait_sleep(wait);

		wait->deadline_ms = deadline_ms;
		if (ended && ended != -ETIMEDOUT) {
			err = ended;
			break;
		}
	}
	return err;
}

static void share_free(struct share *share)
{
	mount_tree_unref(share->shown);
	private_key_free(share->key);
	pthread_mutex_destroy(&share->publishing);
	free(share);
}

static int share_open(struct shares *shares, uint32_t id, struct wait *wait, struct share **out)
{
	struct repo *repo = shares->config.repo;
	struct share_record record;
	struct share *share;
	struct db *work;
	int err = repo_work(repo, false, &work);

	if (!err)
		err = share_get(work, id, &record);
	if (err)
		return err;
	share = xnew(struct share);
	share->shares = shares;
	share->id = id;
	pthread_mutex_init(&share->publishing, NULL);
	share->provided = record.root;
	if (record.owner) {
		err = keystore_find(repo->path, repo->identity, &record.key, &share->key);
		err = err == -ENOENT ? -ENOKEY : err;
	}
	if (!err)
		err = open_waiting(share, work, wait);
	if (err) {
		share_free(share);
		return err;
	}
	share->shown = tree_share_new(share->tree, !record.owner);
	tree_share_with_past(share->shown, work, id);
	*out = share;
	return 0;
}

/* The lock is held. */
static struct share *find_open(struct shares *shares, uint32_t id)
{
	list_for_each(share, &shares->open, struct share, node)
		if (share->id == id)
			return share;
	return NULL;
}

int shares_open(struct shares *shares, uint32_t id, struct wait *wait, struct share **out)
{
	int err = 0;

	pthread_mutex_lock(&shares->lock);
	*out = find_open(shares, id);
	if (!*out) {
		err = share_open(shares, id, wait, out);
		if (!err)
			list_add_tail(&shares->open, &(*out)->node);
	}
	if (!err)
		(*out)->users++;
	pthread_mutex_unlock(&shares->lock);
	return err;
}

void shares_release(struct share *share)
{
	if (!share)
		return;
	pthread_mutex_lock(&share->shares->lock);
	share->users--;
	pthread_mutex_unlock(&share->shares->lock);
}

int shares_my(struct shares *shares, struct wait *wait, struct share **out)
{
	struct share_record record = { .name = SHARE_MY };
	struct repo *repo = shares->config.repo;
	int err = shares_find(repo, SHARE_MY, &record);

	if (err == -ENOENT) {
		err = shares_make(repo, &record);
		if (err == -EEXIST || err == -EKEYREJECTED) /* another process just did */
			err = shares_find(repo, SHARE_MY, &record);
	}
	return err ? err : shares_open(shares, record.id, wait, out);
}

/* ---- closing ---- */

/* What changed since the last version becomes one, if there is time. */
static void commit_last(struct share *share)
{
	struct tree_version version;
	struct wait wait;
	int err = wait_init(&wait);

	if (err)
		return;
	wait_start(&wait, LAST_COMMIT_MS);
	err = tree_commit(share->tree, "", &wait, &version);
	wait_release(&wait);
	if (err)
		log_warn("shares", "the last changes are in no version yet share=%u err=%s",
			 share->id, err_text(err));
}

/* The lock is held. */
static int share_close(struct share *share)
{
	int err;

	if (share->shares->config.stays && share->key)
		commit_last(share);
	list_remove(&share->node);
	mount_tree_unref(share->shown); /* it watches the tree */
	share->shown = NULL;
	err = tree_close(share->tree);
	if (err)
		log_error("shares", "the last changes are not on disk share=%u err=%s", share->id,
			  err_text(err));
	share_free(share);
	return err;
}

int shares_shut(struct shares *shares, uint32_t id)
{
	struct share *share;
	int err = 0;

	pthread_mutex_lock(&shares->lock);
	share = find_open(shares, id);
	if (share && share->users)
		err = -EBUSY;
	else if (share)
		err = share_close(share);
	pthread_mutex_unlock(&shares->lock);
	return err;
}

int shares_close(struct shares *shares)
{
	int err = 0;

	if (!shares)
		return 0;
	pthread_mutex_lock(&shares->lock);
	list_for_each_safe(share, &shares->open, struct share, node) {
		int one = share_close(share);

		err = err ? err : one;
	}
	pthread_mutex_unlock(&shares->lock);
	if (shares->fetcher)
		fetcher_free(shares->fetcher);
	pthread_mutex_destroy(&shares->lock);
	free(shares->dir);
	free(shares);
	return err;
}

/* ---- one that is open ---- */

struct tree *share_tree(struct share *share)
{
	return share->tree;
}

struct mount_tree *share_shown(struct share *share)
{
	return share->shown;
}

void share_changed(struct share *share, enum tree_change what, uint64_t dir, struct bytes name,
		   uint64_t node)
{
	tree_share_changed(share->shown, what, dir, name, node);
}

uint32_t share_id(const struct share *share)
{
	return share->id;
}

/* ---- publishing ---- */

static int make_record(struct share *share, const struct tree_version *version)
{
	char root[CID_TEXT_MAX];
	char *value = xasprintf("/ipfs/%s", cid_text(&version->root, root));
	const struct name_new new = {
		.value = bytes_str(value),
		.commit = cid_bytes(&version->commit),
		.lifetime_ms = NAME_LIFETIME_MS,
		.ttl_ms = SHARE_TTL_MS,
		.always_next = true,
	};
	int err = name_own_make(share->shares->config.repo->db, share->key, &new, wallclock_ns(),
				NULL);

	free(value);
	return err;
}

/* The root can be found here; the one before is not looked for any more, unless it is pinned. */
static void provide_root(struct share *share, const struct cid *root)
{
	struct repo *repo = share->shares->config.repo;
	struct cid before = share->provided;
	struct pin pin;
	int err = repo_provide(repo, root, true);

	if (err) {
		log_warn("shares", "cannot record what is provided err=%s", err_text(err));
		return;
	}
	share->provided = *root;
	if (cid_is_set(&before) && !cid_equal(&before, root) &&
	    pin_get(repo->db, &before, &pin) == -ENOENT)
		repo_provide(repo, &before, false);
}

int share_publish(struct share *share, const struct tree_version *version)
{
	const struct shares_config *config = &share->shares->config;
	struct share_record record;
	struct db *work;
	int err = repo_work(config->repo, false, &work);

	if (!err)
		err = share_get(work, share->id, &record);
	if (err || !record.publish || !share->key || !cid_is_set(&version->root))
		return err;
	pthread_mutex_lock(&share->publishing);
	err = make_record(share, version);
	if (!err)
		provide_root(share, &version->root);
	pthread_mutex_unlock(&share->publishing);
	if (!err && config->told)
		config->told(config->ctx);
	return err;
}
