/* What a state knows: for each pen some closed intervals of stamps, its runs. Runs of a pen ascend,
 * and neither overlap nor touch, so that equal sets have equal bytes. Pure; any thread.
 *
 *	seen = [[pen 8 B, label text, key 32 B, [[from, to]...]]...]     pens ascend
 *
 * A stamp is ms since 1970 << 16, and a count below. */
#ifndef DAG_SHARE_SEEN_H
#define DAG_SHARE_SEEN_H

#include "net/base/bytes.h"

#define SEEN_PENS_MAX 256
#define SEEN_RUNS_MAX 16	/* of a pen, accepted */
#define SEEN_RUNS_WRITTEN_MAX 8 /* of our own pen, written */
#define PEN_LABEL_MAX 12
#define WRITER_KEY_LEN 32 /* a raw Ed25519 public key */

/* One repository of one writer. pen is BLAKE2b-64(writer key, nonce), read as big-endian. */
struct pen {
	uint64_t id;
	char label[PEN_LABEL_MAX + 1]; /* 1..12 of [a-z0-9] */
	uint8_t key[WRITER_KEY_LEN];
};

struct seen_run {
	uint64_t from, to; /* both belong to it */
};

struct seen_pen {
	struct pen pen;
	size_t run_count; /* at least 1 */
	struct seen_run runs[SEEN_RUNS_MAX];
};

/* Zero-initialised is empty and valid. */
struct seen {
	struct seen_pen *pens;
	size_t count;
};

/* The id of a new pen. */
uint64_t pen_id(const uint8_t key[static WRITER_KEY_LEN], struct bytes nonce);
bool pen_label_allowed(const char *label);

void seen_release(struct seen *seen); /* empty and valid again */
/* to is released first. */
void seen_copy(struct seen *to, const struct seen *from);
/* NULL when nothing of it was seen. */
const struct seen_pen *seen_find(const struct seen *seen, uint64_t pen);
bool seen_contains(const struct seen *seen, uint64_t pen, uint64_t stamp);
/* How much of the stamps least..most of a pen was seen. */
enum seen_part { SEEN_NONE, SEEN_SOME, SEEN_ALL };
enum seen_part seen_span(const struct seen *seen, uint64_t pen, uint64_t least, uint64_t most);
bool seen_equal(const struct seen *a, const struct seen *b);
/* Is all of a in b? */
bool seen_within(const struct seen *a, const struct seen *b);
/* The greatest stamp of any pen that is at most `limit`; 0: none. For the next stamp. */
uint64_t seen_newest(const struct seen *seen, uint64_t limit);

/* Adds the stamp of a commit of our own. run is the first stamp of the present run, and equals
 * stamp in its first commit: the interval that holds run is extended up to stamp, else a new one
 * [stamp, stamp] is added. Over SEEN_RUNS_WRITTEN_MAX the two oldest are fused. -EINVAL: stamp is
 * not above all others of the pen, or the label is not allowed; -EKEYREJECTED: the pen is
 * another's; -EMSGSIZE: SEEN_PENS_MAX. seen is unchanged then. */
int seen_write(struct seen *seen, const struct pen *pen, uint64_t stamp, uint64_t run);
/* Adds all that other has. Of two labels of a pen the larger bytes stay. -EKEYREJECTED: a pen has
 * two keys; -EMSGSIZE over SEEN_PENS_MAX or SEEN_RUNS_MAX. seen is unchanged then. */
int seen_union(struct seen *seen, const struct seen *other);

/* Appends the bytes. */
void seen_encode(const struct seen *seen, struct buf *out);
/* From the cursor's place. -EBADMSG: not what seen_encode() writes; -EMSGSIZE. seen is empty
 * before, and after a failure. */
int seen_decode(struct seen *seen, struct cursor *c);

#endif
