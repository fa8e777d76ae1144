#include "tests/sim/link.h"

#include <stdlib.h>
#include <string.h>

static void uplink_kick(struct host *host);

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

static uint64_t now_us(const struct simnet *net)
{
	return timers_now(net->timers) * 1000;
}

bool simnet_reach(const struct host *a, const struct host *b)
{
	return a->online && b->online && a->island == b->island;
}

uint64_t link_latency_ms(struct host *a, struct host *b)
{
	unsigned jitter = a->config.jitter_ms + b->config.jitter_ms;

	return a->config.latency_ms + b->config.latency_ms +
	       (jitter ? random_below(&a->net->random, jitter + 1) : 0);
}

static void on_deliver(void *ctx);

void link_arm(struct end *end)
{
	struct timers *timers = end->host->net->timers;

	if (!end->in.first || end->paused || !end->opened || timer_running(&end->deliver))
		return;
	timer_start_at(timers, &end->deliver, (end->in.first->at_us + 999) / 1000, on_deliver, end);
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
	uint64_t way_us = link_latency_ms(a, b) * 1000;
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
	link_arm(to);
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
		if (end->queued == 0 && end->conn.events && end->conn.events->on_drain &&
		    !end->deaf)
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
		link_arm(end);
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
		link_arm(end);
}

/* What was written is still sent, then the end of the stream; a host that is cut off sends nothing.
 */
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

static void end_init(struct end *end, struct link *link, struct host *host, const struct host *peer)
{
	end->conn.ops = &end_ops;
	end->conn.remote = peer->addr;
	end->conn.local = host->addr;
	end->conn.virtual_time = true;
	end->peer = peer->config.id;
	end->link = link;
	end->host = host;
	list_init(&end->active);
	list_add_tail(&host->ends, &end->node);
	host->net->open_ends++;
}

struct link *link_new(struct host *dialler, struct host *listener)
{
	struct link *link = xnew(struct link);

	dialler->net->links++;
	end_init(&link->ends[0], link, dialler, listener);
	end_init(&link->ends[1], link, listener, dialler);
	link->ends[1].opened = true;
	return link;
}
