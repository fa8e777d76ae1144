/* A Bitswap client on a virtual clock, with peers that are nothing but their outboxes. */
#ifndef TESTS_EXCHANGE_BITSWAP_RIG_H
#define TESTS_EXCHANGE_BITSWAP_RIG_H

#include "exchange/bitswap/client.h"
#include "exchange/bitswap/msg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RIG_IDLE_MS 1000
#define RIG_WANTS_MAX 4096
#define RIG_REBROADCAST_MS 60000
#define RIG_FOREVER (UINT64_C(1) << 40)

struct rig {
	struct timers *timers;
	struct random random;
	struct bitswap_budget budget;
	struct bitswap_client client;
	unsigned wakes, searches, unwanted;
	int search_result;
	struct cid searched;
	unsigned got, failed;
	int err;
	size_t got_len;
};

static inline void rig_wake(void *ctx)
{
	((struct rig *)ctx)->wakes++;
}

static inline int rig_search(void *ctx, const struct cid *cid)
{
	struct rig *rig = ctx;

	rig->searches++;
	rig->searched = *cid;
	return rig->search_result;
}

static inline void rig_unwanted(void *ctx, const struct cid *cid)
{
	(void)cid;
	((struct rig *)ctx)->unwanted++;
}

static inline struct rig *rig_new(void)
{
	static const struct bitswap_client_ops ops = { rig_wake, rig_search, rig_unwanted };
	struct rig *rig = xnew(struct rig);

	rig->timers = timers_new();
	timers_run(rig->timers, 1000000);
	rig->random = random_seeded(7);
	rig->budget.max = UINT64_MAX;
	bitswap_client_init(&rig->client, rig->timers, &rig->random,
			    &(struct bitswap_client_config){ .idle_ms = RIG_IDLE_MS,
							     .rebroadcast_ms = RIG_REBROADCAST_MS,
							     .wants_max = RIG_WANTS_MAX,
							     .gets_max = 4 * RIG_WANTS_MAX,
							     .budget = &rig->budget },
			    &ops, rig);
	return rig;
}

static inline void rig_free(struct rig *rig)
{
	while (!list_empty(&rig->client.sessions))
		bitswap_session_free(
			list_first(&rig->client.sessions, struct bitswap_session, node));
	while (!list_empty(&rig->client.peers))
		bitswap_outbox_remove(
			list_first(&rig->client.peers, struct bitswap_client_peer, node));
	bitswap_client_release(&rig->client);
	timers_free(rig->timers);
	free(rig);
}

static inline struct bitswap_client_peer *rig_peer(struct rig *rig, uint8_t name)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20, name, [33] = name } };
	struct bitswap_client_peer *peer = bitswap_outbox_add(&rig->client, &id, NULL);

	bitswap_outbox_able(peer, BITSWAP_ABLE);
	return peer;
}

static inline struct cid rig_cid(unsigned number)
{
	struct cid cid;

	assert_int_equal(
		cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(&number, sizeof(number))),
		0);
	return cid;
}

static inline void rig_got(void *ctx, int err, struct block *block)
{
	struct rig *rig = ctx;

	if (err) {
		rig->failed++;
		rig->err = err;
		return;
	}
	rig->got++;
	rig->got_len = block->data.len;
	block_unref(block);
}

static inline struct bitswap_get *rig_get(struct rig *rig, struct bitswap_session *session,
					  unsigned number)
{
	struct cid cid = rig_cid(number);

	return bitswap_client_get(session, &cid, RIG_FOREVER, rig_got, rig);
}

/* The block of rig_cid(number) arrives. */
static inline bool rig_block(struct rig *rig, struct bitswap_client_peer *from, unsigned number)
{
	struct cid cid = rig_cid(number);
	struct block *block = block_copy(&cid, bytes_of(&number, sizeof(number)));
	bool wanted = bitswap_client_block(&rig->client, from, block);

	block_unref(block);
	return wanted;
}

struct rig_mail {
	unsigned blocks, haves, cancels;
	struct bitswap_entry last;
	struct cid first;
};

static inline void rig_entry(void *ctx, const struct bitswap_entry *entry)
{
	struct rig_mail *mail = ctx;

	mail->cancels += entry->cancel;
	mail->haves += !entry->cancel && entry->have;
	mail->blocks += !entry->cancel && !entry->have;
	if (!cid_is_set(&mail->first))
		mail->first = entry->cid;
	mail->last = *entry;
}

/* What the peer is sent now. */
static inline struct rig_mail rig_mail(struct rig *rig, struct bitswap_client_peer *peer)
{
	static const struct bitswap_visitor visitor = { .on_entry = rig_entry };
	struct rig_mail mail = { 0 };
	struct buf out = { 0 };

	bitswap_client_run(&rig->client);
	while (bitswap_outbox_compose(peer, &out)) {
		struct bytes message = buf_bytes(&out);
		struct cursor c = cursor_over(message);
		struct bitswap_summary summary;

		cursor_uvarint(&c);
		message = bytes_of(c.at, cursor_left(&c));
		assert_int_equal(bitswap_msg_check(message, &summary), 0);
		bitswap_msg_walk(message, &visitor, &mail);
		buf_clear(&out);
	}
	buf_release(&out);
	peer->dirty = false;
	return mail;
}

/* Time passes, a little at a time, as the loop would see it. */
static inline void rig_wait(struct rig *rig, uint64_t ms)
{
	uint64_t end = timers_now(rig->timers) + ms;

	while (timers_next(rig->timers) <= end) {
		uint64_t next = timers_next(rig->timers);

		timers_run(rig->timers,
			   next > timers_now(rig->timers) ? next : timers_now(rig->timers));
		bitswap_client_run(&rig->client);
	}
	timers_run(rig->timers, end);
	bitswap_client_run(&rig->client);
}

#endif
