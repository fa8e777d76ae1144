/* What tests of shares have in common: entries of all kinds made from a number, names whose hashes
 * collide, and small sorted states. */
#ifndef TESTS_DAG_SHARE_MAKE_H
#define TESTS_DAG_SHARE_MAKE_H

#include "dag/share.h"
#include "tests/dag/fake.h"

#include <stdio.h>

/* xorshift64*: the same in every run. */
static inline uint64_t share_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717u;
}

static inline struct cid share_cid(uint64_t codec, uint64_t number)
{
	uint8_t data[8];
	struct cid cid;

	fake_fill(data, sizeof(data), number * 8 + 1);
	assert_int_equal(cid_of_data(&cid, 1, codec, HASH_SHA2_256, bytes_of(data, sizeof(data))),
			 0);
	return cid;
}

/* ---- names of one hash ---- */

#define SHARE_COLLIDING_LEN 32

static inline uint64_t share_inverse(uint64_t odd)
{
	uint64_t x = odd;

	for (int i = 0; i < 6; i++)
		x *= 2 - odd * x;
	return x;
}

static inline uint64_t share_rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

/* Two blocks of 16 bytes after which MurmurHash3's state is always the same: the second is solved
 * for from the first. false: the name has a byte that no name may have. */
static inline bool share_colliding_name(uint64_t number, uint8_t out[static SHARE_COLLIDING_LEN])
{
	const uint64_t c1 = 0x87c37b91114253d5u, c2 = 0x4cf5ad432745937fu;
	const uint64_t fifth = share_inverse(5), want1 = 0x1234567890abcdefu, want2 = 0x42u;
	uint64_t state = number + 0x9e3779b97f4a7c15u, words[4], h1, h2;

	words[0] = share_random(&state);
	words[1] = share_random(&state);
	h1 = share_rotate(words[0] * c1, 31) * c2;
	h1 = share_rotate(h1, 27) * 5 + 0x52dce729;
	h2 = share_rotate(words[1] * c2, 33) * c1;
	h2 = (share_rotate(h2, 31) + h1) * 5 + 0x38495ab5;
	words[2] = share_rotate((want1 - 0x52dce729) * fifth - h2, 64 - 27) ^ h1;
	words[2] = share_rotate(words[2] * share_inverse(c2), 64 - 31) * share_inverse(c1);
	words[3] = share_rotate((want2 - 0x38495ab5) * fifth - want1, 64 - 31) ^ h2;
	words[3] = share_rotate(words[3] * share_inverse(c1), 64 - 33) * share_inverse(c2);
	for (size_t i = 0; i < SHARE_COLLIDING_LEN; i++)
		out[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
	return manifest_name_allowed(bytes_of(out, SHARE_COLLIDING_LEN));
}

/* ---- entries ---- */

static inline void share_name(struct buf *out, uint64_t number)
{
	uint8_t raw[SHARE_COLLIDING_LEN];

	buf_clear(out);
	if (number >> 32 && share_colliding_name(number, raw))
		buf_add(out, bytes_of(raw, sizeof(raw)));
	else if (number % 7 == 3)
		buf_printf(out, "\xff\x01 %llu\n", (unsigned long long)number);
	else
		buf_printf(out, "file-%llu.txt", (unsigned long long)number);
}

/* An owned entry; its kind and contents follow from number and version. pens: how many write. */
static inline struct manifest_entry share_entry(uint64_t number, uint64_t version, uint64_t pens)
{
	uint64_t state = number * 1000003 + version + 1;
	uint64_t kind = share_random(&state) % 16;
	struct buf name = { 0 }, target = { 0 };
	struct manifest_value values[3] = { 0 };
	struct manifest_dot dots[2] = { 0 };
	struct manifest_span spans[2] = { 0 };
	struct manifest_xattr xattrs[2] = {
		{ bytes_str("user.a"), bytes_str("1") },
		{ bytes_str("user.mime_type"), bytes_str("text/plain") },
	};
	struct manifest_meta meta = { 0 };
	struct manifest_entry entry = { 0 }, out;

	share_name(&name, number);
	entry.name = buf_bytes(&name);
	meta.pen = share_random(&state) % pens + 1;
	meta.stamp = 1000 + version;
	meta.mode = 0755;
	for (size_t i = 0; i < 3; i++) {
		values[i].pen = pens > 2 ? i + 1 : 1;
		values[i].stamp = 1000 + version + i;
		values[i].id = number;
		values[i].size = share_random(&state) % 100000;
		values[i].mtime = (int64_t)share_random(&state) >> 30;
		values[i].mtime_nanos = (uint32_t)(share_random(&state) % 1000000000);
		values[i].cid = share_cid(CODEC_RAW, number + version);
		values[i].flags = i ? MANIFEST_ASIDE : 0;
	}
	entry.values = values;
	entry.value_count = pens > 2 && kind == 5 ? 3 : 1;
	if (kind == 1) {
		buf_printf(&target, "../target/%llu", (unsigned long long)version);
		values[0].flags = MANIFEST_SYMLINK;
		values[0].cid = (struct cid){ 0 };
		values[0].target = buf_bytes(&target);
		values[0].size = target.len;
	}
	if (kind == 2 || kind == 3) {
		entry.value_count = 0;
		entry.has_dir = true;
		dots[0] = (struct manifest_dot){ meta.pen, 1000 + version, number };
		dots[1] = (struct manifest_dot){ meta.pen, 2000 + version, number };
		entry.dir.dots = dots;
		entry.dir.dot_count = kind - 1;
		entry.dir.tree = share_cid(CODEC_DAG_PB, version);
		entry.dir.tree_size = 12345;
		spans[0] = (struct manifest_span){ 1, 500, 1000 + version };
		spans[1] = (struct manifest_span){ 9, 7, 8 };
		if (kind == 3) {
			entry.dir.link = share_cid(CODEC_DAG_CBOR, version);
			entry.dir.spans = spans;
			entry.dir.span_count = 1 + (pens > 2);
		}
	}
	if (kind == 4 || kind == 3) {
		meta.xattrs = kind == 4 ? xattrs : NULL;
		meta.xattr_count = kind == 4 ? 2 : 0;
		entry.metas = &meta;
		entry.meta_count = 1;
	}
	assert_int_equal(manifest_entry_check(&entry), 0);
	manifest_entry_copy(&out, &entry);
	buf_release(&name);
	buf_release(&target);
	return out;
}

/* ---- states: sorted lists of entries ---- */

struct share_state {
	struct manifest_entry *entries;
	size_t count, cap;
};

static inline size_t share_place(const struct share_state *state, struct bytes name)
{
	size_t low = 0, high = state->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		struct bytes other = state->entries[middle].name;

		if (manifest_order(manifest_hash(other), other, manifest_hash(name), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Sets name to entry (taken), or removes it (NULL). */
static inline void share_state_set(struct share_state *state, struct bytes name,
				   struct manifest_entry *entry)
{
	size_t at = share_place(state, name);
	bool there = at < state->count && bytes_equal(state->entries[at].name, name);
	struct manifest_entry *to;

	if (there && !entry) {
		manifest_entry_release(&state->entries[at]);
		memmove(&state->entries[at], &state->entries[at + 1],
			(--state->count - at) * sizeof(*to));
	}
	if (!entry)
		return;
	if (there) {
		manifest_entry_release(&state->entries[at]);
		state->entries[at] = *entry;
		return;
	}
	if (state->count == state->cap) {
		state->cap = state->cap ? state->cap * 2 : 64;
		state->entries = xrealloc(state->entries, state->cap * sizeof(*to));
	}
	to = &state->entries[at];
	memmove(to + 1, to, (state->count++ - at) * sizeof(*to));
	*to = *entry;
}

static inline void share_state_release(struct share_state *state)
{
	for (size_t i = 0; i < state->count; i++)
		manifest_entry_release(&state->entries[i]);
	free(state->entries);
	*state = (struct share_state){ 0 };
}

static inline int share_hash_order(const void *a, const void *b)
{
	const struct manifest_entry *x = a, *y = b;

	return manifest_order(manifest_hash(x->name), x->name, manifest_hash(y->name), y->name);
}

/* count entries from number `first` on. */
static inline void share_state_fill(struct share_state *state, uint64_t first, size_t count,
				    uint64_t pens)
{
	state->entries = xcalloc(count ? count : 1, sizeof(*state->entries));
	state->count = state->cap = count;
	for (size_t i = 0; i < count; i++)
		state->entries[i] = share_entry(first + i, 1, pens);
	qsort(state->entries, count, sizeof(*state->entries), share_hash_order);
}

static inline struct radix_root share_build(struct radix *radix, const struct share_state *state,
					    struct wait *wait)
{
	struct radix_build *build = radix_build_new(radix, wait);
	struct radix_root root;

	for (size_t i = 0; i < state->count; i++)
		assert_int_equal(radix_build_add(build, &state->entries[i]), 0);
	assert_int_equal(radix_build_finish(build, &root), 0);
	radix_build_free(build);
	return root;
}

#endif
