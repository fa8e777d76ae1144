#include "tests/e2e/evil/link.h"

#include "net/identify/identify_msg.h"
#include "net/wire/varint.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define YAMUX "/yamux/1.0.0"
#define HEAD 12
#define WINDOW (256 * 1024)
#define HANDSHAKE_MS 15000
#define SEND_MS 60000
#define READ_MAX (256 * 1024)

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the socket ---- */

int link_tcp(const struct target *target)
{
	int fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&target->addr, sizeof(struct sockaddr_in)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void socket_write(struct link *link)
{
	while (!link->dead && link->tx_at < link->tx.len) {
		ssize_t n = send(link->fd, link->tx.at + link->tx_at, link->tx.len - link->tx_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			link->dead = true;
		else
			link->tx_at += (size_t)n;
	}
	link->tx_at = 0;
	buf_clear(&link->tx);
}

static void socket_read(struct link *link)
{
	uint8_t *at = buf_reserve(&link->raw, READ_MAX);
	ssize_t n = recv(link->fd, at, READ_MAX, MSG_DONTWAIT);

	if (n > 0)
		link->raw.len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		link->dead = true;
}

static void wait_socket(struct link *link, int wait_ms)
{
	struct pollfd poll_fd = { .fd = link->fd };

	if (link->tx.len)
		poll_fd.events |= POLLOUT;
	if (!link->deaf)
		poll_fd.events |= POLLIN;
	if (poll(&poll_fd, 1, wait_ms) <= 0)
		return;
	if (poll_fd.revents & POLLOUT)
		socket_write(link);
	if (poll_fd.revents & POLLIN)
		socket_read(link);
	else if (poll_fd.revents & (POLLERR | POLLHUP))
		link->dead = true;
}

void link_raw(struct link *link, struct bytes bytes)
{
	buf_add(&link->tx, bytes);
}

bool link_flush(struct link *link, int ms)
{
	int64_t end = now_ms() + ms;

	while (!link->dead && link->tx.len && now_ms() < end)
		link_pump(link, 20);
	return !link->dead && !link->tx.len;
}

bool link_dies(struct link *link, int ms)
{
	int64_t end = now_ms() + ms;

	while (!link->dead && now_ms() < end)
		link_pump(link, 20);
	return link->dead;
}

/* ---- handshake ---- */

void line_add(struct buf *out, const char *text)
{
	buf_add_uvarint(out, strlen(text) + 1);
	buf_add_str(out, text);
	buf_add_u8(out, '\n');
}

void lines_add(struct buf *out, const char *protocol)
{
	line_add(out, "/multistream/1.0.0");
	line_add(out, protocol);
}

/* A whole line at the front of in, without its newline; false: not there yet. */
static bool line_take(struct buf *in, char *text, size_t size)
{
	uint64_t len;
	ssize_t n = uvarint_decode(&len, buf_bytes(in));

	if (n <= 0 || len > in->len - (size_t)n || len == 0)
		return false;
	size_t keep = len - 1 < size - 1 ? len - 1 : size - 1;

	memcpy(text, in->at + n, keep);
	text[keep] = '\0';
	buf_consume(in, (size_t)n + len);
	return true;
}

/* Raw lines, before there is Noise. */
static bool agree(struct link *link, const char *protocol, int64_t end)
{
	char text[64] = "";
	struct buf out = { 0 };

	lines_add(&out, protocol);
	link_raw(link, buf_bytes(&out));
	buf_release(&out);
	while (!link->dead && strcmp(text, protocol) != 0 && now_ms() < end)
		if (!line_take(&link->raw, text, sizeof(text)))
			wait_socket(link, 100);
	return !link->dead && strcmp(text, protocol) == 0;
}

static bool secure(struct link *link, const struct target *target, int64_t end)
{
	static const char *const muxers[] = { YAMUX };
	struct buf out = { 0 };
	int rc = 0;

	link->noise = noise_new(true, link->identity, &target->peer, muxers, 1, &link->random);
	noise_start(link->noise, &link->tx);
	while (!link->dead && rc == 0 && now_ms() < end) {
		size_t used = 0;

		wait_socket(link, 100);
		rc = noise_handshake(link->noise, buf_bytes(&link->raw), &used, &out);
		buf_consume(&link->raw, used);
		link_raw(link, buf_bytes(&out));
		buf_clear(&out);
	}
	buf_release(&out);
	return rc == 1 && noise_muxer(link->noise);
}

struct link *link_dial(const struct target *target, const struct manners *manners)
{
	struct link *link = xnew(struct link);
	int64_t end = now_ms() + HANDSHAKE_MS;

	list_init(&link->node);
	list_init(&link->tubes);
	link->manners = manners;
	link->identity = identity_new();
	link->random = random_system();
	link->next_id = 1;
	peer_id_of_identity(&link->self, link->identity);
	link->fd = link_tcp(target);
	if (link->fd < 0 || !agree(link, "/noise", end) || !secure(link, target, end)) {
		link_free(link);
		return NULL;
	}
	link_flush(link, HANDSHAKE_MS);
	return link;
}

void link_free(struct link *link)
{
	if (!link)
		return;
	list_remove(&link->node);
	list_for_each_safe(tube, &link->tubes, struct tube, node) {
		buf_release(&tube->in);
		buf_release(&tube->out);
		free(tube);
	}
	if (link->fd >= 0)
		close(link->fd);
	noise_free(link->noise);
	identity_free(link->identity);
	buf_release(&link->raw);
	buf_release(&link->plain);
	buf_release(&link->tx);
	free(link);
}

/* ---- yamux ---- */

void mux_head(struct buf *out, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
	buf_add_u8(out, 0);
	buf_add_u8(out, (uint8_t)type);
	buf_add_be16(out, (uint16_t)flags);
	buf_add_be32(out, id);
	buf_add_be32(out, length);
}

void link_plain(struct link *link, struct bytes plain)
{
	if (!link->dead)
		noise_seal(link->noise, &plain, 1, &link->tx);
}

static void send_frame(struct link *link, unsigned type, unsigned flags, uint32_t id,
		       uint32_t length, struct bytes body)
{
	struct buf plain = { 0 };

	mux_head(&plain, type, flags, id, length);
	buf_add(&plain, body);
	link_plain(link, buf_bytes(&plain));
	buf_release(&plain);
}

void link_frame(struct link *link, unsigned type, unsigned flags, uint32_t id, struct bytes body)
{
	send_frame(link, type, flags, id, (uint32_t)body.len, body);
}

static struct tube *tube_new(struct link *link, uint32_t id, bool ours)
{
	struct tube *tube = xnew(struct tube);

	tube->link = link;
	tube->id = id;
	tube->ours = ours;
	tube->window = WINDOW;
	list_add_tail(&link->tubes, &tube->node);
	return tube;
}

static struct tube *tube_find(struct link *link, uint32_t id)
{
	list_for_each(tube, &link->tubes, struct tube, node)
		if (tube->id == id)
			return tube;
	return NULL;
}

struct tube *tube_open(struct link *link, const char *protocol)
{
	struct tube *tube = tube_new(link, link->next_id, true);
	struct buf out = { 0 };

	link->next_id += 2;
	lines_add(&out, protocol);
	tube->window -= (int64_t)out.len;
	link_frame(link, MUX_DATA, MUX_SYN, tube->id, buf_bytes(&out));
	buf_release(&out);
	snprintf(tube->protocol, sizeof(tube->protocol), "%s", protocol);
	return tube;
}

void tube_write(struct tube *tube, struct bytes data)
{
	buf_add(&tube->out, data);
}

void tube_end(struct tube *tube)
{
	tube->end_due = true;
}

static void tube_drain(struct tube *tube)
{
	struct link *link = tube->link;

	while (tube->out_at < tube->out.len && tube->window > 0 && link->tx.len < READ_MAX) {
		size_t len = tube->out.len - tube->out_at;

		len = len < 32768 ? len : 32768;
		if (len > (size_t)tube->window)
			len = (size_t)tube->window;
		tube->window -= (int64_t)len;
		link_frame(link, MUX_DATA, 0, tube->id, bytes_of(tube->out.at + tube->out_at, len));
		tube->out_at += len;
	}
	if (tube->out_at < tube->out.len && !tube->reset)
		return;
	buf_clear(&tube->out);
	tube->out_at = 0;
	if (tube->end_due)
		link_frame(link, MUX_DATA, MUX_FIN, tube->id, bytes_of(NULL, 0));
	tube->end_due = false;
}

bool tube_send(struct tube *tube, struct bytes data)
{
	struct link *link = tube->link;
	int64_t end = now_ms() + SEND_MS;

	tube_write(tube, data);
	tube_drain(tube);
	while (tube->out.len && !tube->reset && !link->dead && now_ms() < end)
		link_pump(link, 20);
	return !tube->out.len && !tube->reset && !link->dead;
}

bool tube_dies(struct tube *tube, int ms)
{
	int64_t end = now_ms() + ms;

	while (!tube->reset && !tube->ended && !tube->link->dead && now_ms() < end)
		link_pump(tube->link, 20);
	return tube->reset || tube->ended || tube->link->dead;
}

/* ---- what the other side says ---- */

static void answer_identify(struct tube *tube)
{
	struct link *link = tube->link;
	const struct manners *manners = link->manners;
	struct multiaddr addr;
	struct buf out = { 0 };
	struct identify_self self = { .identity = link->identity,
				      .addrs = &addr,
				      .addr_count = 1,
				      .protocols = manners->protocols,
				      .observed = &addr,
				      .protocol_version = "ipfs/0.1.0",
				      .agent = "evil",
				      .seq = (uint64_t)now_ms() };

	while (manners->protocols[self.protocol_count])
		self.protocol_count++;
	multiaddr_from_text(&addr, "/ip4/127.0.0.1/tcp/4");
	identify_msg_encode(&self, &out);
	tube_write(tube, buf_bytes(&out));
	tube_end(tube);
	buf_release(&out);
}

static bool speaks(const struct link *link, const char *protocol)
{
	for (size_t i = 0; link->manners && link->manners->protocols[i]; i++)
		if (strcmp(link->manners->protocols[i], protocol) == 0)
			return true;
	return link->manners && strcmp(protocol, ID_PROTOCOL) == 0;
}

/* The listener's half of multistream, for a stream of theirs. */
static void listen_lines(struct tube *tube)
{
	char text[64];
	struct buf out = { 0 };

	while (!tube->settled && line_take(&tube->in, text, sizeof(text))) {
		bool header = strcmp(text, "/multistream/1.0.0") == 0;

		tube->settled = !header && speaks(tube->link, text);
		line_add(&out, header || tube->settled ? text : "na");
	}
	if (out.len)
		tube_write(tube, buf_bytes(&out));
	buf_release(&out);
	if (!tube->settled)
		return;
	snprintf(tube->protocol, sizeof(tube->protocol), "%s", text);
	if (strcmp(text, ID_PROTOCOL) != 0)
		return;
	if (tube->link->manners->identify)
		tube->link->manners->identify(tube->link->manners->ctx, tube);
	else
		answer_identify(tube);
}

/* The echo of a proposal of ours. */
static void hear_lines(struct tube *tube)
{
	char text[64];

	while (!tube->settled && line_take(&tube->in, text, sizeof(text))) {
		tube->settled = strcmp(text, tube->protocol) == 0;
		if (strcmp(text, "na") == 0)
			tube->link->refusals++;
	}
}

static void on_body(struct tube *tube, struct bytes body)
{
	struct link *link = tube->link;
	const struct manners *manners = link->manners;

	buf_add(&tube->in, body);
	if (body.len && !link->stingy)
		send_frame(link, MUX_WINDOW, 0, tube->id, (uint32_t)body.len, bytes_of(NULL, 0));
	if (!tube->settled && tube->ours)
		hear_lines(tube);
	else if (!tube->settled)
		listen_lines(tube);
	if (!tube->settled)
		return;
	if (manners && manners->data)
		manners->data(manners->ctx, tube);
	else
		buf_clear(&tube->in);
}

static void on_frame(struct link *link, const uint8_t *head, struct bytes body)
{
	struct cursor c = cursor_over(bytes_of(head + 1, HEAD - 1));
	uint8_t type = cursor_u8(&c);
	uint16_t flags = cursor_be16(&c);
	uint32_t id = cursor_be32(&c), length = cursor_be32(&c);
	struct tube *tube = tube_find(link, id);

	if (type == MUX_PING && flags & MUX_SYN)
		send_frame(link, MUX_PING, MUX_ACK, 0, length, bytes_of(NULL, 0));
	if (type > MUX_WINDOW)
		return;
	if (flags & MUX_SYN && !tube) {
		tube = tube_new(link, id, false);
		send_frame(link, MUX_WINDOW, MUX_ACK, id, 0, bytes_of(NULL, 0));
	}
	if (flags & (MUX_RST | MUX_FIN))
		link->resets++;
	if (!tube)
		return;
	if (type == MUX_WINDOW && !(flags & MUX_RST))
		tube->window += length;
	tube->reset |= (flags & MUX_RST) != 0;
	tube->ended |= (flags & MUX_FIN) != 0;
	if (body.len)
		on_body(tube, body);
}

static void take_frames(struct link *link)
{
	size_t at = 0;

	while (link->plain.len - at >= HEAD) {
		const uint8_t *head = link->plain.at + at;
		struct cursor c = cursor_over(bytes_of(head + 8, 4));
		size_t len = head[1] == MUX_DATA ? cursor_be32(&c) : 0;

		if (link->plain.len - at - HEAD < len)
			break;
		at += HEAD + len;
		on_frame(link, head, bytes_of(head + HEAD, len));
	}
	buf_consume(&link->plain, at);
}

bool link_pump(struct link *link, int wait_ms)
{
	size_t at = 0;

	if (link->dead)
		return false;
	wait_socket(link, wait_ms);
	while (at < link->raw.len) {
		struct bytes plain;
		ssize_t n = noise_open(link->noise, link->raw.at + at, link->raw.len - at, &plain);

		if (n == 0)
			break;
		if (n < 0) {
			link->dead = true;
			break;
		}
		at += (size_t)n;
		buf_add(&link->plain, plain);
	}
	buf_consume(&link->raw, at);
	take_frames(link);
	list_for_each(tube, &link->tubes, struct tube, node)
		tube_drain(tube);
	return !link->dead;
}
