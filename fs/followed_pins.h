/* Pins that follow names: `pin add --follow`. Which pin stands for what a name leads to is in the
 * db table "followed", by the name; the pin itself is like any other. Any thread but the loop's,
 * but for reading; any process. */
#ifndef FS_FOLLOWED_PINS_H
#define FS_FOLLOWED_PINS_H

#include "net/db/db.h"
#include "net/wire/cid.h"
#include "net/wire/key.h"
#include "routing/names.h"

#define FOLLOWED_PINS_MAX 512

struct followed_pin {
	struct peer_id name;
	struct cid cid;	 /* is pinned for it; not set: nothing yet */
	struct cid next; /* is being pinned in its place; not set: nothing */
};

/* What a record of the name wants pinned: the commit of its share, from which all of the version is
 * reached, or a path (malloc'd) whose root it is: exactly one is set. -EBADMSG. Pure. */
int followed_pin_target(const struct name_record *record, struct cid *commit, char **path);

/* -ENOENT. A read of the db. */
int followed_pin_get(struct db *db, const struct peer_id *name, struct followed_pin *out);
/* Durable. -EMFILE: FOLLOWED_PINS_MAX. */
int followed_pin_put(struct db *db, const struct followed_pin *pin);
/* Names for which the CID is pinned are followed no more. Durable. 0, also when there was none. */
int followed_pins_forget(struct db *db, const struct cid *cid);
/* A read of the db. Non-zero of each() stops and is returned. */
int followed_pins_each(struct db *db, int (*each)(void *ctx, const struct followed_pin *pin),
		       void *ctx);

#endif
