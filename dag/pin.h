/* Pins: what is kept, and why. Records live in the db table "pins"; any process may write them. A
 * pin is acknowledged only when every block is stored and the record is on disk. Any thread but the
 * loop's. */
#ifndef DAG_PIN_H
#define DAG_PIN_H

#include "exchange/exchange.h"
#include "net/db/db.h"

#define PIN_NAME_MAX 255

enum pin_kind { PIN_DIRECT, PIN_RECURSIVE };
enum pin_state { PIN_DONE, PIN_WANTED /* interrupted: some blocks are still missing */ };

struct pin {
	struct cid cid;
	enum pin_kind kind;
	enum pin_state state;
	bool direct; /* recursive and wanted: until it is done it is pinned directly, as it was
			before */
	char name[PIN_NAME_MAX + 1];
	uint64_t blocks, bytes; /* of the whole tree, counted when it was made */
};

struct pin_progress {
	uint64_t blocks, bytes; /* looked at so far */
	/* What the root claims of all its blocks, those met twice counted twice: a stranger's word,
	 * only to be shown. 0: not known. */
	uint64_t total_bytes;
};

/* How far: called on the pinning thread after each block, and at the end. */
typedef void pin_progress_fn(void *ctx, const struct pin_progress *progress);

/* Fetch what is missing, then record. The record is written as PIN_WANTED first, so that the pin
 * goes on after an interruption. timeout_ms: the longest wait for one block. What is pinned so
 * already gets the new name, if there is one; direct becomes recursive. -ENAMETOOLONG; -EEXIST
 * direct asked for, recursive there; -ECANCELED removed meanwhile; blocks_get()'s errors;
 * blocks_sync()'s. */
int pin_add(struct db *db, struct blocks *blocks, const struct cid *cid, enum pin_kind kind,
	    const char *name, struct wait *wait, uint64_t timeout_ms, pin_progress_fn *progress,
	    void *ctx);
/* Pin `to` recursively in the place of `from`, which is pinned so: of what is below `from` nothing
 * is asked for or looked at, so that only differences are fetched (and told as progress, without a
 * total); the record counts all of `to`. The name is taken over unless `to` has one. Then, with
 * unpin, `from` is kept no longer; a crash before leaves both. -ENOENT from is not pinned; -EEXIST
 * it is pinned directly, or not complete; else as pin_add(). */
int pin_update(struct db *db, struct blocks *blocks, const struct cid *from, const struct cid *to,
	       bool unpin, struct wait *wait, uint64_t timeout_ms, pin_progress_fn *progress,
	       void *ctx);
/* Complete a PIN_WANTED one; nothing is done for others. Never makes a record. *pin is the record
 * as read (zero without), with what was counted now. -ENOENT no record; else as pin_add(). */
int pin_go_on(struct db *db, struct blocks *blocks, const struct cid *cid, struct wait *wait,
	      uint64_t timeout_ms, struct pin *pin);
/* For when blocks were lost: makes every pin PIN_WANTED again, so that pin_go_on() fetches what is
 * missing. */
int pin_want_all(struct db *db);
/* Replaces the damaged record of a pin by one that keeps all below it: recursive, wanted, without a
 * name. */
int pin_restore(struct db_txn *txn, const struct cid *cid);
/* For a tree that was just imported and synced: only the record. -ENAMETOOLONG, -EEXIST as
 * pin_add(). */
int pin_record(struct db *db, const struct cid *cid, enum pin_kind kind, const char *name,
	       uint64_t blocks, uint64_t bytes);
/* Of one that is pinned directly, and wanted recursively, the other stays. -ENOENT when not pinned;
 * -EEXIST when it is pinned the other way. */
int pin_rm(struct db *db, const struct cid *cid, enum pin_kind kind);
int pin_get(struct db *db, const struct cid *cid, struct pin *pin); /* -ENOENT */
/* Direct and recursive ones, in key order; instant at any number. Non-zero from each() stops and is
 * returned. */
int pin_each(struct db *db, int (*each)(void *ctx, const struct pin *pin), void *ctx);
/* Every block below recursive pins that is not a root itself, once, without fetching; what is
 * missing is left out. */
int pin_each_indirect(struct db *db, struct blocks *blocks, struct wait *wait,
		      int (*each)(void *ctx, const struct cid *cid), void *ctx);
/* Checks that every block of the pin is stored and has its hash. Calls bad() for each that does
 * not, with -ENOENT or -EIO; non-zero from it stops and is returned. Never fetches. -EINTR;
 * -EFBIG. */
int pin_verify(struct db *db, struct blocks *blocks, const struct pin *pin, struct wait *wait,
	       int (*bad)(void *ctx, const struct cid *cid, int err), void *ctx);
/* The same for many pins: what is below several of them is looked at once. One thread. Borrows
 * blocks and wait. */
struct pin_verifier *pin_verifier_new(struct blocks *blocks, struct wait *wait);
int pin_verifier_check(struct pin_verifier *verifier, const struct pin *pin,
		       int (*bad)(void *ctx, const struct cid *cid, int err), void *ctx);
void pin_verifier_free(struct pin_verifier *verifier); /* NULL is ignored */

#endif
