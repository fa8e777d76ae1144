/* Byte pipes over uv_tcp, and dialling them. A closed pipe loses its owner at once, and its
 * memory stays until libuv has called back; the pool counts such handles, so that closing a
 * transport can wait for them. Loop thread. */
#include "net/transport/conn.h"

#include "net/base/alloc.h"
#include "net/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define STARVED_WARN_MS 60000

struct conn_pool {
	struct loop *loop;
	uint8_t *read_buffer; /* made at the first read */
	size_t handles;
	bool closing;
	uint64_t warn_ms;   /* no warning of open files before */
	struct timer ended; /* when nothing was open at the close */
	void (*done)(void *ctx);
	void *ctx;
};

/* One socket. While it connects it is the struct conn_dial of its caller. */
struct tcp_conn {
	struct conn conn;
	struct conn_pool *pool;
	uv_tcp_t tcp;
	uv_connect_t connect;
	struct timer timeout; /* of the connect; also reports an early error */
	transport_dialed_fn *dialed;
	void *dialed_ctx;
	int early_err;
	bool dead;    /* the owner was told */
	bool closing; /* uv_close() was called */
};

struct tcp_write {
	uv_write_t req;
	struct buf data;
};

/* ---- the pool ---- */

struct conn_pool *conn_pool_new(struct loop *loop)
{
	struct conn_pool *pool = xnew(struct conn_pool);

	pool->loop = loop;
	return pool;
}

struct loop *conn_pool_loop(const struct conn_pool *pool)
{
	return pool->loop;
}

static void pool_end(void *ctx)
{
	struct conn_pool *pool = ctx;
	void (*done)(void *ctx) = pool->done;
	void *done_ctx = pool->ctx;

	free(pool->read_buffer);
	free(pool);
	done(done_ctx);
}

void conn_pool_close(struct conn_pool *pool, void (*done)(void *ctx), void *ctx)
{
	pool->closing = true;
	pool->done = done;
	pool->ctx = ctx;
	if (pool->handles == 0)
		timer_start(loop_timers(pool->loop), &pool->ended, 0, pool_end, pool);
}

void conn_pool_hold(struct conn_pool *pool)
{
	pool->handles++;
}

void conn_pool_drop(struct conn_pool *pool)
{
	assert(pool->handles > 0);
	if (--pool->handles == 0 && pool->closing)
		pool_end(pool);
}

void conn_pool_starved(struct conn_pool *pool, int err)
{
	uint64_t now_ms = timers_now(loop_timers(pool->loop));

	if ((err != -EMFILE && err != -ENFILE) || now_ms < pool->warn_ms)
		return;
	pool->warn_ms = now_ms + STARVED_WARN_MS;
	log_warn("swarm", "no more open files (%s): connections wait",
		 err == -EMFILE ? "ulimit -n" : "all of the system's are in use");
}

/* ---- reading ---- */

/* The owner hears of the end once; it answers with close(), now or later. */
static void die(struct tcp_conn *tc, int err)
{
	if (tc->dead)
		return;
	tc->dead = true;
	if (!tc->closing)
		uv_read_stop((uv_stream_t *)&tc->tcp);
	if (tc->conn.events && tc->conn.events->on_close)
		tc->conn.events->on_close(tc->conn.ctx, err);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct tcp_conn *tc = handle->data;

	(void)suggested;
	if (!tc->pool->read_buffer)
		tc->pool->read_buffer = xcalloc(1, CONN_READ_BUFFER);
	size_t len = tc->conn.read_max;

	if (len == 0 || len > CONN_READ_BUFFER)
		len = CONN_READ_BUFFER;
	*buf = uv_buf_init((char *)tc->pool->read_buffer, (unsigned)len);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct tcp_conn *tc = stream->data;

	if (nread == 0 || tc->dead)
		return;
	if (nread < 0)
		die(tc, nread == UV_EOF ? 0 : (int)nread);
	else if (tc->conn.events)
		tc->conn.events->on_data(tc->conn.ctx, (uint8_t *)buf->base, (size_t)nread);
}

static void tcp_pause(struct conn *conn)
{
	struct tcp_conn *tc = container_of(conn, struct tcp_conn, conn);

	if (!tc->closing)
		uv_read_stop((uv_stream_t *)&tc->tcp);
}

static void tcp_resume(struct conn *conn)
{
	struct tcp_conn *tc = container_of(conn, struct tcp_conn, conn);

	if (!tc->closing && !tc->dead)
		uv_read_start((uv_stream_t *)&tc->tcp, on_alloc, on_read);
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status)
{
	struct tcp_write *write = container_of(req, struct tcp_write, req);
	struct tcp_conn *tc = req->handle->data;

	buf_release(&write->data);
	free(write);
	if (tc->closing || tc->dead)
		return;
	if (status < 0)
		die(tc, status);
	else if (uv_stream_get_write_queue_size((uv_stream_t *)&tc->tcp) == 0 && tc->conn.events &&
		 tc->conn.events->on_drain)
		tc->conn.events->on_drain(tc->conn.ctx);
}

/* Writes at once what the socket takes, and queues the rest. A write that the kernel takes whole
 * needs no request and no copy. */
static void tcp_write(struct conn *conn, struct buf *data)
{
	struct tcp_conn *tc = container_of(conn, struct tcp_conn, conn);
	uv_stream_t *stream = (uv_stream_t *)&tc->tcp;
	size_t sent = 0;

	if (tc->closing || tc->dead || data->len == 0) {
		buf_clear(data);
		return;
	}
	if (uv_stream_get_write_queue_size(stream) == 0) {
		uv_buf_t now = uv_buf_init((char *)data->at, (unsigned)data->len);
		int n = uv_try_write(stream, &now, 1);

		/* An error comes again from uv_write(), at a time when the owner can be told. */
		if (n > 0)
			sent = (size_t)n;
		if (sent == data->len) {
			buf_clear(data);
			return;
		}
	}
	struct tcp_write *write = xnew(struct tcp_write);

	write->data = *data;
	*data = (struct buf){ 0 };
	uv_buf_t rest =
		uv_buf_init((char *)write->data.at + sent, (unsigned)(write->data.len - sent));
	int err = uv_write(&write->req, stream, &rest, 1, on_written);

	/* Only a handle that is not a connected stream is refused, and then nothing was queued. */
	assert(err == 0);
}

static size_t tcp_queued(const struct conn *conn)
{
	const struct tcp_conn *tc = container_of(conn, const struct tcp_conn, conn);

	return uv_stream_get_write_queue_size((const uv_stream_t *)&tc->tcp);
}

/* ---- opening and closing ---- */

static void on_closed(uv_handle_t *handle)
{
	struct tcp_conn *tc = handle->data;
	struct conn_pool *pool = tc->pool;

	free(tc);
	conn_pool_drop(pool);
}

static void tcp_close(struct conn *conn)
{
	struct tcp_conn *tc = container_of(conn, struct tcp_conn, conn);

	assert(!tc->closing);
	tc->conn.events = NULL; /* late ECANCELED callbacks find no one */
	tc->closing = tc->dead = true;
	timer_stop(loop_timers(tc->pool->loop), &tc->timeout);
	uv_close((uv_handle_t *)&tc->tcp, on_closed);
}

static const struct conn_ops tcp_conn_ops = {
	.write = tcp_write,
	.queued = tcp_queued,
	.pause = tcp_pause,
	.resume = tcp_resume,
	.close = tcp_close,
};

static struct tcp_conn *tcp_conn_new(struct conn_pool *pool)
{
	struct tcp_conn *tc = xnew(struct tcp_conn);

	tc->conn.ops = &tcp_conn_ops;
	tc->pool = pool;
	uv_tcp_init(loop_uv(pool->loop), &tc->tcp); /* cannot fail without flags */
	tc->tcp.data = tc;
	conn_pool_hold(pool);
	return tc;
}

/* The socket is connected: learn both ends, set the options, begin to read. */
static int tcp_conn_up(struct tcp_conn *tc)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);
	int err = uv_tcp_getpeername(&tc->tcp, (struct sockaddr *)&addr, &len);

	if (!err)
		err = multiaddr_from_sockaddr(&tc->conn.remote, (struct sockaddr *)&addr);
	len = sizeof(addr);
	if (!err)
		err = uv_tcp_getsockname(&tc->tcp, (struct sockaddr *)&addr, &len);
	if (!err)
		err = multiaddr_from_sockaddr(&tc->conn.local, (struct sockaddr *)&addr);
	if (err)
		return err;
	uv_tcp_nodelay(&tc->tcp, 1);
	uv_tcp_keepalive(&tc->tcp, 1, CONN_KEEPALIVE_S);
	return uv_read_start((uv_stream_t *)&tc->tcp, on_alloc, on_read);
}

struct conn *conn_accept(struct conn_pool *pool, struct uv_stream_s *server, int *err)
{
	struct tcp_conn *tc = tcp_conn_new(pool);

	*err = uv_accept(server, (uv_stream_t *)&tc->tcp);
	if (!*err)
		*err = tcp_conn_up(tc);
	if (!*err)
		return &tc->conn;
	tcp_close(&tc->conn);
	return NULL;
}

/* The single way out of a dial. */
static void dial_end(struct tcp_conn *tc, int err)
{
	transport_dialed_fn *done = tc->dialed;
	void *ctx = tc->dialed_ctx;

	timer_stop(loop_timers(tc->pool->loop), &tc->timeout);
	tc->dialed = NULL;
	if (!err)
		err = tcp_conn_up(tc);
	if (err)
		tcp_close(&tc->conn);
	done(ctx, err, (struct raw_link){ .conn = err ? NULL : &tc->conn });
}

static void on_connect(uv_connect_t *req, int status)
{
	struct tcp_conn *tc = container_of(req, struct tcp_conn, connect);

	if (!tc->closing)
		dial_end(tc, status);
}

static void on_dial_timer(void *ctx)
{
	struct tcp_conn *tc = ctx;

	dial_end(tc, tc->early_err ? tc->early_err : -ETIMEDOUT);
}

struct conn_dial *conn_dial(struct conn_pool *pool, const struct multiaddr *addr,
			    uint64_t timeout_ms, transport_dialed_fn *done, void *ctx)
{
	struct tcp_conn *tc = tcp_conn_new(pool);
	struct sockaddr_storage to;
	int err = multiaddr_to_sockaddr(addr, &to);

	tc->dialed = done;
	tc->dialed_ctx = ctx;
	if (!err)
		err = uv_tcp_connect(&tc->connect, &tc->tcp, (struct sockaddr *)&to, on_connect);
	tc->early_err = err;
	conn_pool_starved(pool, err);
	timer_start(loop_timers(pool->loop), &tc->timeout, err ? 0 : timeout_ms, on_dial_timer, tc);
	return (struct conn_dial *)tc;
}

void conn_dial_cancel(struct conn_dial *dial)
{
	if (dial)
		tcp_close(&((struct tcp_conn *)dial)->conn);
}
