/* Entries of manifests as bytes, and the dots in them. Private to dag/share. Pure; one scratch
 * belongs to one thread at a time. */
#ifndef DAG_SHARE_MANIFEST_CODEC_H
#define DAG_SHARE_MANIFEST_CODEC_H

#include "dag/share/manifest.h"

/* Spans of some dots, ascending by pen. Zero-initialised is empty. */
struct spans {
	struct manifest_span *at;
	size_t count, cap;
};

void spans_add(struct spans *spans, const struct manifest_span *span);
void spans_add_all(struct spans *spans, const struct manifest_span *at, size_t count);
/* All dots of an entry, those below its directory too. */
void spans_add_entry(struct spans *spans, const struct manifest_entry *entry);
void spans_release(struct spans *spans);

/* Where a pen stands in a table of pens. It is there. */
size_t spans_index(const struct spans *table, uint64_t pen);

/* Calls each for every dot and span of an entry. */
void manifest_each_span(const struct manifest_entry *entry,
			void (*each)(void *ctx, const struct manifest_span *span), void *ctx);

/* Is it an entry that may be written? (but for its length) */
bool manifest_entry_sound(const struct manifest_entry *entry);
/* The length that is limited, of an entry of len bytes: as if the index of each pen took two bytes,
 * so that it does not depend on the node. table: of its pens; NULL: pens are told as their index.
 */
size_t manifest_entry_len(const struct manifest_entry *entry, const struct spans *table,
			  size_t len);

/* Appends the bytes of a checked entry, whose pens are all in table. */
void manifest_entry_encode(const struct manifest_entry *entry, const struct spans *table,
			   struct buf *out);
void manifest_spans_encode(const struct manifest_span *spans, size_t count,
			   const struct spans *table, struct buf *out);

/* Memory of decoded entries, used again and again. Zero-initialised is empty. */
struct manifest_scratch {
	struct manifest_value *values;
	struct manifest_dot *dots;
	struct manifest_span *spans;
	struct manifest_meta *metas;
	struct manifest_xattr *xattrs;
	size_t values_cap, dots_cap, spans_cap, metas_cap, xattrs_cap;
};

void manifest_scratch_release(struct manifest_scratch *scratch);

/* One entry from the cursor's place. It borrows from the input, and from scratch until the next
 * entry. pens: the node's; NULL: pens are told as their index. -EBADMSG: nothing that is encoded;
 * -EMSGSIZE: over MANIFEST_ENTRY_MAX. */
int manifest_entry_decode(struct manifest_entry *entry, struct cursor *c, const uint64_t *pens,
			  size_t pen_count, struct manifest_scratch *scratch);
/* Spans into *at (grown as needed); their number. Failures go to the cursor. */
size_t manifest_spans_decode(struct manifest_span **at, size_t *cap, struct cursor *c,
			     const uint64_t *pens, size_t pen_count);

#endif
