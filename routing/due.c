/* Keys in 4096 cells by the first bits of their places, so that a region is a run of cells. Pure;
 * any thread. */
#include "routing/due.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned cell_of(const struct place *id)
{
	return (unsigned)id->bytes[0] << 4 | id->bytes[1] >> 4;
}

/* The cells that a region touches. */
static void cells_of(const struct place_region *region, unsigned *first, unsigned *last)
{
	unsigned rest = region->bits < DUE_CELL_BITS ? DUE_CELL_BITS - region->bits : 0;

	*first = cell_of(&region->id) >> rest << rest;
	*last = *first + (1u << rest) - 1;
}

void due_release(struct due_set *set)
{
	for (unsigned c = 0; set->cells && c < DUE_CELLS; c++) {
		for (uint32_t i = 0; i < set->cells[c].count; i++)
			free(set->cells[c].keys[i]);
		free(set->cells[c].keys);
	}
	free(set->cells);
	*set = (struct due_set){ 0 };
}

static struct due_key *due_entry_find(const struct due_set *set, const struct place *id,
				      struct bytes key)
{
	const struct due_cell *cell = set->cells ? &set->cells[cell_of(id)] : NULL;

	for (uint32_t i = 0; cell && i < cell->count; i++)
		if (bytes_equal(due_key_bytes(cell->keys[i]), key))
			return cell->keys[i];
	return NULL;
}

int due_add(struct due_set *set, struct bytes key)
{
	struct place id = place_of_key(key);
	struct due_cell *cell;
	struct due_key *entry;

	if (key.len == 0 || key.len > UINT8_MAX)
		return -EINVAL;
	entry = due_entry_find(set, &id, key);
	if (entry) {
		bool was = !entry->gone;

		entry->gone = false;
		return was ? -EEXIST : 0;
	}
	if (set->count >= DUE_KEYS_MAX)
		return -EAGAIN;
	entry = xcalloc(1, sizeof(*entry) + key.len);
	entry->id = id;
	entry->len = (uint8_t)key.len;
	memcpy(entry->bytes, key.at, key.len);
	if (!set->cells)
		set->cells = xcalloc(DUE_CELLS, sizeof(*set->cells));
	cell = &set->cells[cell_of(&id)];
	if (cell->count == cell->cap) {
		cell->cap = cell->cap ? cell->cap * 2 : 4;
		cell->keys = xrealloc(cell->keys, cell->cap * sizeof(*cell->keys));
	}
	cell->keys[cell->count++] = entry;
	set->count++;
	return 0;
}

struct due_key *due_find(const struct due_set *set, struct bytes key)
{
	struct place id = place_of_key(key);
	struct due_key *entry = due_entry_find(set, &id, key);

	return entry && !entry->gone ? entry : NULL;
}

void due_drop(struct due_set *set, struct due_key *key)
{
	struct due_cell *cell = &set->cells[cell_of(&key->id)];
	uint32_t at = 0;

	if (key->held) {
		key->gone = true;
		return;
	}
	while (cell->keys[at] != key)
		at++;
	cell->keys[at] = cell->keys[--cell->count];
	if (cell->count == 0) {
		free(cell->keys);
		*cell = (struct due_cell){ 0 };
	}
	free(key);
	if (--set->count == 0)
		due_release(set);
}

/* Returns how many it looked at. */
static size_t sift_cell(struct due_set *set, unsigned c,
			bool (*keep)(void *ctx, const struct due_key *key), void *ctx)
{
	size_t looked = set->cells[c].count;

	/* From the end: the last takes the place of one that goes, and the last of all takes the
	 * cells along. */
	for (size_t i = looked; i > 0; i--) {
		struct due_key *key = set->cells[c].keys[i - 1];

		if (!key->gone && !keep(ctx, key))
			due_drop(set, key);
	}
	return looked;
}

bool due_sift(struct due_set *set, unsigned *at, size_t max,
	      bool (*keep)(void *ctx, const struct due_key *key), void *ctx)
{
	size_t looked = 0;

	while (set->cells && *at < DUE_CELLS && looked < max)
		looked += sift_cell(set, (*at)++, keep, ctx);
	return set->cells && *at < DUE_CELLS;
}

static bool is_free(const struct due_key *key)
{
	return !key->held && !key->waits;
}

struct due_key *due_next(const struct due_set *set, const struct place_region *region,
			 const struct place *from)
{
	struct due_key *best = NULL;
	unsigned first, last;

	cells_of(region, &first, &last);
	if (first < cell_of(from))
		first = cell_of(from);
	for (unsigned c = first; set->cells && c <= last && !best; c++) {
		const struct due_cell *cell = &set->cells[c];

		for (uint32_t i = 0; i < cell->count; i++) {
			struct due_key *key = cell->keys[i];

			if (is_free(key) && place_region_has(region, &key->id) &&
			    memcmp(key->id.bytes, from->bytes, PLACE_LEN) >= 0 &&
			    (!best || memcmp(key->id.bytes, best->id.bytes, PLACE_LEN) < 0))
				best = key;
		}
	}
	return best;
}

size_t due_take(const struct due_set *set, const struct place_region *region, struct due_key **out,
		size_t max)
{
	unsigned first, last;
	size_t count = 0;

	cells_of(region, &first, &last);
	for (unsigned c = first; set->cells && c <= last; c++) {
		const struct due_cell *cell = &set->cells[c];

		for (uint32_t i = 0; i < cell->count && count < max; i++) {
			if (!is_free(cell->keys[i]) ||
			    !place_region_has(region, &cell->keys[i]->id))
				continue;
			if (out)
				out[count] = cell->keys[i];
			count++;
		}
	}
	return count;
}

size_t due_defer(struct due_set *set, const struct place_region *region)
{
	unsigned first, last;
	size_t count = 0;

	cells_of(region, &first, &last);
	for (unsigned c = first; set->cells && c <= last; c++) {
		for (uint32_t i = 0; i < set->cells[c].count; i++) {
			struct due_key *key = set->cells[c].keys[i];

			if (!is_free(key) || !place_region_has(region, &key->id))
				continue;
			key->waits = true;
			count++;
		}
	}
	return count;
}

void due_retry(struct due_set *set)
{
	for (unsigned c = 0; set->cells && c < DUE_CELLS; c++)
		for (uint32_t i = 0; i < set->cells[c].count; i++)
			set->cells[c].keys[i]->waits = false;
}
