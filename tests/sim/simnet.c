#include "tests/sim/simnet.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { TRACE_DIAL = 1, TRACE_ACCEPT, TRACE_DIALED, TRACE_DATA, TRACE_CLOSE };

/* A segment, or the end of the stream, under way or waiting to be sent. */
struct chunk {
	struct chunk *next;
	uint64_t at_us;
	size_t len;
	bool last;
	uint8_t data[];
};

struct queue {
	struct chunk *first, **tail;
};

struct link;

struct end {
	struct conn conn;
	struct link *link;
	struct host *host; /* NULL: closed */
	struct list node, active;
	struct queue out; /* written, not sent */
	size_t queued;
	struct queue in; /* on its way to this end */
	size_t coming;	 /* bytes of it */
	uint64_t last_us; /* nothing arrives before what was sent before it */
	struct timer deliver;
	bool opened; /* its owner has been told */
	bool paused;
	bool blocked; /* the other end's window is full */
	bool deaf;    /* on_close has run */
	bool busy;
};

struct link {
	struct end ends[2]; /* dialler, listener */
};

struct dialing {
	struct host *host;
	struct multiaddr addr;
	struct timer timer;
	struct end *end; /* accepted */
	int err;
	uint64_t latency_ms;
	transport_dialed_fn *done;
	void *ctx;
};

static void uplink_kick(struct host *host);

/* ---- trace ---- */

void simnet_trace(struct simnet *net, unsigned what, uint64_t a, uint64_t b, struct bytes bytes)
{
	uint64_t words[6] = { net->trace, timers_now(net->timers), what, a, b,
			      XXH3_64bits(bytes.at ? bytes.at : (const uint8_t *)"", bytes.len) };

	net->trace = XXH3_64bits(words, sizeof(words));
}

/* ---- queues ---- */

static void push(struct queue *queue, struct chunk *chunk)
{
	chunk->next = NULL;
	if (!queue->first)
		queue->tail = &queue->first;
	*queue->tail = chunk;
	queue->tail = &chunk->next;
}

static struct chunk *pop(struct queue *queue)
{
	struct chunk *chunk = queue->first;

	queue->first = chunk->next;
	return chunk;
}

static struct chunk *chunk_new(struct simnet *net, struct bytes data)
{
	struct chunk *chunk = xrealloc(NULL, sizeof(*chunk) + data.len);

	*chunk = (struct chunk){ .len = data.len };
	if (data.len)
		memcpy(chunk->data, data.at, data.len);
	net->chunks++;
	return chunk;
}

static void chunk_free(struct simnet *net, struct chunk *chunk)
{
	net->chunks--;
	free(chunk);
}

static void drop_all(struct simnet *net, struct queue *queue)
{
	while (queue->first)
		chunk_free(net, pop(queue));
}

/* ---- links ---- */

static struct end *other(const struct end *end)
{
	struct link *link = end->link;

	return end == &link->ends[0] ? &link->ends[1] : &link->ends[0];
}

static uint64_t now_us(const struct simnet *net)
{
	return timers_now(net->timers) * 1000;
}

bool simnet_reach(const struct host *a, const struct host *b)
{
	return a->online && b->online && a->island == b->island;
}

static uint64_t latency_ms(struct host *a, struct host *b)
{
	unsigned jitter = a->config.jitter_ms + b->config.jitter_ms;

	return a->config.latency_ms + b->config.latency_ms +
	       (jitter ? random_below(&a->net->random, jitter + 1) : 0);
}

static void on_deliver(void *ctx);

static void arm(struct end *end)
{
	struct timers *timers = end->host->net->timers;

	if (!end->in.first || end->paused || !end->opened || timer_running(&end->deliver))
		return;
	timer_start_at(timers, &end->deliver, (end->in.first->at_us + 999) / 1000, on_deliver, end);
}

static bool end_closed(const struct end *end)
{
	return !end->host;
}

static void link_free_if_done(struct simnet *net, struct link *link)
{
	for (int i = 0; i < 2; i++)
		if (!end_closed(&link->ends[i]) || link->ends[i].busy)
			return;
	for (int i = 0; i < 2; i++) {
		drop_all(net, &link->ends[i].in);
		drop_all(net, &link->ends[i].out);
	}
	free(link);
}

/* A segment leaves from: it takes its time on both lines. */
static void transmit(struct end *from, struct chunk *chunk)
{
	struct host *a = from->host;
	struct simnet *net = a->net;
	struct end *to = other(from);
	struct host *b = to->host;
	uint64_t start = a->up_free_us > now_us(net) ? a->up_free_us : now_us(net);

	net->segments++;
	net->bytes += chunk->len;
	a->bytes_out += chunk->len;
	if (a->config.up)
		start += chunk->len * 1000000 / a->config.up;
	a->up_free_us = start;
	if (!b) { /* closed already: nobody hears it */
		chunk_free(net, chunk);
		return;
	}
	uint64_t way_us = latency_ms(a, b) * 1000;
	unsigned loss = a->config.loss + b->config.loss;

	chunk->at_us = start + way_us;
	while (loss && random_below(&net->random, 10000) < loss) {
		uint64_t rto_us = 3 * way_us;

		net->lost++;
		chunk->at_us += rto_us > SIMNET_RTO_MS * 1000 ? rto_us : SIMNET_RTO_MS * 1000;
	}
	if (b->config.down) {
		if (chunk->at_us < b->down_free_us)
			chunk->at_us = b->down_free_us;
		chunk->at_us += chunk->len * 1000000 / b->config.down;
		b->down_free_us = chunk->at_us;
	}
	if (chunk->at_us < to->last_us)
		chunk->at_us = to->last_us;
	to->last_us = chunk->at_us;
	to->coming += chunk->len;
	push(&to->in, chunk);
	arm(to);
}

/* ---- the sender's line ---- */

static void activate(struct end *end)
{
	if (!end_closed(end) && end->out.first && list_empty(&end->active))
		list_add_tail(&end->host->active, &end->active);
}

/* Segments of all connections in turns, until the line is busy beyond this millisecond. */
static void on_uplink(void *ctx)
{
	struct host *host = ctx;

	while (!list_empty(&host->active) && host->up_free_us < now_us(host->net) + 1000) {
		struct end *end = list_first(&host->active, struct end, active);
		struct end *to = other(end);

		list_remove(&end->active);
		if (!end_closed(to) && to->coming >= SIMNET_WINDOW) {
			end->blocked = true;
			continue;
		}
		struct chunk *chunk = pop(&end->out);

		end->queued -= chunk->len;
		transmit(end, chunk);
		activate(end);
		if (end->queued == 0 && end->conn.events && end->conn.events->on_drain && !end->deaf)
			end->conn.events->on_drain(end->conn.ctx); /* may close end */
	}
	uplink_kick(host);
}

static void uplink_kick(struct host *host)
{
	if (!list_empty(&host->active) && !timer_running(&host->uplink))
		timer_start_at(host->net->timers, &host->uplink, host->up_free_us / 1000, on_uplink,
			       host);
}

static void end_write(struct conn *conn, struct buf *data)
{
	struct end *end = container_of(conn, struct end, conn);
	struct bytes left = buf_bytes(data);

	if (!end->deaf && !end_closed(end)) {
		while (left.len > 0) {
			size_t len = left.len < SIMNET_SEGMENT ? left.len : SIMNET_SEGMENT;

			push(&end->out, chunk_new(end->host->net, bytes_of(left.at, len)));
			end->queued += len;
			left = bytes_skip(left, len);
		}
		if (!end->blocked)
			activate(end);
		uplink_kick(end->host);
	}
	buf_clear(data);
}

static size_t end_queued(const struct conn *conn)
{
	return container_of(conn, struct end, conn)->queued;
}

/* ---- the receiver ---- */

/* One segment to its owner. */
static void deliver(struct end *end, struct chunk *chunk)
{
	struct simnet *net = end->host->net;
	struct end *from = other(end);

	end->coming -= chunk->len;
	end->host->bytes_in += chunk->len;
	if (from->blocked) {
		from->blocked = false;
		if (!end_closed(from)) {
			activate(from);
			uplink_kick(from->host);
		}
	}
	simnet_trace(net, chunk->last ? TRACE_CLOSE : TRACE_DATA, end->host->index, (uintptr_t)0,
		     bytes_of(chunk->data, chunk->len));
	if (chunk->last) {
		end->deaf = true;
		drop_all(net, &end->out);
		end->queued = 0;
		list_remove(&end->active);
		if (end->conn.events)
			end->conn.events->on_close(end->conn.ctx, 0);
	} else if (end->conn.events) {
		end->conn.events->on_data(end->conn.ctx, chunk->data, chunk->len);
	}
	chunk_free(net, chunk);
}

static void on_deliver(void *ctx)
{
	struct end *end = ctx;
	struct simnet *net = end->host->net;
	struct end *from = other(end);

	/* What a host had sent before it died still comes. */
	if (!end->host->online || (from->host && !simnet_reach(end->host, from->host)))
		return; /* waits for simnet_rewire() */
	end->busy = true;
	while (!end_closed(end) && !end->paused && end->in.first &&
	       end->in.first->at_us <= now_us(net))
		deliver(end, pop(&end->in));
	end->busy = false;
	if (end_closed(end))
		link_free_if_done(net, end->link);
	else
		arm(end);
}

static void end_pause(struct conn *conn)
{
	container_of(conn, struct end, conn)->paused = true;
}

static void end_resume(struct conn *conn)
{
	struct end *end = container_of(conn, struct end, conn);

	end->paused = false;
	if (!end->busy)
		arm(end);
}

/* What was written is still sent, then the end of the stream; a host that is cut off sends nothing. */
static void end_close(struct conn *conn)
{
	struct end *end = container_of(conn, struct end, conn);
	struct host *host = end->host;
	struct simnet *net = host->net;
	struct end *to = other(end);

	conn->events = NULL;
	list_remove(&end->active);
	list_remove(&end->node);
	timer_stop(net->timers, &end->deliver);
	drop_all(net, &end->in);
	if (host->online && !end->deaf && !end_closed(to)) {
		struct chunk *last = chunk_new(net, (struct bytes){ 0 });

		while (end->out.first)
			transmit(end, pop(&end->out));
		last->last = true;
		transmit(end, last);
	}
	drop_all(net, &end->out);
	end->host = NULL;
	net->open_ends--;
	link_free_if_done(net, end->link);
}

static const struct conn_ops end_ops = {
	.write = end_write,
	.queued = end_queued,
	.pause = end_pause,
	.resume = end_resume,
	.close = end_close,
};

static void end_init(struct end *end, struct link *link, struct host *host,
		     const struct host *peer)
{
	end->conn.ops = &end_ops;
	end->conn.remote = peer->addr;
	end->conn.local = host->addr;
	end->conn.secured_as = peer->config.id;
	end->link = link;
	end->host = host;
	list_init(&end->active);
	list_add_tail(&host->ends, &end->node);
	host->net->open_ends++;
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

static void on_dialed(void *ctx)
{
	struct dialing *dialing = ctx;
	struct simnet *net = dialing->host->net;
	struct end *end = dialing->end;
	transport_dialed_fn *done = dialing->done;
	void *done_ctx = dialing->ctx;
	int err = dialing->err;

	simnet_trace(net, TRACE_DIALED, dialing->host->index, (uint64_t)-err, (struct bytes){ 0 });
	dialing_free(dialing);
	if (err) {
		net->dials_failed++;
		done(done_ctx, err, NULL);
		return;
	}
	end->opened = true;
	arm(end); /* what waits comes by a timer, after the owner has set its events */
	done(done_ctx, 0, &end->conn);
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
	struct link *link = xnew(struct link);

	net->links++;
	end_init(&link->ends[0], link, from, to);
	end_init(&link->ends[1], link, to, from);
	dialing->end = &link->ends[0];
	link->ends[1].opened = true;
	simnet_trace(net, TRACE_ACCEPT, from->index, to->index, (struct bytes){ 0 });
	to->accept(to->accept_ctx, &link->ends[1].conn);
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
	dialing->latency_ms = latency_ms(host, to);
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
		end_close(&end->conn);
}

void host_dial(struct host *host, const struct multiaddr *addr, transport_dialed_fn *done, void *ctx)
{
	dial(&host->transport, addr, SIMNET_RTO_MS * 25, done, ctx);
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

static void free_none(struct transport *transport)
{
	(void)transport; /* host_free() does it */
}

static const struct transport_ops host_ops = {
	.can_dial = can_dial,
	.dial = dial,
	.dial_cancel = dial_cancel,
	.listen = listen_at,
	.listen_addrs = listen_addrs,
	.hold = hold,
	.free = free_none,
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
	list_for_each (end, &host->ends, struct end, node) {
		/* Not in the middle of a call: by a timer, as everything. */
		arm(end);
		arm(end_closed(other(end)) ? end : other(end));
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
