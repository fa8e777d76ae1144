/* Harm in identify, Kademlia, and bytes without sense at every layer. */
#include "tests/e2e/evil/evil.h"

#include "net/identify/identify_msg.h"
#include "net/wire/frame.h"
#include "net/wire/pb.h"
#include "net/wire/varint.h"
#include "routing/kad/msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOON_MS 20000
#define AHEAD 128 /* streams under way before their ends are waited for */

/* ---- rows 14, 17: identify ---- */

/* What an identify stream of ours says, prepared once: framed messages. */
struct speech {
	struct buf framed;
	unsigned long records; /* in it */
};

static void say_speech(void *ctx, struct tube *tube)
{
	const struct speech *speech = ctx;

	tube_write(tube, buf_bytes(&speech->framed));
	tube_end(tube);
}

/* Signed by a stranger, a stranger's signed by himself, and one with a wrong bit. */
static void forge_one(struct buf *out, unsigned kind)
{
	struct identity *stranger = identity_new();
	struct multiaddr addr;
	struct buf record = { 0 };

	multiaddr_from_text(&addr, "/ip4/127.0.0.1/tcp/9");
	identify_record_seal(&record, stranger, UINT64_MAX / 2, &addr, 1);
	if (kind % 2)
		record.at[record.len - 1 - kind % 60] ^= 1;
	pb_put_bytes(out, 8, buf_bytes(&record));
	buf_release(&record);
	identity_free(stranger);
}

static void make_forgeries(struct speech *speech)
{
	struct buf message = { 0 };

	for (unsigned i = 0; i < IDENTIFY_MESSAGES_MAX; i++) {
		buf_clear(&message);
		while (message.len < IDENTIFY_MESSAGE_MAX - 400) {
			forge_one(&message, (unsigned)speech->records);
			speech->records++;
		}
		frame_add(&speech->framed, buf_bytes(&message));
	}
	buf_release(&message);
}

/* Thousands of protocols and addresses. */
static void make_lists(struct speech *speech)
{
	struct buf message = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < IDENTIFY_MESSAGES_MAX; i++) {
		buf_clear(&message);
		while (message.len < IDENTIFY_MESSAGE_MAX - 100) {
			char text[64];
			struct multiaddr addr;

			snprintf(text, sizeof(text), "/p/%u", ++n);
			pb_put_str(&message, 3, text);
			snprintf(text, sizeof(text), "/ip4/127.%u.%u.1/tcp/4001", n >> 8 & 255,
				 n & 255);
			multiaddr_from_text(&addr, text);
			pb_put_bytes(&message, 2, multiaddr_bytes(&addr));
		}
		frame_add(&speech->framed, buf_bytes(&message));
	}
	speech->records = n;
	buf_release(&message);
}

/* Says it to the one that asks, then pushes it until nothing more is taken, on many connections. */
static void preach(struct crew *crew, const struct speech *speech, unsigned long count)
{
	struct manners manners = { .protocols = evil_protocols,
				   .identify = say_speech,
				   .ctx = (void *)speech };
	unsigned long sent = 0, links = 0, refused = 0, taken = 0;
	char text[PEER_ID_TEXT_MAX] = "";

	while (sent < count) {
		struct link *link = link_dial(&crew->target, &manners);

		if (!link)
			break;
		links++;
		sent += speech->records;
		peer_id_text(&link->self, text);
		for (unsigned push = 0; push < 12 && !link->dead && sent < count; push++) {
			struct tube *tube = tube_open(link, PUSH_PROTOCOL);

			tube_send(tube, buf_bytes(&speech->framed));
			tube_end(tube);
			tube_dies(tube, 5000);
			refused += tube->reset;
			taken += !tube->reset;
			sent += speech->records;
		}
		if (sent >= count) {
			link->manners = NULL;
			list_add_tail(&crew->links, &link->node);
		} else {
			link_free(link);
		}
	}
	printf(" said=%lu links=%lu pushes=%lu pushes_refused=%lu peer=%s", sent, links, taken,
	       refused, text);
}

void evil_forge(struct crew *crew, char **words)
{
	struct speech speech = { 0 };

	make_forgeries(&speech);
	preach(crew, &speech, evil_number(words, 0, 1000000));
	buf_release(&speech.framed);
}

void evil_identify(struct crew *crew, char **words)
{
	struct speech speech = { 0 };

	make_lists(&speech);
	preach(crew, &speech, evil_number(words, 0, 300000));
	buf_release(&speech.framed);
}

/* ---- rows 24, 25: Kademlia records ---- */

typedef void request_fn(struct link *link, struct buf *request, unsigned long at);

/* Each request on a stream of its own, for a refusal ends the stream. Returns how many were sent
 * before the link was ended by the other side, or count. */
static unsigned long ask_link(struct link *link, unsigned long from, unsigned long count,
			      request_fn *make)
{
	struct buf request = { 0 }, framed = { 0 };
	unsigned long sent = 0, waits = 0;

	while (sent < count && !link->dead && waits < 2000) {
		if (sent > link->resets + AHEAD) {
			unsigned long before = link->resets;

			link_pump(link, 10);
			waits = link->resets == before ? waits + 1 : 0;
			continue;
		}
		buf_clear(&request);
		buf_clear(&framed);
		lines_add(&framed, KAD_PROTOCOL);
		make(link, &request, from + sent);
		frame_add(&framed, buf_bytes(&request));
		link_frame(link, MUX_DATA, MUX_SYN | MUX_FIN, link->next_id, buf_bytes(&framed));
		link->next_id += 2;
		sent++;
		if (sent % 16 == 0)
			link_pump(link, 0);
	}
	link_flush(link, SOON_MS);
	for (int i = 0; i < 200 && link->resets < sent && !link->dead; i++)
		link_pump(link, 10);
	buf_release(&request);
	buf_release(&framed);
	return sent;
}

/* Who is refused too often is thrown out, and comes again as somebody else. */
static void ask_often(struct crew *crew, unsigned long count, request_fn *make)
{
	unsigned long sent = 0, ended = 0, links = 0;

	while (sent < count) {
		struct link *link = link_dial(&crew->target, NULL);

		if (!link)
			break;
		links++;
		sent += ask_link(link, sent, count - sent, make);
		ended += link->resets;
		if (link->dead) {
			link_free(link);
		} else {
			list_add_tail(&crew->links, &link->node);
			break;
		}
	}
	printf(" sent=%lu ended=%lu links=%lu", sent, ended, links);
}

static void make_put(struct link *link, struct buf *request, unsigned long at)
{
	uint8_t key = (uint8_t)at, value[1000] = { 0 };
	struct kad_record record = { .key = bytes_of(&key, 1), .value = bytes_of(value, 1000) };

	(void)link;
	kad_msg_begin(request, KAD_PUT_VALUE, bytes_of(&key, 1));
	kad_msg_record(request, &record);
	kad_msg_end(request);
}

void evil_puts(struct crew *crew, char **words)
{
	ask_often(crew, evil_number(words, 0, 100000), make_put);
}

/* For itself, and now and then in the name of somebody else. */
static void make_provide(struct link *link, struct buf *request, unsigned long at)
{
	uint8_t key[34] = { 0x12, 0x20 };
	struct peer_id who = link->self;
	struct multiaddr addr;

	memcpy(key + 2, &at, sizeof(at));
	if (at % 256 == 0)
		who.bytes[who.len - 1] ^= 0x55;
	multiaddr_from_text(&addr, "/ip4/127.0.0.1/tcp/9");
	kad_msg_begin(request, KAD_ADD_PROVIDER, bytes_of(key, sizeof(key)));
	kad_msg_peer(request, KAD_PROVIDERS, &who, &addr, 1, KAD_CONNECTED, KAD_OWN_MAX);
	kad_msg_end(request);
}

void evil_provides(struct crew *crew, char **words)
{
	ask_often(crew, evil_number(words, 0, 100000), make_provide);
}

/* COUNT small questions at once, on 32 streams, whose long answers are never read. */
void evil_kadflood(struct crew *crew, char **words)
{
	unsigned long count = evil_number(words, 0, 200000) / 32, sent = 0;
	struct link *link = crew_dial(crew, NULL);
	struct buf request = { 0 }, framed = { 0 };
	uint8_t key[34] = { 0x12, 0x20 };

	if (!link)
		return;
	/* What the answers are long of: one provider with many long addresses. */
	struct multiaddr addrs[16];

	for (unsigned i = 0; i < 16; i++) {
		char text[300];

		snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u/tls/sni/%0200u", 1000 + i, i);
		multiaddr_from_text(&addrs[i], text);
	}
	kad_msg_begin(&request, KAD_ADD_PROVIDER, bytes_of(key, sizeof(key)));
	kad_msg_peer(&request, KAD_PROVIDERS, &link->self, addrs, 16, KAD_CONNECTED, KAD_OWN_MAX);
	kad_msg_end(&request);
	frame_add(&framed, buf_bytes(&request));
	tube_send(tube_open(link, KAD_PROTOCOL), buf_bytes(&framed));
	for (int i = 0; i < 50; i++)
		link_pump(link, 10);
	buf_clear(&request);
	buf_clear(&framed);
	kad_msg_begin(&request, KAD_GET_PROVIDERS, bytes_of(key, sizeof(key)));
	kad_msg_end(&request);
	while (framed.len < 200 * 1024 && sent < count) {
		frame_add(&framed, buf_bytes(&request));
		sent++;
	}
	link->stingy = true;
	for (int i = 0; i < 31 && !link->dead; i++)
		tube_send(tube_open(link, KAD_PROTOCOL), buf_bytes(&framed));
	for (int i = 0; i < 100; i++)
		link_pump(link, 10);
	printf(" questions=%lu reset=%lu alive=%d", sent * 31, link->resets, !link->dead);
	buf_release(&request);
	buf_release(&framed);
}

/* Answers every question with COUNT peers that are nobody. */
struct crowd {
	struct crew *crew;
	unsigned long count;
	struct buf framed;
};

static void crowd_answer(void *ctx, struct tube *tube)
{
	struct crowd *crowd = ctx;

	buf_clear(&tube->in);
	if (strcmp(tube->protocol, KAD_PROTOCOL) != 0)
		return;
	crowd->crew->asked++;
	tube_write(tube, buf_bytes(&crowd->framed));
}

void evil_kadlie(struct crew *crew, char **words)
{
	static const char *const protocols[] = { ID_PROTOCOL, KAD_PROTOCOL, NULL };
	static struct crowd crowd;
	static struct manners manners = { .protocols = protocols,
					  .data = crowd_answer,
					  .ctx = &crowd };
	struct buf answer = { 0 };
	struct multiaddr addr;

	crowd.crew = crew;
	crowd.count = evil_number(words, 0, 4000);
	kad_msg_begin(&answer, KAD_GET_PROVIDERS, bytes_of(NULL, 0));
	for (unsigned long i = 0; i < crowd.count; i++) {
		struct peer_id who = { .len = 34, .bytes = { 0x12, 0x20 } };
		char text[64];

		memcpy(who.bytes + 2, &i, sizeof(i));
		snprintf(text, sizeof(text), "/ip4/127.0.%lu.%lu/tcp/9", i >> 8 & 255, i & 255);
		multiaddr_from_text(&addr, text);
		kad_msg_peer(&answer, i % 2 ? KAD_PROVIDERS : KAD_CLOSER, &who, &addr, 1,
			     KAD_CONNECTED, KAD_RESPONSE_MAX);
	}
	kad_msg_end(&answer);
	frame_add(&crowd.framed, buf_bytes(&answer));
	buf_release(&answer);
	/* Two of them: one that is asked, and one to ask next. */
	crew_dial(crew, &manners);
	crew_dial(crew, &manners);
	for (int i = 0; i < 100; i++)
		crew_pump(crew, 10);
	printf(" peers=%lu bytes=%zu", crowd.count, crowd.framed.len);
}

/* ---- lengths that are no numbers ---- */

static const char *const listeners[] = { BITSWAP_PROTOCOL, KAD_PROTOCOL, PUSH_PROTOCOL };

/* Whether these bytes end a stream of that protocol. */
static bool kills(struct crew *crew, const char *protocol, struct bytes bytes)
{
	struct link *link = link_dial(&crew->target, NULL);
	bool dead = false;

	if (link) {
		struct tube *tube = tube_open(link, protocol);

		tube_send(tube, bytes);
		dead = tube_dies(tube, SOON_MS);
	}
	link_free(link);
	return dead;
}

/* In the prefix, in a field's tag, in a field's length. */
void evil_varints(struct crew *crew, char **words)
{
	unsigned cases = 0, refused = 0;
	uint8_t ones[16];

	(void)words;
	memset(ones, 0xff, sizeof(ones));
	for (size_t i = 0; i < sizeof(listeners) / sizeof(*listeners); i++)
		for (unsigned kind = 0; kind < 5; kind++) {
			struct buf body = { 0 }, bytes = { 0 };

			if (kind >= 2 && kind != 4) /* a tag first, or none */
				buf_add_u8(&body, 0x0a);
			if (kind == 4)
				buf_add_u8(&body, 0x0b); /* a group */
			buf_add(&body, bytes_of(ones, kind == 3 ? 8 : 11));
			buf_add_u8(&body, 0x7f);
			if (kind == 0)
				buf_add(&bytes, bytes_of(ones, 16));
			else
				frame_add(&bytes, buf_bytes(&body));
			cases++;
			/* identify judges a message when it is whole; so does nobody else later. */
			refused += kills(crew, listeners[i], buf_bytes(&bytes));
			buf_release(&body);
			buf_release(&bytes);
		}
	/* 4 MiB and one byte; over-long zero. */
	for (size_t i = 0; i < sizeof(listeners) / sizeof(*listeners); i++) {
		struct buf bytes = { 0 };

		buf_add_uvarint(&bytes, (4u << 20) + 1);
		refused += kills(crew, listeners[i], buf_bytes(&bytes));
		buf_clear(&bytes);
		buf_add(&bytes, bytes_of("\x80\x00", 2));
		refused += kills(crew, listeners[i], buf_bytes(&bytes));
		cases += 2;
		buf_release(&bytes);
	}
	printf(" cases=%u refused=%u", cases, refused);
}

/* ---- noise, in the other sense ---- */

enum {
	ON_SOCKET,
	ON_NOISE,
	IN_NOISE,
	ON_YAMUX,
	ON_STREAM,
	IN_BITSWAP,
	IN_KAD,
	IN_PUSH,
	IN_PING,
	LAYERS
};

static void babble(struct crew *crew, unsigned layer, struct bytes bytes)
{
	static const char *const protocol[LAYERS] = { [IN_BITSWAP] = BITSWAP_PROTOCOL,
						      [IN_KAD] = KAD_PROTOCOL,
						      [IN_PUSH] = PUSH_PROTOCOL,
						      [IN_PING] = PING_PROTOCOL };
	struct buf hello = { 0 };
	struct link *link;

	if (layer <= ON_NOISE) {
		int fd = link_tcp(&crew->target);

		if (layer == ON_NOISE)
			lines_add(&hello, "/noise");
		buf_add(&hello, bytes);
		if (fd >= 0 && write(fd, hello.at, hello.len) >= 0)
			close(fd);
		buf_release(&hello);
		return;
	}
	link = link_dial(&crew->target, NULL);
	if (!link)
		return;
	if (layer == IN_NOISE)
		link_raw(link, bytes);
	else if (layer == ON_YAMUX)
		link_plain(link, bytes);
	else if (layer == ON_STREAM)
		link_frame(link, MUX_DATA, MUX_SYN, 1, bytes);
	else
		tube_write(tube_open(link, protocol[layer]), bytes);
	link_flush(link, 2000);
	link_pump(link, 5);
	link_pump(link, 0);
	link_free(link);
}

void evil_garbage(struct crew *crew, char **words)
{
	unsigned long count = evil_number(words, 0, 1000);
	struct random random = random_system();
	uint8_t bytes[8192];

	for (unsigned long i = 0; i < count; i++) {
		size_t len = 1 + random_below(&random, i % 3 ? 200 : sizeof(bytes));

		random_fill(&random, bytes, len);
		if (i % 5 == 0 && len > 4) { /* nearly a frame */
			bytes[0] = (uint8_t)(len - 1 < 127 ? len - 1 : 127);
			bytes[1] = 0x0a;
		}
		babble(crew, i % LAYERS, bytes_of(bytes, len));
	}
	printf(" tries=%lu", count);
}
