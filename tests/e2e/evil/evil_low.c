/* Harm below the protocols: sockets, Noise, multistream, yamux. */
#include "tests/e2e/evil/evil.h"

#include "net/wire/varint.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256
#define SOON_MS 20000

static int64_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static bool is_closed(int fd)
{
	uint8_t bytes[2048];
	ssize_t n;

	do
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (n > 0);
	return n == 0 || errno != EAGAIN;
}

/* ---- row 13: connections ---- */

/* Begins a connection and says nothing. The queue of the listener may be full: it does not wait. */
static void add_silent(struct crew *crew)
{
	int fd = socket(crew->target.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&crew->target.addr, sizeof(struct sockaddr_in)) != 0 &&
	    errno != EINPROGRESS)
		close(fd);
	else
		crew->fds[crew->fd_count++] = fd;
}

/* COUNT silent sockets, and first DRIPS that write a byte a second of a handshake, for SECONDS. */
void evil_halfopen(struct crew *crew, char **words)
{
	unsigned long count = evil_number(words, 0, 2000), drips = evil_number(words, 1, 8);
	int64_t end = seconds() + (int64_t)evil_number(words, 2, 20);
	unsigned long out = 0;
	struct buf hello = { 0 };

	crew->fds = xcalloc(count + drips, sizeof(int));
	for (unsigned long i = 0; i < drips; i++) {
		int fd = link_tcp(&crew->target);

		if (fd >= 0)
			crew->fds[crew->fd_count++] = fd;
	}
	drips = crew->fd_count;
	for (unsigned long i = 0; i < count; i++)
		add_silent(crew);
	lines_add(&hello, "/noise");
	buf_add_be16(&hello, 32);
	for (size_t at = 0; at < hello.len && seconds() < end && out < drips; at++) {
		out = 0;
		for (unsigned long i = 0; i < drips; i++) {
			send(crew->fds[i], hello.at + at, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
			out += is_closed(crew->fds[i]);
		}
		poll(NULL, 0, 1000);
	}
	printf(" sockets=%zu drips=%lu drips_out=%lu", crew->fd_count, drips, out);
	buf_release(&hello);
}

/* COUNT connections that are silent after their handshake: not even pings are answered. */
void evil_silent(struct crew *crew, char **words)
{
	unsigned long count = evil_number(words, 0, 500), up = 0;

	for (unsigned long i = 0; i < count; i++) {
		struct link *link = crew_dial(crew, NULL);

		if (!link)
			continue;
		link->deaf = true;
		up++;
	}
	printf(" up=%lu", up);
}

/* ---- streams ---- */

/* Frames made by add(out, id), COUNT of them, on as many connections as it takes. */
static void flood(struct crew *crew, unsigned long count, bool deaf,
		  void (*add)(struct buf *out, uint32_t id))
{
	unsigned long sent = 0, links = 0, thrown_out = 0;
	struct buf batch = { 0 };

	while (sent < count && links < count / 100 + 2) {
		struct link *link = link_dial(&crew->target, NULL);

		if (!link)
			break;
		link->deaf = deaf;
		links++;
		while (sent < count && !link->dead) {
			buf_clear(&batch);
			for (unsigned i = 0; i < BATCH && sent < count; i++, sent++) {
				add(&batch, link->next_id);
				link->next_id += 2;
			}
			link_plain(link, buf_bytes(&batch));
			if (!link_flush(link, 5000))
				break;
			link_pump(link, 0);
		}
		thrown_out += link_dies(link, sent < count ? 0 : 1000);
		if (!link->dead && sent >= count)
			list_add_tail(&crew->links, &link->node);
		else
			link_free(link);
	}
	printf(" sent=%lu links=%lu thrown_out=%lu", sent, links, thrown_out);
	buf_release(&batch);
}

static void add_stream(struct buf *out, uint32_t id)
{
	mux_head(out, MUX_WINDOW, MUX_SYN, id, 0);
}

void evil_streams(struct crew *crew, char **words)
{
	flood(crew, evil_number(words, 0, 100000), false, add_stream);
}

static void add_churn(struct buf *out, uint32_t id)
{
	mux_head(out, MUX_WINDOW, MUX_SYN, id, 0);
	mux_head(out, MUX_WINDOW, MUX_RST, id, 0);
}

void evil_churn(struct crew *crew, char **words)
{
	flood(crew, evil_number(words, 0, 100000), false, add_churn);
}

/* Opened and ended: it is we who reset what was never negotiated. */
static void add_half(struct buf *out, uint32_t id)
{
	mux_head(out, MUX_WINDOW, MUX_SYN, id, 0);
	mux_head(out, MUX_WINDOW, MUX_FIN, id, 0);
}

void evil_halves(struct crew *crew, char **words)
{
	flood(crew, evil_number(words, 0, 100000), false, add_half);
}

static void add_ping(struct buf *out, uint32_t id)
{
	mux_head(out, MUX_PING, MUX_SYN, 0, id);
}

/* Of a peer that never reads the answers. */
void evil_pings(struct crew *crew, char **words)
{
	flood(crew, evil_number(words, 0, 100000), true, add_ping);
}

/* ---- rows 18, 19: one wrong frame ---- */

static void expect_death(struct crew *crew, const struct buf *plain)
{
	struct link *link = link_dial(&crew->target, NULL);

	if (link)
		link_plain(link, buf_bytes(plain));
	printf(" closed=%d", link && link_dies(link, SOON_MS));
	link_free(link);
}

void evil_window(struct crew *crew, char **words)
{
	struct buf plain = { 0 };

	(void)words;
	mux_head(&plain, MUX_WINDOW, MUX_SYN, 1, 0);
	mux_head(&plain, MUX_WINDOW, 0, 1, UINT32_MAX);
	mux_head(&plain, MUX_WINDOW, 0, 1, UINT32_MAX);
	expect_death(crew, &plain);
	buf_release(&plain);
}

void evil_bigsyn(struct crew *crew, char **words)
{
	struct buf plain = { 0 };

	(void)words;
	mux_head(&plain, MUX_DATA, MUX_SYN, 1, 256 * 1024 + 1);
	memset(buf_reserve(&plain, 256 * 1024 + 1), 7, 256 * 1024 + 1);
	plain.len += 256 * 1024 + 1;
	expect_death(crew, &plain);
	buf_release(&plain);
}

/* ---- rows 21, 22: Noise ---- */

/* COUNT connections, each with one wrong bit in one frame. */
void evil_flip(struct crew *crew, char **words)
{
	unsigned long count = evil_number(words, 0, 50), closed = 0;
	struct random random = random_system();

	for (unsigned long i = 0; i < count; i++) {
		struct link *link = link_dial(&crew->target, NULL);

		if (!link)
			break;
		size_t at = link->tx.len;
		struct buf plain = { 0 };

		mux_head(&plain, MUX_PING, MUX_SYN, 0, 77);
		link_plain(link, buf_bytes(&plain));
		/* Not in the length: a longer frame would only be waited for. */
		at += 2 + random_below(&random, link->tx.len - at - 2);
		link->tx.at[at] ^= (uint8_t)(1u << random_below(&random, 8));
		closed += link_dies(link, SOON_MS);
		link_free(link);
		buf_release(&plain);
	}
	printf(" flipped=%lu closed=%lu", count, closed);
}

static void frame_of(struct buf *out, uint16_t len)
{
	buf_add_be16(out, len);
	memset(buf_reserve(out, len), 0x5a, len);
	out->len += len;
}

/* In the handshake: message 1 of this length. */
static bool handshake_dies(struct crew *crew, uint16_t len)
{
	struct link *link = xnew(struct link);
	struct buf hello = { 0 };

	list_init(&link->node);
	list_init(&link->tubes);
	link->fd = link_tcp(&crew->target);
	lines_add(&hello, "/noise");
	frame_of(&hello, len);
	frame_of(&hello, len);
	bool sent = link->fd >= 0 &&
		    send(link->fd, hello.at, hello.len, MSG_NOSIGNAL) == (ssize_t)hello.len;
	int64_t end = seconds() + SOON_MS / 1000;

	while (sent && !is_closed(link->fd) && seconds() < end)
		poll(NULL, 0, 10);
	sent = sent && seconds() < end;
	link_free(link);
	buf_release(&hello);
	return sent;
}

void evil_lengths(struct crew *crew, char **words)
{
	static const uint16_t lengths[] = { 0, 1, 15, 16, 31, 33, 65535 };
	unsigned closed = 0;
	struct buf frame = { 0 };
	size_t count = sizeof(lengths) / sizeof(*lengths);

	(void)words;
	for (size_t i = 0; i < count; i++) {
		struct link *link = link_dial(&crew->target, NULL);

		buf_clear(&frame);
		frame_of(&frame, lengths[i]);
		if (link) {
			link_raw(link, buf_bytes(&frame));
			closed += link_dies(link, SOON_MS);
		}
		link_free(link);
		closed += handshake_dies(crew, lengths[i]);
	}
	printf(" cases=%zu closed=%u", 2 * count, closed);
	buf_release(&frame);
}

/* ---- row 23: multistream ---- */

static void add_names(struct buf *out, unsigned kind)
{
	char name[32];

	line_add(out, "/multistream/1.0.0");
	for (unsigned i = 0; i < 20000 && kind < 2; i++) {
		snprintf(name, sizeof(name), "/unknown/%u", i);
		line_add(out, kind == 0 ? name : "na");
	}
	if (kind < 2)
		return;
	buf_add_uvarint(out, kind == 2 ? 1u << 20 : (1ull << 62));
	memset(buf_reserve(out, 4096), 'x', 4096);
	out->len += 4096;
}

/* Unknown protocols, "na" without end, huge lines; on the socket and on a stream. */
void evil_names(struct crew *crew, char **words)
{
	unsigned closed = 0;

	(void)words;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct buf lines = { 0 };
		int fd = link_tcp(&crew->target);
		int64_t end = seconds() + SOON_MS / 1000;

		add_names(&lines, kind);
		if (fd >= 0) {
			send(fd, lines.at, lines.len, MSG_NOSIGNAL | MSG_DONTWAIT);
			while (!is_closed(fd) && seconds() < end)
				poll(NULL, 0, 10);
			closed += seconds() < end;
			close(fd);
		}
		struct link *link = link_dial(&crew->target, NULL);

		if (link) {
			struct tube *tube = tube_open(link, "/evil/1.0.0");

			tube_send(tube, buf_bytes(&lines));
			closed += tube_dies(tube, SOON_MS);
		}
		link_free(link);
		buf_release(&lines);
	}
	printf(" cases=8 closed=%u", closed);
}
