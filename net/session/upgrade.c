#include "net/session/upgrade.h"

#include "net/base/alloc.h"
#include "net/session/multistream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOISE_PROTOCOL "/noise"
#define YAMUX_PROTOCOL "/yamux/1.0.0"
#define FRAME_PREFIX 2

/*
 * SECURITY --/noise settled--> HANDSHAKE --muxer agreed on--> DONE
 *                                  \--no early muxer--> MUXER --settled--> DONE
 * Every state ends in upgrade_end(err); the timer may cut in anywhere.
 */
enum upgrade_state { UPGRADE_SECURITY, UPGRADE_HANDSHAKE, UPGRADE_MUXER, UPGRADE_DONE };

struct upgrade {
	struct loop *loop;
	struct secured secured;
	enum upgrade_state state;
	struct multistream *ms;
	const struct identity *identity;
	struct peer_id expected;
	struct random *random;
	struct timer timer;
	upgrade_done_fn *done;
	void *ctx;
};

static const char *const security_protocols[] = { NOISE_PROTOCOL };
static const char *const muxer_protocols[] = { YAMUX_PROTOCOL };

/* ---- secured ---- */

void secured_release(struct secured *secured)
{
	noise_free(secured->noise);
	conn_close(secured->conn);
	buf_release(&secured->raw);
	buf_release(&secured->plain);
	*secured = (struct secured){ 0 };
}

int secured_seal(struct secured *secured, const struct bytes *parts, size_t count, struct buf *out)
{
	if (secured->noise)
		return noise_seal(secured->noise, parts, count, out);
	for (size_t i = 0; i < count; i++)
		buf_add(out, parts[i]);
	return 0;
}

/* Whole frames of [at, at+len), in place. Bytes used, or the error. */
static ssize_t open_frames(struct secured *secured, uint8_t *at, size_t len,
			   secured_plain_fn *plain, void *ctx)
{
	size_t used = 0;

	while (used < len) {
		struct bytes text;
		ssize_t n = noise_open(secured->noise, at + used, len - used, &text);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		used += (size_t)n;
		int err = text.len > 0 ? plain(ctx, text) : 0;
		if (err)
			return err;
	}
	return (ssize_t)used;
}

/* Bytes that the frame begun in raw still lacks; its prefix may be cut too. */
static size_t frame_lacks(const struct buf *raw)
{
	size_t whole = FRAME_PREFIX;

	if (raw->len >= FRAME_PREFIX)
		whole += (size_t)raw->at[0] << 8 | raw->at[1];
	return whole > raw->len ? whole - raw->len : 0;
}

/* Fill up the frame begun earlier from the new bytes: only that one frame is copied. */
static ssize_t complete_frame(struct secured *secured, uint8_t *at, size_t len,
			      secured_plain_fn *plain, void *ctx)
{
	struct buf *raw = &secured->raw;
	size_t used = 0;

	while (used < len && raw->len > 0) {
		size_t more = frame_lacks(raw);

		if (more > len - used)
			more = len - used;
		buf_add(raw, bytes_of(at + used, more));
		used += more;
		if (raw->len < FRAME_PREFIX || frame_lacks(raw) > 0)
			continue;
		ssize_t n = open_frames(secured, raw->at, raw->len, plain, ctx);
		if (n < 0)
			return n;
		buf_consume(raw, (size_t)n);
	}
	return (ssize_t)used;
}

int secured_open(struct secured *secured, uint8_t *at, size_t len, secured_plain_fn *plain,
		 void *ctx)
{
	ssize_t used;

	if (!secured->noise)
		return len > 0 ? plain(ctx, bytes_of(at, len)) : 0;
	used = complete_frame(secured, at, len, plain, ctx);
	if (used < 0)
		return (int)used;
	at += used;
	len -= (size_t)used;
	used = open_frames(secured, at, len, plain, ctx);
	if (used < 0)
		return (int)used;
	buf_add(&secured->raw, bytes_of(at + used, len - (size_t)used));
	return 0;
}

/* ---- upgrade ---- */

bool upgrade_is_silent(const struct upgrade *upgrade)
{
	return !upgrade->secured.bytes_in;
}

void upgrade_cancel(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	timer_stop(loop_timers(upgrade->loop), &upgrade->timer);
	multistream_free(upgrade->ms);
	secured_release(&upgrade->secured);
	free(upgrade);
}

/* The single way out. Success hands the connection on; failure lets cancel close it. */
static void upgrade_end(struct upgrade *upgrade, int err)
{
	upgrade_done_fn *done = upgrade->done;
	void *ctx = upgrade->ctx;
	struct secured secured = { 0 };

	if (!err) {
		secured = upgrade->secured;
		upgrade->secured = (struct secured){ 0 };
		secured.conn->events = NULL;
		if (!secured.noise) { /* there was never anything to decrypt */
			secured.plain = secured.raw;
			secured.raw = (struct buf){ 0 };
		}
	}
	upgrade_cancel(upgrade);
	done(ctx, err, err ? NULL : &secured);
}

/* Send out; encrypted as soon as the channel is. */
static int upgrade_send(struct upgrade *upgrade, struct buf *out)
{
	struct buf sealed = { 0 };
	struct bytes part = buf_bytes(out);
	int err = 0;

	if (out->len == 0)
		return 0;
	if (upgrade->state == UPGRADE_MUXER) {
		err = secured_seal(&upgrade->secured, &part, 1, &sealed);
		buf_release(out);
		*out = sealed;
	}
	if (!err) {
		upgrade->secured.bytes_out += out->len;
		conn_write(upgrade->secured.conn, out);
	}
	buf_release(out);
	return err;
}

static const char *select_one(const char *ours, struct bytes name)
{
	return bytes_equal(bytes_str(ours), name) ? ours : NULL;
}

static const char *select_security(void *ctx, struct bytes name)
{
	(void)ctx;
	return select_one(NOISE_PROTOCOL, name);
}

static const char *select_muxer(void *ctx, struct bytes name)
{
	(void)ctx;
	return select_one(YAMUX_PROTOCOL, name);
}

static int start_negotiation(struct upgrade *upgrade, const char *const *protocols,
			     const char *(*select)(void *ctx, struct bytes name))
{
	struct buf out = { 0 };

	upgrade->ms = upgrade->secured.outbound ? multistream_dialer(protocols, 1)
						: multistream_listener(select, upgrade);
	multistream_start(upgrade->ms, &out);
	return upgrade_send(upgrade, &out);
}

/* Feed raw or plain bytes to the negotiation. 1: settled. */
static int negotiate(struct upgrade *upgrade, struct buf *in)
{
	struct buf out = { 0 };
	size_t used = 0;
	int rc = multistream_recv(upgrade->ms, buf_bytes(in), &used, &out);
	int err = upgrade_send(upgrade, &out);

	buf_consume(in, used);
	if (rc == 1) {
		multistream_free(upgrade->ms);
		upgrade->ms = NULL;
	}
	return err ? err : rc;
}

static void start_handshake(struct upgrade *upgrade)
{
	upgrade->state = UPGRADE_HANDSHAKE;
	upgrade->secured.noise = noise_new(upgrade->secured.outbound, upgrade->identity,
					   &upgrade->expected, muxer_protocols, 1, upgrade->random);
}

static int start_muxer(struct upgrade *upgrade)
{
	const char *muxer = noise_muxer(upgrade->secured.noise);

	upgrade->secured.peer = *noise_peer(upgrade->secured.noise);
	if (muxer && strcmp(muxer, YAMUX_PROTOCOL) == 0) {
		upgrade->state = UPGRADE_DONE;
		return 0;
	}
	upgrade->state = UPGRADE_MUXER;
	return start_negotiation(upgrade, muxer_protocols, select_muxer);
}

static int handshake(struct upgrade *upgrade)
{
	struct buf out = { 0 };
	size_t used = 0;
	int rc = noise_handshake(upgrade->secured.noise, buf_bytes(&upgrade->secured.raw), &used,
				 &out);
	int err = upgrade_send(upgrade, &out);

	buf_consume(&upgrade->secured.raw, used);
	if (err || rc < 0)
		return err ? err : rc;
	return rc == 1 ? start_muxer(upgrade) : 0;
}

static int keep_plain(void *ctx, struct bytes plain)
{
	struct upgrade *upgrade = ctx;

	if (upgrade->secured.plain.len + plain.len > UPGRADE_RAW_MAX)
		return -EBADMSG;
	buf_add(&upgrade->secured.plain, plain);
	return 0;
}

/* Decrypt what is whole and go on with the negotiation inside. */
static int negotiate_muxer(struct upgrade *upgrade)
{
	struct secured *secured = &upgrade->secured;
	ssize_t n = open_frames(secured, secured->raw.at, secured->raw.len, keep_plain, upgrade);
	int rc;

	if (n < 0)
		return (int)n;
	buf_consume(&secured->raw, (size_t)n);
	rc = negotiate(upgrade, &secured->plain);
	if (rc == 1)
		upgrade->state = UPGRADE_DONE;
	return rc < 0 ? rc : 0;
}

/* One step with what has arrived. */
static int upgrade_step(struct upgrade *upgrade)
{
	struct buf out = { 0 };
	int rc;

	switch (upgrade->state) {
	case UPGRADE_SECURITY:
		rc = negotiate(upgrade, &upgrade->secured.raw);
		if (rc != 1)
			return rc;
		start_handshake(upgrade);
		noise_start(upgrade->secured.noise, &out);
		return upgrade_send(upgrade, &out);
	case UPGRADE_HANDSHAKE:
		return handshake(upgrade);
	case UPGRADE_MUXER:
		return negotiate_muxer(upgrade);
	case UPGRADE_DONE:
		break;
	}
	return 0;
}

/* Noise has checked already; a transport that proves identities has not been told whom we want. */
static int check_peer(const struct upgrade *upgrade)
{
	bool as_wanted = !peer_id_is_set(&upgrade->expected) ||
			 peer_id_equal(&upgrade->expected, &upgrade->secured.peer);

	return as_wanted ? 0 : -EKEYREJECTED;
}

static void on_data(void *ctx, uint8_t *at, size_t len)
{
	struct upgrade *upgrade = ctx;
	enum upgrade_state before;
	int err;

	upgrade->secured.bytes_in += len;
	/* After its last handshake message a peer may send as much as a read brings. */
	if (upgrade->secured.raw.len + len > UPGRADE_RAW_MAX + CONN_READ_BUFFER) {
		upgrade_end(upgrade, -EBADMSG);
		return;
	}
	buf_add(&upgrade->secured.raw, bytes_of(at, len));
	do {
		before = upgrade->state;
		err = upgrade_step(upgrade);
	} while (!err && upgrade->state != before && upgrade->state != UPGRADE_DONE);
	if (err || upgrade->state == UPGRADE_DONE)
		upgrade_end(upgrade, err ? err : check_peer(upgrade));
}

static void on_close(void *ctx, int err)
{
	upgrade_end(ctx, err ? err : -ECONNRESET);
}

static void on_timeout(void *ctx)
{
	struct upgrade *upgrade = ctx;

	upgrade_end(upgrade, upgrade->state == UPGRADE_DONE ? check_peer(upgrade) : -ETIMEDOUT);
}

static const struct conn_events upgrade_events = { .on_data = on_data, .on_close = on_close };

struct upgrade *upgrade_start(struct loop *loop, struct conn *conn, bool outbound,
			      const struct identity *identity, const struct peer_id *expected,
			      struct random *random, upgrade_done_fn *done, void *ctx)
{
	struct upgrade *upgrade = xnew(struct upgrade);
	struct timers *timers = loop_timers(loop);

	upgrade->loop = loop;
	upgrade->secured.conn = conn;
	upgrade->secured.outbound = outbound;
	upgrade->identity = identity;
	if (expected)
		upgrade->expected = *expected;
	upgrade->random = random;
	upgrade->done = done;
	upgrade->ctx = ctx;
	conn->events = &upgrade_events;
	conn->ctx = upgrade;
	if (peer_id_is_set(&conn->secured_as)) {
		upgrade->state = UPGRADE_DONE;
		upgrade->secured.peer = conn->secured_as;
		timer_start(timers, &upgrade->timer, 0, on_timeout, upgrade);
		return upgrade;
	}
	timer_start(timers, &upgrade->timer, UPGRADE_TIMEOUT_MS, on_timeout, upgrade);
	/* A failed write shows as on_close(); nothing is sealed yet that could fail otherwise. */
	start_negotiation(upgrade, security_protocols, select_security);
	return upgrade;
}
