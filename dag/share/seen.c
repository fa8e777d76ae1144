/* Sets of stamps: for each pen a few closed intervals, ascending and apart, so that equal sets are
 * equal byte by byte. Pure; any thread. */
#include "dag/share/seen.h"

#include "dag/share/fields.h"
#include "net/base/alloc.h"
#include "net/wire/multihash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_BLAKE2B_64 (HASH_BLAKE2B_MIN + 7)

uint64_t pen_id(const uint8_t key[static WRITER_KEY_LEN], struct bytes nonce)
{
	uint8_t digest[MULTIHASH_DIGEST_MAX];
	struct buf in = { 0 };
	struct cursor c;

	buf_add(&in, bytes_of(key, WRITER_KEY_LEN));
	buf_add(&in, nonce);
	hash_digest(HASH_BLAKE2B_64, buf_bytes(&in), digest, 8);
	buf_release(&in);
	c = cursor_over(bytes_of(digest, 8));
	return cursor_be64(&c);
}

static bool label_allowed(struct bytes label)
{
	if (!label.len || label.len > PEN_LABEL_MAX)
		return false;
	for (size_t i = 0; i < label.len; i++) {
		uint8_t at = label.at[i];

		if ((at < 'a' || at > 'z') && (at < '0' || at > '9'))
			return false;
	}
	return true;
}

bool pen_label_allowed(const char *label)
{
	return label_allowed(bytes_str(label));
}

/* ---- asking ---- */

void seen_release(struct seen *seen)
{
	free(seen->pens);
	*seen = (struct seen){ 0 };
}

void seen_copy(struct seen *to, const struct seen *from)
{
	struct seen copy = { .count = from->count };

	if (from->count) {
		copy.pens = xcalloc(from->count, sizeof(*copy.pens));
		memcpy(copy.pens, from->pens, from->count * sizeof(*copy.pens));
	}
	seen_release(to);
	*to = copy;
}

/* The index of the first pen that is not below. */
static size_t pen_place(const struct seen *seen, uint64_t pen)
{
	size_t low = 0, high = seen->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (seen->pens[mid].pen.id < pen)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct seen_pen *seen_find(const struct seen *seen, uint64_t pen)
{
	size_t i = pen_place(seen, pen);

	return i < seen->count && seen->pens[i].pen.id == pen ? &seen->pens[i] : NULL;
}

enum seen_part seen_span(const struct seen *seen, uint64_t pen, uint64_t least, uint64_t most)
{
	const struct seen_pen *known = seen_find(seen, pen);

	for (size_t i = 0; known && i < known->run_count; i++) {
		const struct seen_run *run = &known->runs[i];

		if (run->from <= least && most <= run->to)
			return SEEN_ALL;
		if (run->from <= most && least <= run->to)
			return SEEN_SOME;
	}
	return SEEN_NONE;
}

bool seen_contains(const struct seen *seen, uint64_t pen, uint64_t stamp)
{
	return seen_span(seen, pen, stamp, stamp) == SEEN_ALL;
}

static bool pen_equal(const struct pen *a, const struct pen *b)
{
	return a->id == b->id && !strcmp(a->label, b->label) &&
	       !memcmp(a->key, b->key, sizeof(a->key));
}

bool seen_equal(const struct seen *a, const struct seen *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct seen_pen *x = &a->pens[i], *y = &b->pens[i];

		if (!pen_equal(&x->pen, &y->pen) || x->run_count != y->run_count ||
		    memcmp(x->runs, y->runs, x->run_count * sizeof(x->runs[0])) != 0)
			return false;
	}
	return true;
}

bool seen_within(const struct seen *a, const struct seen *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < a->pens[i].run_count; k++) {
			const struct seen_run *run = &a->pens[i].runs[k];

			if (seen_span(b, a->pens[i].pen.id, run->from, run->to) != SEEN_ALL)
				return false;
		}
	return true;
}

uint64_t seen_newest(const struct seen *seen, uint64_t limit)
{
	uint64_t newest = 0;

	for (size_t i = 0; i < seen->count; i++)
		for (size_t k = 0; k < seen->pens[i].run_count; k++) {
			const struct seen_run *run = &seen->pens[i].runs[k];
			uint64_t most = run->to < limit ? run->to : limit;

			if (run->from <= limit && most > newest)
				newest = most;
		}
	return newest;
}

/* ---- adding ---- */

static struct seen_pen *pen_insert(struct seen *seen, const struct pen *pen)
{
	size_t i = pen_place(seen, pen->id);

	seen->pens = xrealloc(seen->pens, (seen->count + 1) * sizeof(*seen->pens));
	memmove(&seen->pens[i + 1], &seen->pens[i], (seen->count - i) * sizeof(*seen->pens));
	seen->count++;
	memset(&seen->pens[i], 0, sizeof(seen->pens[i]));
	seen->pens[i].pen.id = pen->id;
	memcpy(seen->pens[i].pen.key, pen->key, sizeof(pen->key));
	memcpy(seen->pens[i].pen.label, pen->label, strlen(pen->label));
	return &seen->pens[i];
}

/* Two runs that have nothing between them are one. */
static bool seen_touch(const struct seen_run *a, const struct seen_run *b)
{
	return a->to == UINT64_MAX || b->from <= a->to + 1;
}

int seen_write(struct seen *seen, const struct pen *pen, uint64_t stamp, uint64_t run)
{
	const struct seen_pen *known = seen_find(seen, pen->id);
	size_t last = known ? known->run_count - 1 : 0;

	if (!pen_label_allowed(pen->label) || !stamp || run > stamp ||
	    (known && stamp <= known->runs[last].to))
		return -EINVAL;
	if (known && memcmp(known->pen.key, pen->key, sizeof(pen->key)) != 0)
		return -EKEYREJECTED;
	if (!known && seen->count == SEEN_PENS_MAX)
		return -EMSGSIZE;
	struct seen_pen *at = known ? (struct seen_pen *)known : pen_insert(seen, pen);

	memset(at->pen.label, 0, sizeof(at->pen.label));
	memcpy(at->pen.label, pen->label, strlen(pen->label));
	const struct seen_run one = { stamp, stamp };

	if (at->run_count && (seen_touch(&at->runs[last], &one) ||
			      (at->runs[last].from <= run && run <= at->runs[last].to))) {
		at->runs[last].to = stamp;
		return 0;
	}
	if (at->run_count >= SEEN_RUNS_WRITTEN_MAX) {
		at->runs[0].to = at->runs[1].to;
		memmove(&at->runs[1], &at->runs[2], (at->run_count - 2) * sizeof(at->runs[0]));
		at->run_count--;
	}
	at->runs[at->run_count++] = one;
	return 0;
}

/* The union of two lists of runs; how many, or -EMSGSIZE. */
static int runs_union(const struct seen_pen *a, const struct seen_pen *b,
		      struct seen_run out[static SEEN_RUNS_MAX])
{
	size_t i = 0, k = 0, count = 0;

	while (i < a->run_count || k < b->run_count) {
		bool first = k == b->run_count ||
			     (i < a->run_count && a->runs[i].from <= b->runs[k].from);
		struct seen_run run = first ? a->runs[i++] : b->runs[k++];

		if (count && seen_touch(&out[count - 1], &run)) {
			if (run.to > out[count - 1].to)
				out[count - 1].to = run.to;
			continue;
		}
		if (count == SEEN_RUNS_MAX)
			return -EMSGSIZE;
		out[count++] = run;
	}
	return (int)count;
}

static int union_pen(struct seen *seen, const struct seen_pen *other)
{
	struct seen_run runs[SEEN_RUNS_MAX];
	struct seen_pen *known = (struct seen_pen *)seen_find(seen, other->pen.id);

	if (known && memcmp(known->pen.key, other->pen.key, sizeof(other->pen.key)) != 0)
		return -EKEYREJECTED;
	if (!known && seen->count == SEEN_PENS_MAX)
		return -EMSGSIZE;
	if (!known)
		known = pen_insert(seen, &other->pen);
	int count = runs_union(known, other, runs);

	if (count < 0)
		return count;
	memcpy(known->runs, runs, (size_t)count * sizeof(runs[0]));
	known->run_count = (size_t)count;
	if (bytes_cmp(bytes_str(other->pen.label), bytes_str(known->pen.label)) > 0)
		known->pen = other->pen;
	return 0;
}

int seen_union(struct seen *seen, const struct seen *other)
{
	struct seen sum = { 0 };
	int err = 0;

	seen_copy(&sum, seen);
	for (size_t i = 0; !err && i < other->count; i++)
		err = union_pen(&sum, &other->pens[i]);
	if (err) {
		seen_release(&sum);
		return err;
	}
	seen_release(seen);
	*seen = sum;
	return 0;
}

/* ---- bytes ---- */

void seen_encode(const struct seen *seen, struct buf *out)
{
	field_put_list(out, seen->count);
	for (size_t i = 0; i < seen->count; i++) {
		const struct seen_pen *at = &seen->pens[i];

		field_put_list(out, 4);
		field_put_pen(out, at->pen.id);
		field_put_text(out, bytes_str(at->pen.label));
		field_put_bytes(out, bytes_of(at->pen.key, sizeof(at->pen.key)));
		field_put_list(out, at->run_count);
		for (size_t k = 0; k < at->run_count; k++) {
			field_put_list(out, 2);
			field_put_uint(out, at->runs[k].from);
			field_put_uint(out, at->runs[k].to);
		}
	}
}

/* *many: more runs than are taken. */
static void decode_runs(struct seen_pen *at, struct cursor *c, bool *many)
{
	size_t count = field_list(c);

	*many |= count > SEEN_RUNS_MAX;
	if (!count || count > SEEN_RUNS_MAX)
		c->bad = true;
	for (size_t k = 0; !c->bad && k < count; k++) {
		struct seen_run *run = &at->runs[k];

		field_list_of(c, 2);
		run->from = field_uint(c);
		run->to = field_uint(c);
		if (run->from > run->to || !run->to || (k && seen_touch(&at->runs[k - 1], run)))
			c->bad = true;
	}
	at->run_count = count;
}

static void decode_pen(struct seen *seen, struct cursor *c, bool *many)
{
	struct pen pen = { 0 };

	field_list_of(c, 4);
	pen.id = field_pen(c);
	struct bytes label = field_text(c), key = field_bytes(c);

	if (!label_allowed(label) || key.len != WRITER_KEY_LEN)
		c->bad = true;
	if (seen->count && seen->pens[seen->count - 1].pen.id >= pen.id)
		c->bad = true;
	if (c->bad)
		return;
	memcpy(pen.label, label.at, label.len);
	memcpy(pen.key, key.at, key.len);
	decode_runs(pen_insert(seen, &pen), c, many);
}

int seen_decode(struct seen *seen, struct cursor *c)
{
	size_t count = field_list(c);
	bool many = count > SEEN_PENS_MAX;

	*seen = (struct seen){ 0 };
	if (many)
		c->bad = true;
	for (size_t i = 0; !c->bad && i < count; i++)
		decode_pen(seen, c, &many);
	if (!c->bad)
		return 0;
	seen_release(seen);
	return many ? -EMSGSIZE : -EBADMSG;
}
