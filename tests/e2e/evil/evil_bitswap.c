/* Harm in Bitswap, on either end of it. */
#include "tests/e2e/evil/evil.h"

#include "exchange/bitswap/msg.h"
#include "net/wire/frame.h"
#include "net/wire/varint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PER_MESSAGE 1000

static struct cid cid_of(unsigned long number)
{
	struct cid cid;

	cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(&number, sizeof(number)));
	return cid;
}

/* ---- rows 1, 3: wants ---- */

static void want_many(struct tube *tube, unsigned long from, unsigned long count)
{
	struct buf entries = { 0 }, message = { 0 };

	for (unsigned long i = 0; i < count; i++) {
		struct bitswap_entry entry = { .cid = cid_of(from + i),
					       .priority = (int32_t)(i % 1000),
					       .have = i % 3 == 0,
					       .send_dont_have = i % 2 };

		bitswap_msg_add_entry(&entries, &entry);
		if (i % PER_MESSAGE == PER_MESSAGE - 1 || i == count - 1) {
			bitswap_msg_add_wantlist(&message, buf_bytes(&entries), false);
			buf_clear(&entries);
			if (!tube_send(tube, buf_bytes(&message)))
				break;
			buf_clear(&message);
		}
	}
	buf_release(&entries);
	buf_release(&message);
}

/* COUNT wants from PEERS peers. */
void evil_wants(struct crew *crew, char **words)
{
	unsigned long count = evil_number(words, 0, 1000000), peers = evil_number(words, 1, 50),
		      up = 0;
	static const struct manners manners = { .protocols = evil_protocols };

	for (unsigned long i = 0; i < peers; i++) {
		struct link *link = crew_dial(crew, &manners);

		if (!link)
			continue;
		want_many(tube_open(link, BITSWAP_PROTOCOL), i * count, count / peers);
		up += !link->dead;
		crew_pump(crew, 0);
	}
	printf(" wants=%lu peers=%lu", count, up);
}

/* ---- row 4: blocks that nobody asked for ---- */

void evil_unwanted(struct crew *crew, char **words)
{
	unsigned long count = evil_number(words, 0, 10000), sent = 0;
	static const struct manners manners = { .protocols = evil_protocols };
	struct link *link = crew_dial(crew, &manners);
	struct tube *tube = link ? tube_open(link, BITSWAP_PROTOCOL) : NULL;
	struct random random = random_system();
	uint8_t bytes[1024];

	while (tube && sent < count) {
		struct buf blocks = { 0 }, message = { 0 };

		for (unsigned i = 0; i < 100; i++, sent++) {
			struct cid cid;

			random_fill(&random, bytes, sizeof(bytes));
			cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256,
				    bytes_of(bytes, sizeof(bytes)));
			bitswap_msg_add_block(&blocks, BITSWAP_1_2, &cid,
					      bytes_of(bytes, sizeof(bytes)));
		}
		bitswap_msg_add_response(&message, BITSWAP_1_2, bytes_of(NULL, 0), 0, blocks.len);
		buf_add(&message, buf_bytes(&blocks));
		bool ok = tube_send(tube, buf_bytes(&message));

		buf_release(&blocks);
		buf_release(&message);
		if (!ok)
			break;
	}
	printf(" sent=%lu alive=%d", sent, link && !link->dead);
}

/* ---- row 20: a reader that never reads ---- */

static void add_wants_of(struct buf *message, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[CID_TEXT_MAX + 2];
	struct buf entries = { 0 };

	while (file && fgets(line, sizeof(line), file)) {
		struct bitswap_entry entry = { .priority = 1 };

		line[strcspn(line, "\n")] = '\0';
		if (cid_from_text(&entry.cid, line) == 0)
			bitswap_msg_add_entry(&entries, &entry);
	}
	if (file)
		fclose(file);
	bitswap_msg_add_wantlist(message, buf_bytes(&entries), false);
	buf_release(&entries);
}

/* FILE names the blocks, PEERS ask for them: every other one closes its windows, the rest their
 * sockets. */
void evil_deaf(struct crew *crew, char **words)
{
	unsigned long peers = words[0] ? evil_number(words, 1, 8) : 0, up = 0;
	static const struct manners manners = { .protocols = evil_protocols };
	struct buf message = { 0 };

	if (peers)
		add_wants_of(&message, words[0]);
	for (unsigned long i = 0; i < peers; i++) {
		struct link *link = crew_dial(crew, &manners);

		if (!link)
			continue;
		link->stingy = true;
		tube_send(tube_open(link, BITSWAP_PROTOCOL), buf_bytes(&message));
		/* Long enough for its stream of answers to begin. */
		for (int j = 0; j < 20; j++)
			link_pump(link, 5);
		if (i % 2)
			continue;
		link->stingy = false;
		link->deaf = true;
		for (uint32_t id = 2; id < 10; id += 2) { /* windows without end */
			struct buf head = { 0 };

			mux_head(&head, MUX_WINDOW, 0, id, 64u << 20);
			link_plain(link, buf_bytes(&head));
			buf_release(&head);
		}
		link_flush(link, 1000);
		up++;
	}
	printf(" peers=%lu deaf=%lu", peers, up);
	buf_release(&message);
}

/* Messages that are nearly 4 MiB and never come to their end: COUNT streams on PEERS connections.
 */
void evil_loris(struct crew *crew, char **words)
{
	unsigned long peers = evil_number(words, 0, 8), streams = evil_number(words, 1, 16);
	unsigned long held = 0, refused = 0;
	static const struct manners manners = { .protocols = evil_protocols };
	struct buf part = { 0 };

	buf_add_uvarint(&part, (4u << 20) - 1);
	memset(buf_reserve(&part, 4000000), 0, 4000000);
	part.len += 4000000;
	for (unsigned long i = 0; i < peers; i++) {
		struct link *link = crew_dial(crew, &manners);

		for (unsigned long j = 0; link && j < streams && !link->dead; j++) {
			bool ok = tube_send(tube_open(link, BITSWAP_PROTOCOL), buf_bytes(&part));

			held += ok;
			refused += !ok;
		}
	}
	printf(" held=%lu refused=%lu", held, refused);
	buf_release(&part);
}

/* ---- peers that are asked ---- */

enum mood { LIAR, TEASE, DIER };

struct asked {
	struct crew *crew;
	enum mood mood;
	struct tube *reply;
	struct buf presences, blocks;
	bool dies;
};

static void on_entry(void *ctx, const struct bitswap_entry *entry)
{
	struct asked *asked = ctx;
	uint8_t wrong[5000];

	if (entry->cancel)
		return;
	asked->crew->asked++;
	if (entry->have || asked->mood == TEASE) {
		bitswap_msg_add_presence(&asked->presences, &entry->cid, true);
		return;
	}
	memset(wrong, 'x', sizeof(wrong));
	bitswap_msg_add_block(&asked->blocks, BITSWAP_1_2, &entry->cid,
			      bytes_of(wrong, sizeof(wrong)));
	asked->dies |= asked->mood == DIER;
}

static int on_wantlist(void *ctx, struct buf *message)
{
	static const struct bitswap_visitor visitor = { .on_entry = on_entry };
	struct bitswap_summary summary;

	if (bitswap_msg_check(buf_bytes(message), &summary) == 0)
		bitswap_msg_walk(buf_bytes(message), &visitor, ctx);
	return 0;
}

static void answer(struct asked *asked, struct link *link)
{
	struct buf out = { 0 };

	bitswap_msg_add_response(&out, BITSWAP_1_2, buf_bytes(&asked->presences), 0,
				 asked->blocks.len + (asked->dies ? 100000 : 0));
	buf_add(&out, buf_bytes(&asked->blocks));
	if (!asked->reply)
		asked->reply = tube_open(link, BITSWAP_PROTOCOL);
	tube_write(asked->reply, buf_bytes(&out));
	buf_release(&out);
	buf_clear(&asked->presences);
	buf_clear(&asked->blocks);
}

static void on_asked(void *ctx, struct tube *tube)
{
	struct asked *asked = ctx;
	struct frame_reader reader = { 0 };
	struct buf in = tube->in;

	if (strcmp(tube->protocol, BITSWAP_PROTOCOL) != 0 || tube->ours) {
		buf_clear(&tube->in);
		return;
	}
	tube->in = (struct buf){ 0 };
	/* A wantlist cut in two by the way is not worth the trouble: there will be others. */
	frame_reader_feed(&reader, buf_bytes(&in), BITSWAP_MESSAGE_MAX, on_wantlist, asked);
	frame_reader_release(&reader);
	buf_release(&in);
	if (asked->presences.len || asked->blocks.len)
		answer(asked, tube->link);
}

static void serve(struct crew *crew, enum mood mood, char **words)
{
	static struct asked asked[16];
	static struct manners manners[16];
	unsigned long peers = evil_number(words, 0, 2);

	for (unsigned long i = 0; i < peers && i < 16; i++) {
		asked[i].crew = crew;
		asked[i].mood = mood;
		manners[i] = (struct manners){ .protocols = evil_protocols,
					       .data = on_asked,
					       .ctx = &asked[i] };
		crew_dial(crew, &manners[i]);
	}
	for (int i = 0; i < 20; i++)
		crew_pump(crew, 10);
	printf(" peers=%lu", peers);
}

/* They wait to be asked, begin to answer, and are gone. */
static void die(struct crew *crew)
{
	list_for_each(link, &crew->links, struct link, node) {
		struct asked *asked = link->manners->ctx;

		if (!asked->dies || link->dead)
			continue;
		link_flush(link, 500);
		shutdown(link->fd, SHUT_RDWR);
		link->dead = true;
	}
}

void evil_liar(struct crew *crew, char **words)
{
	serve(crew, LIAR, words);
}

void evil_tease(struct crew *crew, char **words)
{
	serve(crew, TEASE, words);
}

void evil_dier(struct crew *crew, char **words)
{
	serve(crew, DIER, words);
	crew->tick = die;
}
