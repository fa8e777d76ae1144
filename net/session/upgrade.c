/* The driver of an upgrade: which security, its handshake, which muxer. The handshakes themselves
 * are sans-io and live in net/security. Loop thread. */
#include "net/session/upgrade.h"

#include "net/base/alloc.h"
#include "net/session/multistream.h"
#include "net/session/stacked.h"
#include "net/session/yamux.h"
#include "net/transport/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * SECURITY --one settled--> HANDSHAKE --muxer agreed on--> DONE
 *                                  \--no early muxer--> MUXER --settled--> DONE
 * Every state ends in upgrade_end(err); the timer may cut in anywhere.
 */
enum upgrade_state { UPGRADE_SECURITY, UPGRADE_HANDSHAKE, UPGRADE_MUXER, UPGRADE_DONE };

struct upgrade {
	const struct upgrade_config *config;
	struct secured secured;
	const char *security; /* the name of the one settled on */
	enum upgrade_state state;
	struct multistream *ms;
	const char *names[SECURITIES_MAX]; /* of the securities, for multistream */
	struct peer_id expected;
	struct timer timer;
	upgrade_done_fn *done;
	void *ctx;
};

static const char *const muxer_protocols[] = { YAMUX_PROTOCOL };

/* ---- upgrade ---- */

bool upgrade_is_silent(const struct upgrade *upgrade)
{
	return !upgrade->secured.bytes_in;
}

void upgrade_cancel(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	timer_stop(loop_timers(upgrade->config->loop), &upgrade->timer);
	multistream_free(upgrade->ms);
	secured_release(&upgrade->secured);
	free(upgrade);
}

/* The single way out. Success makes the session; failure lets cancel close the connection. */
static void upgrade_end(struct upgrade *upgrade, int err)
{
	const struct upgrade_config *config = upgrade->config;
	struct secured *secured = &upgrade->secured;
	upgrade_done_fn *done = upgrade->done;
	void *ctx = upgrade->ctx;
	struct session *session = NULL;
	struct peer_id answered = { 0 };

	if (err == -EKEYREJECTED && secured->secure)
		answered = *secured->secure->ops->peer(secured->secure);
	if (!err)
		session = stacked_new(config->loop, secured, upgrade->security, &config->session);
	upgrade_cancel(upgrade);
	done(ctx, err, session, err == -EKEYREJECTED ? &answered : NULL);
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

static struct security *security_named(const struct upgrade *upgrade, struct bytes name)
{
	for (size_t i = 0; i < upgrade->config->security_count; i++)
		if (bytes_equal(bytes_str(upgrade->names[i]), name))
			return upgrade->config->securities[i];
	return NULL;
}

static const char *select_security(void *ctx, struct bytes name)
{
	struct security *security = security_named(ctx, name);

	return security ? security->ops->name : NULL;
}

static const char *select_muxer(void *ctx, struct bytes name)
{
	(void)ctx;
	return bytes_equal(bytes_str(YAMUX_PROTOCOL), name) ? YAMUX_PROTOCOL : NULL;
}

static int start_negotiation(struct upgrade *upgrade, const char *const *protocols, size_t count,
			     const char *(*select)(void *ctx, struct bytes name))
{
	struct buf out = { 0 };

	upgrade->ms = upgrade->secured.outbound ? multistream_dialer(protocols, count)
						: multistream_listener(select, upgrade);
	multistream_start(upgrade->ms, &out);
	return upgrade_send(upgrade, &out);
}

/* Feed raw or plain bytes to the negotiation. 1: settled, and *protocol is what on. */
static int upgrade_negotiate(struct upgrade *upgrade, struct buf *in, const char **protocol)
{
	struct buf out = { 0 };
	size_t used = 0;
	int rc = multistream_recv(upgrade->ms, buf_bytes(in), &used, &out);
	int err = upgrade_send(upgrade, &out);

	buf_consume(in, used);
	if (rc == 1) {
		*protocol = multistream_protocol(upgrade->ms);
		multistream_free(upgrade->ms);
		upgrade->ms = NULL;
	}
	return err ? err : rc;
}

static int start_muxer(struct upgrade *upgrade)
{
	struct secured *secured = &upgrade->secured;
	const char *muxer = secured->secure->ops->muxer(secured->secure);

	secured->peer = *secured->secure->ops->peer(secured->secure);
	if (muxer && strcmp(muxer, YAMUX_PROTOCOL) == 0) {
		upgrade->state = UPGRADE_DONE;
		return 0;
	}
	upgrade->state = UPGRADE_MUXER;
	return start_negotiation(upgrade, muxer_protocols, 1, select_muxer);
}

static int handshake(struct upgrade *upgrade, struct bytes in)
{
	struct secure *secure = upgrade->secured.secure;
	struct buf out = { 0 };
	size_t used = 0;
	int rc = secure->ops->handshake(secure, in, &used, &out);
	int err = upgrade_send(upgrade, &out);

	buf_consume(&upgrade->secured.raw, used);
	if (err || rc < 0)
		return err ? err : rc;
	return rc == 1 ? start_muxer(upgrade) : 0;
}

static int negotiate_security(struct upgrade *upgrade)
{
	struct secured *secured = &upgrade->secured;
	const char *name;
	int rc = upgrade_negotiate(upgrade, &secured->raw, &name);
	struct security *security;

	if (rc != 1)
		return rc;
	security = security_named(upgrade, bytes_str(name));
	upgrade->security = security->ops->name;
	secured->secure = security->ops->start(security, secured->outbound, &upgrade->expected,
					       muxer_protocols, 1);
	upgrade->state = UPGRADE_HANDSHAKE;
	return handshake(upgrade, (struct bytes){ 0 });
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
	const char *name;
	int rc = secured_open_raw(&upgrade->secured, keep_plain, upgrade);

	if (!rc)
		rc = upgrade_negotiate(upgrade, &upgrade->secured.plain, &name);
	if (rc == 1)
		upgrade->state = UPGRADE_DONE;
	return rc < 0 ? rc : 0;
}

/* One step with what has arrived. */
static int upgrade_step(struct upgrade *upgrade)
{
	switch (upgrade->state) {
	case UPGRADE_SECURITY:
		return negotiate_security(upgrade);
	case UPGRADE_HANDSHAKE:
		return handshake(upgrade, buf_bytes(&upgrade->secured.raw));
	case UPGRADE_MUXER:
		return negotiate_muxer(upgrade);
	case UPGRADE_DONE:
		break;
	}
	return 0;
}

/* Bytes of the raw connection, which go to the step that is at work: multistream, handshake, or
 * multistream inside the channel. */
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
		upgrade_end(upgrade, err);
}

static void on_close(void *ctx, int err)
{
	upgrade_end(ctx, err ? err : -ECONNRESET);
}

static void on_timeout(void *ctx)
{
	upgrade_end(ctx, -ETIMEDOUT);
}

static const struct conn_events upgrade_events = { .on_data = on_data, .on_close = on_close };

struct upgrade *upgrade_start(const struct upgrade_config *config, struct conn *conn, bool outbound,
			      const struct peer_id *expected, upgrade_done_fn *done, void *ctx)
{
	struct upgrade *upgrade = xnew(struct upgrade);

	assert(config->security_count > 0 && config->security_count <= SECURITIES_MAX);
	upgrade->config = config;
	upgrade->secured.conn = conn;
	upgrade->secured.outbound = outbound;
	for (size_t i = 0; i < config->security_count; i++)
		upgrade->names[i] = config->securities[i]->ops->name;
	if (expected)
		upgrade->expected = *expected;
	upgrade->done = done;
	upgrade->ctx = ctx;
	conn->events = &upgrade_events;
	conn->ctx = upgrade;
	timer_start(loop_timers(config->loop), &upgrade->timer, UPGRADE_TIMEOUT_MS, on_timeout,
		    upgrade);
	/* A failed write shows as on_close(); nothing is sealed yet that could fail otherwise. */
	start_negotiation(upgrade, upgrade->names, config->security_count, select_security);
	return upgrade;
}
