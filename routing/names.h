/* Names: what the owner of a key says that its name leads to, in signed records (wire/routing
 * section 2). The names of own keys are kept, told to the network, and told again before their
 * records expire. Names of others are resolved and followed.
 *
 * Own names live in the db table "names", which any process may write (the second part of this
 * header): what is written while no daemon runs is told when one does. Sequences never go back: a
 * record of an own name that the network has, and that is better than ours, was made with our key
 * elsewhere, and what we make next goes on from there.
 *
 * The service (struct names) is of the loop thread only. It holds no keys. Callbacks never run
 * before the starting call returned. Called by fs and dag; calls net. */
#ifndef ROUTING_NAMES_H
#define ROUTING_NAMES_H

#include "net/wire/private_key.h"
#include "routing/routing.h"

#define NAMES_FOLLOWS_MAX 1024 /* followed names */
#define NAMES_OWN_MAX 4096     /* own names */
#define NAMES_QUERIES_MAX 256  /* searches in flight */
#define NAME_VALUE_MAX 2048    /* bytes of the path in a record of ours */
#define NAME_COMMIT_MAX 128    /* bytes of the binary CID in "_dagfs" */
#define NAME_LIFETIME_MS (48ull * 3600 * 1000)
#define NAME_TTL_MS (5ull * 60 * 1000)
#define NAME_REPUBLISH_MS (4ull * 3600 * 1000)
#define NAME_POLL_MIN_MS (60ull * 1000)
#define NAME_POLL_MAX_MS (3600ull * 1000)

/* ---- records: pure, any thread ---- */

/* What a record tells. Bytes are borrowed from it. */
struct name_record {
	struct bytes bytes; /* the record itself */
	struct bytes value; /* a path as text, as its owner wrote it: not checked */
	/* The field "_dagfs": a binary CID, as its owner wrote it: not checked. Empty: none. */
	struct bytes commit;
	uint64_t sequence;
	uint64_t ttl_ns, eol_ns; /* eol_ns: the last moment it is good at, since 1970 */
	bool expired;		 /* at the moment it was read at */
	bool has_v1;		 /* readers of the first signature are served too */
};

#define NAME_EOL_TEXT_MAX 40

/* Reads a record without verifying it. -EBADMSG, -EMSGSIZE. */
int name_record_read(struct name_record *out, struct bytes record, uint64_t now_ns);
/* The end of life of a record that was read, as RFC 3339. Returns out. */
const char *name_record_eol(const struct name_record *record, char out[static NAME_EOL_TEXT_MAX]);

/* Reads a record of name and verifies its signature. An expired one is good, too: out->expired.
 * -EBADMSG; -EKEYREJECTED another key has signed it; -EMSGSIZE. */
int name_record_check(struct name_record *out, const struct peer_id *name, struct bytes record,
		      uint64_t now_ns);
/* > 0 when a is better than b (higher sequence, later end, larger bytes), < 0 worse, 0 the same. */
int name_record_compare(struct bytes a, struct bytes b);

/* ---- own names: any thread but the loop's, any process ---- */

/* A record that is to be made. */
struct name_new {
	struct bytes value;  /* a path as text, 1..NAME_VALUE_MAX bytes */
	struct bytes commit; /* binary CID for "_dagfs", at most NAME_COMMIT_MAX; empty: none */
	uint64_t lifetime_ms, ttl_ms;
	/* sequence_given: exactly this one, which must be above what was. Else as Kubo: 0 for the
	 * first, the same while value and commit stay and the life gets longer, else one more. */
	bool sequence_given;
	uint64_t sequence;
	struct bytes known; /* a checked record of the name that others have; empty: none */
	bool always_next;   /* the sequence grows also if nothing changed */
	bool without_v1;    /* leave out what only readers of the first signature want */
};

struct name_own {
	struct peer_id name;
	uint64_t lifetime_ms, ttl_ms;
	uint64_t made_ms; /* wall clock */
	uint64_t told_ms; /* when the network took this record last; 0: never */
	bool without_v1;
	struct buf record;
};

/* Makes the next record of key's name, durable when it returns 0, and appends it to record (which
 * may be NULL). The sequence is above those of all records of the name that are known here.
 * -ERANGE: the given one is not, or none is left; -EINVAL; -EMSGSIZE; errors of the db. */
int name_own_make(struct db *db, const struct private_key *key, const struct name_new *new,
		  uint64_t now_ns, struct buf *record);
/* Makes it again, with a new end of life. If another record of the name is known that is better (it
 * was made elsewhere with this key), it goes on from there: with the other's content when ours was
 * told before that, with ours, above the other's sequence, when it never was. -ENOENT: nothing is
 * known of the name. */
int name_own_renew(struct db *db, const struct private_key *key, uint64_t now_ns);
/* -ENOENT. out->record: name_own_release(). A read of the db: also on the loop thread. */
int name_own_get(struct db *db, const struct peer_id *name, struct name_own *out);
void name_own_release(struct name_own *own);
/* For each own name; own is borrowed for the call. Non-zero stops and is returned. A read of the
 * db. */
typedef int name_own_fn(void *ctx, const struct name_own *own);
int name_own_each(struct db *db, name_own_fn *each, void *ctx);
/* The best record of name that is known here, its own one or one of a followed name, appended to
 * record; it may have expired. -ENOENT. A read of the db. */
int name_stored(struct db *db, const struct peer_id *name, struct buf *record);
/* Keeps a checked record of any name, if none that is stored is better. For when no service runs.
 * 0, also for the same again; -ESTALE; errors of the db. */
int name_keep(struct db *db, const struct peer_id *name, struct bytes record);
/* What is known of a name that is not ours is dropped. 0 also when there was nothing. */
int name_forget(struct db *db, const struct peer_id *name);

/* ---- the service ---- */

struct names;
struct names_query;  /* valid until its done runs */
struct names_follow; /* valid until names_unfollow() */

struct names_config {
	uint64_t republish_ms; /* own records are told again after that; zero: NAME_REPUBLISH_MS */
	uint64_t poll_min_ms;  /* zero: NAME_POLL_MIN_MS */
	size_t cache_max;      /* records of others that are remembered; zero: 128 */
	uint64_t cache_ms_max; /* the longest that one is believed; zero: as its TTL says */
	/* The record of an own name is due to be told again. The callee makes it anew
	 * (name_own_renew(), on another thread) and calls names_changed(); when it cannot, names
	 * tells what there is as long as it is good, and asks again after the next period. NULL:
	 * nobody does. Must not call the service. */
	void (*renew)(void *ctx, const struct peer_id *name);
	void *ctx;
};

/* Borrows swarm, router and db until names_free(). router NULL: nobody is asked or told; all else
 * works. Never NULL. */
struct names *names_new(struct swarm *swarm, struct router *router, struct db *db,
			const struct names_config *config);
/* Before router_close(). No callback runs any more; queries and follows are gone. NULL is ignored.
 */
void names_free(struct names *names);

/* err 0: told is how many took the record (may be 0 for a search). -EHOSTUNREACH: there is nobody
 * to tell or to ask; -ENOENT: no record; -ETIMEDOUT; -ENOTSUP: no router. */
typedef void names_done_fn(void *ctx, int err, unsigned told);
/* Each better record as it is found, borrowed for the call. May cancel. */
typedef void names_found_fn(void *ctx, const struct name_record *record);

/* A record of an own name was made (name_own_make() has stored it): it is told to the network, at
 * once and until it was taken, also after a restart. done (may be NULL) runs when somebody took it
 * or at deadline_ms (loop clock). NULL (and no done) at NAMES_QUERIES_MAX: it is told all the same.
 * The commit is in the record, signed. */
struct names_query *names_publish(struct names *names, const struct peer_id *name,
				  uint64_t deadline_ms, names_done_fn *done, void *ctx);
/* Another process, or thread, has written own names: all are looked at. */
void names_changed(struct names *names);
/* Tells a record of anybody's name, once, and remembers it here. done tells also -ETIME: it has
 * expired, and the errors of name_record_check(). */
struct names_query *names_put(struct names *names, const struct peer_id *name, struct bytes record,
			      uint64_t deadline_ms, names_done_fn *done, void *ctx);

struct names_want {
	bool no_cache;	  /* own records and remembered ones count as one answer among others */
	unsigned records; /* that are enough; 0: 16 */
	uint64_t deadline_ms;
};

/* Own names first, then what is remembered, then the router, which asks connected peers first.
 * After found ran, done tells 0. NULL (and no callback) at NAMES_QUERIES_MAX. */
struct names_query *names_resolve(struct names *names, const struct peer_id *name,
				  const struct names_want *want, names_found_fn *found,
				  names_done_fn *done, void *ctx);
/* done and found will not run. What is to be told is told all the same. NULL is ignored. */
void names_cancel(struct names_query *query);

/* A better record of a followed name, borrowed for the call: the one stored here first (it may have
 * expired), then newer ones; never an older one, also over restarts. May unfollow. */
typedef void names_better_fn(void *ctx, const struct name_record *record);

/* Follows a name: asks for it now and every TTL (within poll_min_ms and NAME_POLL_MAX_MS, a fifth
 * earlier or later), sooner when a peer has come and nothing is known. What is found is kept in the
 * db table "names_seen". A name may be followed several times. NULL at NAMES_FOLLOWS_MAX. */
struct names_follow *names_follow(struct names *names, const struct peer_id *name,
				  names_better_fn *better, void *ctx);
/* A peer told us a record of the key "/ipns/ID" unasked, which was checked: whoever owns or follows
 * the name learns of it, and what is remembered of it is the better one. */
void names_heard(struct names *names, struct bytes key, struct bytes record);
/* The best record of a followed name, for whoever asks for the key "/ipns/ID": appended to record.
 * False: it is not followed here, or nothing is known. */
bool names_known(struct names *names, struct bytes key, struct buf *record);
/* Asks for it at once. */
void names_follow_now(struct names_follow *follow);
void names_unfollow(struct names_follow *follow); /* NULL is ignored */

struct names_stats {
	size_t own, untold, followed, cached; /* untold: own records that nobody took yet */
	uint64_t told, polls;		      /* since the start */
};

void names_stats(const struct names *names, struct names_stats *stats);

#endif
