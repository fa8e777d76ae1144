/* Putting and getting a value. Getting one keeps the best record seen so far, and at the end tells
 * it to the near peers that had a worse one or none. Loop thread. */
#include "routing/kad/query_private.h"

#include "net/base/wait.h"

#include <errno.h>
#include <stdlib.h>

/* ---- put ---- */

/* A good server echoes the record. */
static int check_echo(struct kad_query *query, struct bytes answer)
{
	struct kad_msg msg;

	if (kad_msg_decode(&msg, answer) || msg.type != KAD_PUT_VALUE || !msg.has_record)
		return -EBADMSG;
	if (!bytes_equal(msg.record.value, buf_bytes(&query->value)))
		return -EBADMSG;
	kad_values_told(&query->kad->values, buf_bytes(&query->key), wallclock_ns());
	return 0;
}

static void send_value(struct kad_query *query, const struct peer_id *peers, size_t count)
{
	struct kad_record record = { .key = buf_bytes(&query->key),
				     .value = buf_bytes(&query->value) };
	struct buf request = { 0 };

	kad_msg_begin(&request, KAD_PUT_VALUE, record.key);
	kad_msg_record(&request, &record);
	kad_msg_end(&request);
	kad_query_send(query, buf_bytes(&request), peers, count, check_echo);
	buf_release(&request);
}

static void put_widened(struct kad_query *query)
{
	struct peer_id near[KAD_NEAR_MAX];

	send_value(query, near, kad_query_near(query, near));
}

static void on_put_walked(void *ctx, int err)
{
	kad_query_widen(ctx, err, put_widened); /* out of time: those found so far are told */
}

static void put_first(void *ctx)
{
	struct kad_query *query = ctx;
	struct kad *kad = query->kad;
	int err = kad_values_put(&kad->values, buf_bytes(&query->key), buf_bytes(&query->value),
				 &kad->table.self, wallclock_ns());

	/* Too many of our own here is no reason not to tell others. */
	if (err && err != -EAGAIN)
		kad_query_end(query, err);
	else
		kad_walk_start(&query->walk, kad, KAD_FIND_NODE, buf_bytes(&query->key),
			       kad_query_walk_deadline(query), NULL, on_put_walked, query);
}

struct routing_query *kad_query_put_value(struct router *router, struct bytes key,
					  struct bytes value, uint64_t deadline_ms,
					  routing_done_fn *done, void *ctx)
{
	struct kad_query *query;

	if (value.len > ROUTING_VALUE_MAX)
		return NULL;
	query = kad_query_new(router, key, ROUTING_KEY_MAX, deadline_ms, put_first, ctx);
	if (!query)
		return NULL;
	buf_add(&query->value, value);
	query->on_done = done;
	return &query->base;
}

/* ---- get ---- */

static bool has_best(const struct kad_query *query, const struct peer_id *peer)
{
	for (unsigned i = 0; i < query->good_count; i++)
		if (peer_id_equal(&query->good[i], peer))
			return true;
	return false;
}

/* A record came, from a peer or (none) our own store. */
static void take_value(struct kad_query *query, const struct peer_id *from, struct bytes value)
{
	struct kad_values *values = &query->kad->values;
	int order = 1;

	/* Most tell the same: that was checked. */
	if (query->value.len == 0 || !bytes_equal(value, buf_bytes(&query->value))) {
		if (query->checks++ >= KAD_VALUE_CHECKS_MAX ||
		    kad_values_check(values, buf_bytes(&query->key), value, wallclock_ns()))
			return;
	}
	query->count++;
	if (query->value.len > 0)
		order = kad_values_rules(values, buf_bytes(&query->key))
				->compare(value, buf_bytes(&query->value));
	if (order < 0)
		return;
	if (order > 0) {
		query->good_count = 0;
		buf_clear(&query->value);
		buf_add(&query->value, value);
		query->busy = true;
		query->on_value(query->ctx, buf_bytes(&query->value));
		query->busy = false;
	}
	if (from && query->good_count < KAD_VALUE_GOOD_MAX && !has_best(query, from))
		query->good[query->good_count++] = *from;
}

static bool on_value_answer(void *ctx, const struct kad_walk_answer *answer)
{
	struct kad_query *query = ctx;
	const struct kad_msg *msg = &answer->msg;

	if (msg->has_record && bytes_equal(msg->record.key, buf_bytes(&query->key)))
		take_value(query, &answer->from, msg->record.value);
	return !query->cancelled && query->count < query->count_max;
}

static void correct_first(void *ctx)
{
	struct kad_query *query = ctx;

	send_value(query, query->late, query->late_count);
}

/* Those near that answered with an older record or none are told the best, after the asker has it.
 */
static void correct(const struct kad_query *asked)
{
	struct kad *kad = asked->kad;
	struct peer_id near[KAD_NEAR_MAX], *late = xcalloc(KAD_NEAR_MAX, sizeof(*late));
	size_t max = kad_query_is_wide(asked) ? asked->near.count : kad->config.k, late_count = 0,
	       count = kad_lookup_answerers(&asked->walk.lookup, near, max);
	struct kad_query *query;

	for (size_t i = 0; i < count; i++)
		if (!has_best(asked, &near[i]))
			late[late_count++] = near[i];
	query = late_count == 0
			? NULL
			: kad_query_new(&kad->router, buf_bytes(&asked->key), ROUTING_KEY_MAX,
					kad_now(kad) + KAD_SEND_MS, correct_first, NULL);
	if (!query) {
		free(late);
		return;
	}
	buf_add(&query->value, buf_bytes(&asked->value));
	query->late = late;
	query->late_count = late_count;
}

static void on_get_asked(void *ctx, int err)
{
	struct kad_query *query = ctx;

	if (query->value.len > 0) {
		err = 0;
		if (!query->cancelled)
			correct(query);
	} else if (!err) {
		err = -ENOENT;
	}
	kad_query_end(query, err);
}

/* Of the region all are asked, also after a quorum: it may be one of peers with an old record. */
static bool on_wide_value_answer(void *ctx, const struct kad_walk_answer *answer)
{
	on_value_answer(ctx, answer);
	return !((struct kad_query *)ctx)->cancelled;
}

static void get_widened(struct kad_query *query)
{
	if (kad_query_is_wide(query))
		kad_query_ask_near(query, KAD_GET_VALUE, on_wide_value_answer, on_get_asked);
	else
		on_get_asked(query, 0);
}

static void on_get_walked(void *ctx, int err)
{
	struct kad_query *query = ctx;

	if (err || query->cancelled)
		on_get_asked(query, err);
	else
		kad_query_widen(query, 0, get_widened);
}

static void get_first(void *ctx)
{
	struct kad_query *query = ctx;
	struct kad *kad = query->kad;
	const struct kad_value *own =
		kad_values_get(&kad->values, buf_bytes(&query->key), wallclock_ns());

	if (!kad_values_rules(&kad->values, buf_bytes(&query->key))) {
		kad_query_end(query, -EKEYREJECTED);
		return;
	}
	if (own)
		take_value(query, NULL, buf_bytes(&own->value));
	if (query->cancelled)
		kad_query_end(query, -ECANCELED);
	else
		kad_walk_start(&query->walk, kad, KAD_GET_VALUE, buf_bytes(&query->key),
			       query->deadline_ms, on_value_answer, on_get_walked, query);
}

struct routing_query *kad_query_get_value(struct router *router, struct bytes key,
					  unsigned records_max, uint64_t deadline_ms,
					  routing_value_fn *found, routing_done_fn *done, void *ctx)
{
	struct kad_query *query =
		kad_query_new(router, key, ROUTING_KEY_MAX, deadline_ms, get_first, ctx);

	if (!query)
		return NULL;
	query->on_value = found;
	query->count_max = records_max ? records_max : ROUTING_RECORDS;
	query->on_done = done;
	return &query->base;
}
