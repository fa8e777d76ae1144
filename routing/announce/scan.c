/* Reads the list of what is to be announced, in slices, and finds what is due.
 *
 *	"provide"        key multihash   value ignored
 *	"provided.NAME"  key multihash   value le64 ms since 1970, when it was last announced
 *
 * A full set stops the scan, which goes on when half of it is through. Behind the scan of the list
 * comes one of the times, which drops those of keys no more in the list. Keys that nobody took wait
 * in the set; those that left the list meanwhile are sifted out at the end of a scan. Loop
 * thread. */
#include "routing/announce/announcer.h"

#include "net/base/wait.h"
#include "net/db/db.h"

#include <errno.h>

#define NS_PER_MS 1000000
#define SLOTS 256      /* moments of an interval at which keys come due */
#define SOONEST_PART 8 /* no key comes due again within 1/8 of the interval */

static void scan_scan(void *ctx);

uint64_t announcer_wall_ms(void)
{
	return wallclock_ns() / NS_PER_MS;
}

uint64_t announcer_due_ms(const struct place *place, uint64_t told_ms, uint64_t interval_ms)
{
	uint64_t slot = place->bytes[0], soonest, late;
	uint64_t phase = interval_ms / SLOTS * slot + interval_ms % SLOTS * slot / SLOTS;

	if (interval_ms == 0 || told_ms > UINT64_MAX / 2 || interval_ms > UINT64_MAX / 8)
		return UINT64_MAX;
	soonest = told_ms + interval_ms / SOONEST_PART + 1;
	late = (soonest + interval_ms - phase) % interval_ms;
	return late ? soonest + interval_ms - late : soonest;
}

void announcer_due_at(struct announcer *announcer, uint64_t wall_ms)
{
	uint64_t now_ms = announcer_wall_ms();

	if (wall_ms >= announcer->next_wall_ms)
		return;
	announcer->next_wall_ms = wall_ms;
	if (!announcer->scanning)
		timer_start(announcer->timers, &announcer->scan,
			    wall_ms > now_ms ? wall_ms - now_ms : 0, scan_scan, announcer);
}

/* ---- a slice ---- */

struct slice {
	struct announcer *announcer;
	struct db_txn *txn;
	uint64_t now_ms;
	unsigned left;
	bool full;
};

static bool enqueue_listed(struct announcer *announcer, struct bytes key)
{
	struct due_key *due;

	if (!announcer_enqueue(announcer, key))
		return false;
	due = due_find(&announcer->due, key);
	if (due)
		due->listed = announcer->db != NULL;
	return true;
}

/* One key of the list. False: the set is full. */
static bool scan_look(struct slice *slice, struct bytes key, uint64_t told_ms)
{
	uint64_t due = 0;

	if (key.len > ROUTING_KEY_MAX)
		return true;
	/* When the clock was set back since, the time tells nothing. */
	if (told_ms > 0 && told_ms <= slice->now_ms) {
		struct place place = place_of_key(key);

		due = announcer_due_ms(&place, told_ms, slice->announcer->interval_ms);
	}
	if (due <= slice->now_ms)
		return enqueue_listed(slice->announcer, key);
	announcer_due_at(slice->announcer, due);
	return true;
}

static void withdraw(struct announcer *announcer, struct bytes key)
{
	routing_note_own(announcer->router, key, false);
}

/* One record of the list, or while cleaning of the times told: due keys are queued, and times of
 * keys that left the list are dropped. */
static int look_record(void *ctx, struct bytes key, struct bytes value)
{
	struct slice *slice = ctx;
	struct announcer *announcer = slice->announcer;
	struct bytes told = { 0 };
	struct cursor c;

	(void)value;
	if (bytes_equal(key, buf_bytes(&announcer->at)))
		return 0;
	if (slice->left-- == 0)
		return 1;
	if (announcer->cleaning) {
		if (db_get(slice->txn, ANNOUNCE_LIST, key, &told) == -ENOENT &&
		    !due_find(&announcer->due, key)) {
			db_post(announcer->db, announcer->table, key, bytes_of(NULL, 0));
			withdraw(announcer, key);
		}
	} else {
		db_get(slice->txn, announcer->table, key, &told);
		c = cursor_over(told);
		if (!scan_look(slice, key, told.len == 8 ? cursor_le64(&c) : 0)) {
			slice->full = true;
			return 1;
		}
	}
	buf_clear(&announcer->at);
	buf_add(&announcer->at, key);
	return 0;
}

/* More of the table of this phase is to come: true. */
static bool scan_slice(struct slice *slice)
{
	struct announcer *announcer = slice->announcer;
	const char *table = announcer->cleaning ? announcer->table : ANNOUNCE_LIST;
	int more;

	if (db_begin(announcer->db, false, &slice->txn))
		return false;
	more = db_each(slice->txn, table, bytes_of(NULL, 0), buf_bytes(&announcer->at), look_record,
		       slice);
	db_abort(slice->txn);
	return more == 1;
}

static bool still_listed(void *ctx, const struct due_key *key)
{
	struct slice *slice = ctx;
	struct bytes name = due_key_bytes(key), value;

	if (!key->listed || db_get(slice->txn, ANNOUNCE_LIST, name, &value) != -ENOENT)
		return true;
	withdraw(slice->announcer, name);
	return false;
}

/* More is to come: true. */
static bool sift_slice(struct slice *slice)
{
	struct announcer *announcer = slice->announcer;
	bool more;

	if (!announcer->due.count || db_begin(announcer->db, false, &slice->txn))
		return false;
	more = due_sift(&announcer->due, &announcer->sifted, ANNOUNCE_SLICE_MAX, still_listed,
			slice);
	db_abort(slice->txn);
	return more;
}

/* ---- the scan ---- */

/* Through: when to look again. */
static void scan_over(struct announcer *announcer)
{
	uint64_t now_ms = announcer_wall_ms(), delay = announcer->interval_ms;

	announcer->scanning = announcer->cleaning = false;
	buf_clear(&announcer->at);
	if (announcer->next_wall_ms < now_ms + delay)
		delay = announcer->next_wall_ms > now_ms ? announcer->next_wall_ms - now_ms : 0;
	if (delay < ANNOUNCE_WAKE_MS)
		delay = ANNOUNCE_WAKE_MS;
	timer_start(announcer->timers, &announcer->scan, announcer->again ? 0 : delay, scan_scan,
		    announcer);
}

static void scan_memory(struct slice *slice)
{
	list_for_each(item, &slice->announcer->items, struct announcer_item, node) {
		if (scan_look(slice, buf_bytes(&item->key), item->told_ms))
			continue;
		slice->full = true;
		return;
	}
}

static void scan_list(struct slice *slice)
{
	struct announcer *announcer = slice->announcer;

	if (scan_slice(slice)) {
		announcer->full = slice->full;
		if (!slice->full) /* else announcer_scan_go_on() comes */
			announcer_scan_go_on(announcer);
	} else if (!announcer->cleaning) {
		announcer->cleaning = true;
		announcer->sifted = 0;
		buf_clear(&announcer->at);
		announcer_scan_go_on(announcer);
	} else if (sift_slice(slice)) {
		announcer_scan_go_on(announcer);
	} else {
		scan_over(announcer);
	}
}

static void scan_scan(void *ctx)
{
	struct announcer *announcer = ctx;
	struct slice slice = { .announcer = announcer,
			       .now_ms = announcer_wall_ms(),
			       .left = ANNOUNCE_SLICE_MAX };

	if (!announcer->scanning) {
		announcer->scanning = true;
		announcer->again = false;
		announcer->next_wall_ms = UINT64_MAX;
	}
	if (announcer->db) {
		scan_list(&slice);
		return;
	}
	scan_memory(&slice);
	announcer->full = slice.full;
	if (!slice.full)
		scan_over(announcer);
}

void announcer_scan_go_on(struct announcer *announcer)
{
	timer_start(announcer->timers, &announcer->scan, 0, scan_scan, announcer);
}

void announcer_scan_now(struct announcer *announcer)
{
	announcer->again = true;
	if (!announcer->scanning)
		announcer_scan_go_on(announcer);
}
