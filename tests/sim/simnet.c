#include "tests/sim/simnet.h"

#include "net/session/stacked.h"
#include "tests/sim/link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

struct dialing {
	struct host *host;
	struct multiaddr addr;
	struct timer timer;
	struct end *end; /* accepted */
	int err;
	uint64_t latency_ms;
	bool pipe; /* wanted: bytes, and no session */
	transport_dialed_fn *done;
	void *ctx;
};

/* ---- trace ---- */

void simnet_trace(struct simnet *net, unsigned what, uint64_t a, uint64_t b, struct bytes bytes)
{
	uint64_t words[6] = {
		net->trace, timers_now(net->timers),
		what,	    a,
		b,	    XXH3_64bits(bytes.at ? bytes.at : (const uint8_t *)"", bytes.len)
	};

	net->trace = XXH3_64bits(words, sizeof(words));
}

/* ---- dialling ---- */

static struct host *host_at(const struct simnet *net, const struct multiaddr *addr)
{
	struct multiaddr_part part;

	if (!multiaddr_find(addr, MA_IP4, &part))
		return NULL;
	return map_get(&net->hosts, part.value);
}

static bool can_dial(struct transport *transport, const struct multiaddr *addr)
{
	struct multiaddr_part part;

	(void)transport;
	return multiaddr_find(addr, MA_IP4, &part) && multiaddr_find(addr, MA_QUIC_V1, &part);
}

static void dialing_free(struct dialing *dialing)
{
	struct simnet *net = dialing->host->net;

	timer_stop(net->timers, &dialing->timer);
	net->open_dials--;
	free(dialing);
}

/* The link proves who is at its other end. */
static struct raw_link session_over(struct end *end, bool outbound)
{
	const struct host *host = end->host;
	struct secured secured = {
		.conn = &end->conn,
		.secure = secure_none_new(&end->peer),
		.peer = end->peer,
		.outbound = outbound,
	};

	return (struct raw_link){ .session = stacked_new(host->net->loop, &secured, "none",
							 &host->config.session) };
}

static void on_dialed(void *ctx)
{
	struct dialing *dialing = ctx;
	struct simnet *net = dialing->host->net;
	struct end *end = dialing->end;
	transport_dialed_fn *done = dialing->done;
	void *done_ctx = dialing->ctx;
	int err = dialing->err;
	bool pipe = dialing->pipe;

	simnet_trace(net, TRACE_DIALED, dialing->host->index, (uint64_t)-err, (struct bytes){ 0 });
	dialing_free(dialing);
	if (err) {
		net->dials_failed++;
		done(done_ctx, err, (struct raw_link){ 0 });
		return;
	}
	end->opened = true;
	link_arm(end); /* what waits comes by a timer, after the owner has set its events */
	done(done_ctx, 0, pipe ? (struct raw_link){ .conn = &end->conn } : session_over(end, true));
}

static void on_reached(void *ctx)
{
	struct dialing *dialing = ctx;
	struct host *from = dialing->host;
	struct simnet *net = from->net;
	struct host *to = host_at(net, &dialing->addr);
	bool there = to && simnet_reach(from, to);

	timer_start(net->timers, &dialing->timer, dialing->latency_ms, on_dialed, dialing);
	if (!there || !to->accept || to->held) {
		dialing->err = there ? -ECONNREFUSED : -ETIMEDOUT;
		return;
	}
	struct link *link = link_new(from, to);

	dialing->end = &link->ends[0];
	simnet_trace(net, TRACE_ACCEPT, from->index, to->index, (struct bytes){ 0 });
	to->accept(to->accept_ctx, session_over(&link->ends[1], false));
}

static void *dial(struct transport *transport, const struct multiaddr *addr, uint64_t timeout_ms,
		  transport_dialed_fn *done, void *ctx)
{
	struct host *host = container_of(transport, struct host, transport);
	struct simnet *net = host->net;
	struct host *to = host_at(net, addr);
	struct dialing *dialing = xnew(struct dialing);

	net->dials++;
	net->open_dials++;
	dialing->host = host;
	dialing->addr = *addr;
	dialing->done = done;
	dialing->ctx = ctx;
	simnet_trace(net, TRACE_DIAL, host->index, to ? to->index : 0, multiaddr_bytes(addr));
	if (!to || to->config.nat || !simnet_reach(host, to)) {
		dialing->err = -ETIMEDOUT;
		timer_start(net->timers, &dialing->timer, timeout_ms, on_dialed, dialing);
		return dialing;
	}
	dialing->latency_ms = link_latency_ms(host, to);
	timer_start(net->timers, &dialing->timer, dialing->latency_ms, on_reached, dialing);
	return dialing;
}

static void dial_cancel(struct transport *transport, void *handle)
{
	struct dialing *dialing = handle;
	struct end *end = dialing->end;

	(void)transport;
	dialing_free(dialing);
	if (end)
		conn_close(&end->conn);
}

void host_dial(struct host *host, const struct multiaddr *addr, transport_dialed_fn *done,
	       void *ctx)
{
	struct dialing *dialing = dial(&host->transport, addr, SIMNET_RTO_MS * 25, done, ctx);

	dialing->pipe = true;
}

/* ---- hosts ---- */

static int listen_at(struct transport *transport, const struct multiaddr *addr,
		     transport_accept_fn *accept, void *ctx)
{
	struct host *host = container_of(transport, struct host, transport);

	if (!can_dial(transport, addr))
		return -ENOTSUP;
	host->accept = accept;
	host->accept_ctx = ctx;
	return 0;
}

static size_t listen_addrs(const struct transport *transport, struct multiaddr *addrs, size_t max)
{
	const struct host *host = container_of(transport, struct host, transport);

	if (!host->accept || host->config.nat)
		return 0;
	if (max > 0)
		addrs[0] = host->addr;
	return 1;
}

static void hold(struct transport *transport, bool held)
{
	container_of(transport, struct host, transport)->held = held;
}

/* host_free() frees it: a host outlives its node. */
static void close_none(struct transport *transport, void (*done)(void *ctx), void *ctx)
{
	(void)transport;
	done(ctx);
}

static const struct transport_ops host_ops = {
	.can_dial = can_dial,
	.dial = dial,
	.dial_cancel = dial_cancel,
	.listen = listen_at,
	.listen_addrs = listen_addrs,
	.hold = hold,
	.close = close_none,
};

struct multiaddr simnet_addr(uint32_t ip)
{
	uint8_t ip4[4] = { ip >> 24 & 255, ip >> 16 & 255, ip >> 8 & 255, ip & 255 };
	uint8_t port[2] = { 4001 >> 8, 4001 & 255 };
	struct multiaddr addr = { 0 };

	multiaddr_add(&addr, MA_IP4, bytes_of(ip4, sizeof(ip4)));
	multiaddr_add(&addr, MA_UDP, bytes_of(port, sizeof(port)));
	multiaddr_add(&addr, MA_QUIC_V1, (struct bytes){ 0 });
	return addr;
}

static struct bytes host_key(const struct host *host)
{
	struct multiaddr_part part;

	multiaddr_find(&host->addr, MA_IP4, &part);
	return part.value;
}

struct host *host_new(struct simnet *net, const struct host_config *config)
{
	struct host *host = xnew(struct host);

	host->transport.ops = &host_ops;
	host->net = net;
	host->config = *config;
	host->index = ++net->next_index;
	host->addr = simnet_addr(config->ip);
	host->online = true;
	list_init(&host->ends);
	list_init(&host->active);
	struct host *before = map_set(&net->hosts, host_key(host), host);

	assert(!before);
	(void)before;
	return host;
}

void host_free(struct host *host)
{
	assert(list_empty(&host->ends));
	timer_stop(host->net->timers, &host->uplink);
	map_remove(&host->net->hosts, host_key(host));
	free(host);
}

static void rewire(struct host *host)
{
	list_for_each(end, &host->ends, struct end, node) {
		/* Not in the middle of a call: by a timer, as everything. */
		link_arm(end);
		link_arm(end_closed(other(end)) ? end : other(end));
	}
}

void host_online(struct host *host, bool online)
{
	host->online = online;
	if (online)
		rewire(host);
}

void simnet_rewire(struct simnet *net)
{
	size_t at = 0;
	struct bytes key;
	void *host;

	while (map_next(&net->hosts, &at, &key, &host))
		rewire(host);
}

void simnet_init(struct simnet *net, struct loop *loop, uint64_t seed)
{
	*net = (struct simnet){ .loop = loop, .timers = loop_timers(loop) };
	net->random = random_seeded(seed);
}

void simnet_release(struct simnet *net)
{
	assert(net->hosts.count == 0);
	map_release(&net->hosts);
}
