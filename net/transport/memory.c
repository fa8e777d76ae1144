/* A pipe is two ends. What one writes lies in the other's buffer until a timer delivers it in a
 * turn of its own, so that no callback runs inside the call that caused it. Loop thread. */
#include "net/transport/memory.h"

#include "net/base/alloc.h"
#include "net/base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct memory_board {
	struct loop *loop;
	struct map listeners; /* N, 8 bytes -> struct memory */
	uint64_t next;	      /* the number chosen for N = 0 */
};

struct memory {
	struct transport transport;
	struct memory_board *board;
	struct multiaddr addr; /* where it listens; empty: nowhere */
	transport_accept_fn *accept;
	void *accept_ctx;
	bool held;
};

struct end {
	struct conn conn;
	struct memory_board *board;
	struct end *other; /* NULL: closed by its owner */
	struct buf in;	   /* on its way to this end */
	struct timer deliver;
	bool paused;
	bool told;    /* on_close has run */
	bool busy;    /* deliver() is on the stack */
	bool closed;  /* by its owner; freed when not busy */
	bool drained; /* the other took all we wrote: the owner is to be told */
};

struct memory_dial {
	struct memory *memory;
	struct multiaddr addr;
	struct timer timer;
	transport_dialed_fn *done;
	void *ctx;
};

static struct memory *memory_of(const struct transport *transport)
{
	return container_of((struct transport *)transport, struct memory, transport);
}

static struct end *end_of(const struct conn *conn)
{
	return container_of((struct conn *)conn, struct end, conn);
}

/* ---- pipes ---- */

static void on_deliver(void *ctx);

static void deliver_soon(struct end *end)
{
	struct timers *timers = loop_timers(end->board->loop);

	if (!timer_running(&end->deliver))
		timer_start(timers, &end->deliver, 0, on_deliver, end);
}

static void end_free(struct end *end)
{
	timer_stop(loop_timers(end->board->loop), &end->deliver);
	buf_release(&end->in);
	free(end);
}

/* Up to read_max bytes; what is left waits for the next turn. */
static void deliver_data(struct end *end)
{
	size_t n = end->in.len;
	struct buf piece = { 0 };

	if (end->conn.read_max > 0 && n > end->conn.read_max)
		n = end->conn.read_max;
	buf_add(&piece, bytes_of(end->in.at, n));
	buf_consume(&end->in, n);
	if (end->in.len == 0 && end->other) {
		end->other->drained = true;
		deliver_soon(end->other);
	}
	end->conn.events->on_data(end->conn.ctx, piece.at, piece.len);
	buf_release(&piece);
}

static void on_deliver(void *ctx)
{
	struct end *end = ctx;

	end->busy = true;
	if (end->drained && end->conn.events && end->conn.events->on_drain) {
		end->drained = false;
		end->conn.events->on_drain(end->conn.ctx);
	}
	if (end->conn.events && !end->paused && end->in.len > 0)
		deliver_data(end);
	if (end->conn.events && !end->other && !end->told && end->in.len == 0) {
		end->told = true;
		end->conn.events->on_close(end->conn.ctx, 0);
	}
	end->busy = false;
	if (end->closed)
		end_free(end);
	else if (!end->paused && end->in.len > 0)
		deliver_soon(end);
}

static void end_write(struct conn *conn, struct buf *data)
{
	struct end *end = end_of(conn);

	if (end->other && data->len > 0) {
		buf_add(&end->other->in, buf_bytes(data));
		deliver_soon(end->other);
	}
	buf_clear(data);
}

static size_t end_queued(const struct conn *conn)
{
	const struct end *other = end_of(conn)->other;

	return other ? other->in.len : 0;
}

static void end_pause(struct conn *conn)
{
	end_of(conn)->paused = true;
}

static void end_resume(struct conn *conn)
{
	end_of(conn)->paused = false;
	deliver_soon(end_of(conn));
}

static void end_close(struct conn *conn)
{
	struct end *end = end_of(conn);

	conn->events = NULL;
	if (end->other) {
		end->other->other = NULL;
		deliver_soon(end->other);
	}
	end->closed = true;
	if (!end->busy)
		end_free(end);
}

static const struct conn_ops end_ops = {
	.write = end_write,
	.queued = end_queued,
	.pause = end_pause,
	.resume = end_resume,
	.close = end_close,
};

static struct end *end_new(struct memory_board *board, const struct multiaddr *local,
			   const struct multiaddr *remote)
{
	struct end *end = xnew(struct end);

	end->board = board;
	end->conn.ops = &end_ops;
	end->conn.local = *local;
	end->conn.remote = *remote;
	return end;
}

/* ---- dialling ---- */

/* The number of a /memory/N address, as its 8 bytes; false: another address. */
static bool number_of(const struct multiaddr *addr, struct bytes *number)
{
	struct multiaddr_part part;

	if (!multiaddr_find(addr, MA_MEMORY, &part) || part.value.len != 8)
		return false;
	*number = part.value;
	return true;
}

static bool memory_can_dial(struct transport *transport, const struct multiaddr *addr)
{
	struct bytes number;

	(void)transport;
	return number_of(addr, &number);
}

static void on_dial(void *ctx)
{
	struct memory_dial *dial = ctx;
	struct memory_board *board = dial->memory->board;
	transport_dialed_fn *done = dial->done;
	void *done_ctx = dial->ctx;
	struct bytes number = { 0 };
	struct memory *to =
		number_of(&dial->addr, &number) ? map_get(&board->listeners, number) : NULL;
	struct end *ours, *theirs;

	if (!to || to->held) {
		free(dial);
		done(done_ctx, -ECONNREFUSED, (struct raw_link){ 0 });
		return;
	}
	ours = end_new(board, &dial->memory->addr, &dial->addr);
	theirs = end_new(board, &dial->addr, &dial->memory->addr);
	ours->other = theirs;
	theirs->other = ours;
	free(dial);
	to->accept(to->accept_ctx, (struct raw_link){ .conn = &theirs->conn });
	done(done_ctx, 0, (struct raw_link){ .conn = &ours->conn });
}

static void *memory_dial(struct transport *transport, const struct multiaddr *addr,
			 uint64_t timeout_ms, transport_dialed_fn *done, void *ctx)
{
	struct memory *memory = memory_of(transport);
	struct memory_dial *dial = xnew(struct memory_dial);

	(void)timeout_ms; /* it is connected or refused in the next turn */
	*dial = (struct memory_dial){ .memory = memory, .addr = *addr, .done = done, .ctx = ctx };
	timer_start(loop_timers(memory->board->loop), &dial->timer, 0, on_dial, dial);
	return dial;
}

static void memory_dial_cancel(struct transport *transport, void *handle)
{
	struct memory_dial *dial = handle;

	timer_stop(loop_timers(memory_of(transport)->board->loop), &dial->timer);
	free(dial);
}

/* ---- listening ---- */

static void number_put(uint8_t out[static 8], uint64_t n)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(n >> (56 - 8 * i));
}

static int memory_listen(struct transport *transport, const struct multiaddr *addr,
			 transport_accept_fn *accept, void *ctx)
{
	static const uint8_t any[8];
	struct memory *memory = memory_of(transport);
	struct map *listeners = &memory->board->listeners;
	uint8_t chosen[8];
	struct bytes number;

	if (!number_of(addr, &number))
		return -ENOTSUP;
	if (memory->accept || listeners->count == MEMORY_LISTENERS_MAX)
		return -EAGAIN;
	if (bytes_equal(number, bytes_of(any, sizeof any))) {
		do
			number_put(chosen, ++memory->board->next);
		while (map_get(listeners, bytes_of(chosen, sizeof chosen)));
		number = bytes_of(chosen, sizeof chosen);
	} else if (map_get(listeners, number)) {
		return -EADDRINUSE;
	}
	memory->addr = (struct multiaddr){ 0 };
	multiaddr_add(&memory->addr, MA_MEMORY, number);
	memory->accept = accept;
	memory->accept_ctx = ctx;
	map_set(listeners, number, memory);
	return 0;
}

static size_t memory_listen_addrs(const struct transport *transport, struct multiaddr *addrs,
				  size_t max)
{
	const struct memory *memory = memory_of(transport);

	if (!memory->accept)
		return 0;
	if (max > 0)
		addrs[0] = memory->addr;
	return 1;
}

static void memory_hold(struct transport *transport, bool hold)
{
	memory_of(transport)->held = hold;
}

static void memory_close(struct transport *transport, void (*done)(void *ctx), void *ctx)
{
	struct memory *memory = memory_of(transport);
	struct bytes number;

	if (memory->accept && number_of(&memory->addr, &number))
		map_remove(&memory->board->listeners, number);
	free(memory);
	done(ctx);
}

static const struct transport_ops memory_ops = {
	.can_dial = memory_can_dial,
	.dial = memory_dial,
	.dial_cancel = memory_dial_cancel,
	.listen = memory_listen,
	.listen_addrs = memory_listen_addrs,
	.hold = memory_hold,
	.close = memory_close,
};

struct transport *memory_new(struct memory_board *board)
{
	static const uint8_t nowhere[8];
	struct memory *memory = xnew(struct memory);

	memory->transport.ops = &memory_ops;
	memory->board = board;
	multiaddr_add(&memory->addr, MA_MEMORY, bytes_of(nowhere, sizeof nowhere));
	return &memory->transport;
}

struct memory_board *memory_board_new(struct loop *loop)
{
	struct memory_board *board = xnew(struct memory_board);

	board->loop = loop;
	return board;
}

void memory_board_free(struct memory_board *board)
{
	if (!board)
		return;
	assert(board->listeners.count == 0);
	map_release(&board->listeners);
	free(board);
}
