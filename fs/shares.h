/* The shares of a repository: finding and making them, and the trees of those that one process has
 * open. A tree is open in one process at a time: the daemon if one runs, else the command.
 *
 * Any thread but the loop's, several at once, unless said otherwise; opening and closing block. */
#ifndef FS_SHARES_H
#define FS_SHARES_H

#include "dag/tree.h"
#include "fs/repo.h"

#define SHARES_MAX 64
#define SHARE_MY "my"	      /* shown as my/ in the namespace, and what `files` works on */
#define SHARE_TTL_MS 60000u   /* of the records that name its versions */
#define SHARE_BUSY_MS 5000u   /* how long another process that has a tree open is waited for */
#define SHARE_BLOCK_MS 30000u /* the longest wait for a block of a base */

/* ---- records ---- */

/* The share that text means: its short name, the name of its key, or its id, each bare or behind
 * /ipns/. -ENOENT; errors of the db. */
int shares_find(struct repo *repo, const char *text, struct share_record *out);
/* The newest version that was committed; zero when there is none. 0 or -errno. */
int shares_newest(struct repo *repo, uint32_t id, struct tree_version *out);
/* Makes a share with a new key, which is kept under the same name; record's name, label and publish
 * are read, and the rest is filled in. Durable when it returns 0. An empty label becomes the login
 * name's letters and digits. -EEXIST: a share is named so; -EKEYREJECTED: a key is; -EMFILE:
 * SHARES_MAX; -EINVAL: not a name or label; -errno. */
int shares_make(struct repo *repo, struct share_record *record);

/* How long a share must be quiet before its changes become a version by themselves: 0 as
 * TREE_QUIET_MS. Holds from the next opening on. shares_quiet_set(): durable; 0 or -errno. */
uint64_t shares_quiet_ms(struct db *work, uint32_t id);
int shares_quiet_set(struct db *work, uint32_t id, uint64_t ms);

/* ---- open trees ---- */

struct shares;
struct share; /* one that is open */
struct mount_tree;

struct shares_config {
	struct repo *repo; /* borrowed until shares_close() */
	struct fetcher
		*fetcher; /* of blocks that are not stored; borrowed likewise; NULL: nobody */
	bool stays;	  /* the process stays: trees commit by themselves */
	/* Records of names were made, or what is provided changed. Any thread, with locks held: it
	 * may only queue. May be NULL. */
	void (*told)(void *ctx);
	void *ctx;
};

/* Opens nothing yet. Never NULL. */
struct shares *shares_new(const struct shares_config *config);
/* Cuts and closes all trees; if the process stays, what changed becomes versions before. Nobody
 * uses one any more. The first error of a cut; what was lost by it is in the log. NULL is ignored.
 */
int shares_close(struct shares *shares);

/* Opens the tree of a share, or uses it once more: shares_release(). It stays open until
 * shares_close() or shares_shut(). As tree_open(); -EBUSY only after SHARE_BUSY_MS; -EINTR;
 * -ENOKEY: its key is not in the keystore. */
int shares_open(struct shares *shares, uint32_t id, struct wait *wait, struct share **out);
void shares_release(struct share *share); /* NULL is ignored */
/* Closes the tree if it is open. -EBUSY: somebody uses it. */
int shares_shut(struct shares *shares, uint32_t id);
/* The share "my", made when it is missing: used once more. */
int shares_my(struct shares *shares, struct wait *wait, struct share **out);

struct tree *share_tree(struct share *share);
/* The tree in mounts: one for all of them. Borrowed as long as share is used. */
struct mount_tree *share_shown(struct share *share);
/* A change that a call made: mounts are told, as tree_share_changed() says. */
void share_changed(struct share *share, enum tree_change what, uint64_t dir, struct bytes name,
		   uint64_t node);
uint32_t share_id(const struct share *share);

/* Makes the record that lets the share's name lead to version, and provides its root in the place
 * of the one before. Durable; a daemon tells others. Nothing if the share is not published. 0 or
 * -errno. */
int share_publish(struct share *share, const struct tree_version *version);

#endif
