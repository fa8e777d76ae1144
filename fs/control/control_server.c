/* The daemon's side of the control socket: clients, and bytes from and to them. A client that
 * reads nothing is not read from either. Loop thread. */
#include "fs/control/control_private.h"
#include "fs/control/control_socket.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 65536
#define BACKLOG 64

/* ---- sending ---- */

struct send {
	uv_write_t req;
	struct control_client *client;
	uint8_t head[CONTROL_HEAD_LEN];
	struct buf body;
	struct block *block;
	size_t len;
};

static bool is_full(const struct control_client *client)
{
	return client->queued > CLIENT_QUEUE_MAX || client->fetch_count >= CLIENT_FETCHES_MAX ||
	       client->call_count >= CLIENT_CALLS_MAX;
}

static void send_free(struct send *send)
{
	buf_release(&send->body);
	block_unref(send->block);
	free(send);
}

/* Runs before the client is freed: libuv ends writes before it tells that the pipe is closed. */
static void on_sent(uv_write_t *req, int status)
{
	struct send *send = container_of(req, struct send, req);
	struct control_client *client = send->client;

	(void)status; /* a broken pipe shows in reading too */
	client->queued -= send->len;
	send_free(send);
	control_client_resume(client);
}

void control_client_send(struct control_client *client, uint32_t id, enum control_kind kind,
			 struct buf *body, struct block *block)
{
	struct send *send = xnew(struct send);
	struct bytes data;
	uv_buf_t parts[2];

	if (body) {
		send->body = *body;
		*body = (struct buf){ 0 };
	}
	send->block = block;
	data = block ? block->data : buf_bytes(&send->body);
	if (client->closing || data.len > CONTROL_FRAME_MAX) {
		send_free(send);
		return;
	}
	send->client = client;
	send->len = data.len;
	control_head_encode(send->head, id, kind, data.len);
	parts[0] = uv_buf_init((char *)send->head, CONTROL_HEAD_LEN);
	parts[1] = uv_buf_init((char *)data.at, (unsigned)data.len);
	if (uv_write(&send->req, (uv_stream_t *)&client->pipe, parts, data.len ? 2 : 1, on_sent)) {
		send_free(send);
		return;
	}
	client->queued += send->len;
}

/* ---- clients ---- */

static void on_client_closed(uv_handle_t *handle)
{
	struct control_client *client =
		container_of((uv_pipe_t *)handle, struct control_client, pipe);

	buf_release(&client->in);
	free(client);
}

static void client_close(struct control_client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	control_client_drop(client);
	list_remove(&client->node);
	client->server->client_count--;
	if (!client->server->client_count && client->server->idle)
		client->server->idle(client->server->host);
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct control_client *client =
		container_of((uv_pipe_t *)handle, struct control_client, pipe);

	(void)suggested;
	*out = uv_buf_init((char *)buf_reserve(&client->in, READ_BYTES), READ_BYTES);
}

/* Whole frames, as long as there is room for what they ask. */
static void take_frames(struct control_client *client)
{
	size_t at = 0;

	if (client->busy)
		return; /* a frame's answer came at once: the loop below goes on */
	client->busy = true;
	while (!client->closing && !is_full(client)) {
		struct control_frame frame;
		ssize_t n = control_frame_decode(&frame, bytes_skip(buf_bytes(&client->in), at));
		int err = n < 0 ? (int)n : 0;

		if (n > 0)
			err = control_client_frame(client, &frame);
		if (err) {
			log_warn("control", "client thrown out err=%s", err_text(err));
			client_close(client);
		}
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	buf_consume(&client->in, at);
	client->busy = false;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct control_client *client =
		container_of((uv_pipe_t *)stream, struct control_client, pipe);

	(void)buf;
	if (n < 0) {
		client_close(client);
		return;
	}
	client->in.len += (size_t)n;
	take_frames(client);
	if (!client->closing && is_full(client)) {
		client->paused = true;
		uv_read_stop(stream);
	}
}

void control_client_resume(struct control_client *client)
{
	if (client->closing || !client->paused || is_full(client))
		return;
	take_frames(client);
	if (client->closing || is_full(client))
		return;
	client->paused = false;
	uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct control_server *server =
		container_of((uv_pipe_t *)stream, struct control_server, listener);
	struct control_client *client;

	if (status)
		return;
	client = xnew(struct control_client);
	client->server = server;
	list_init(&client->calls);
	list_init(&client->sessions);
	list_init(&client->fetches);
	list_init(&client->prefetches);
	list_add_tail(&server->clients, &client->node);
	server->client_count++;
	uv_pipe_init(loop_uv(server->loop), &client->pipe, 0);
	if (uv_accept(stream, (uv_stream_t *)&client->pipe) ||
	    server->client_count > CONTROL_CLIENTS_MAX ||
	    uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read))
		client_close(client);
}

/* ---- the server ---- */

static void on_listener_closed(uv_handle_t *handle)
{
	struct control_server *server =
		container_of((uv_pipe_t *)handle, struct control_server, listener);

	free(server);
}

int control_server_start(struct loop *loop, const char *repo_path, struct exchange *exchange,
			 struct store *store, const struct api_row *const *rows, void *host,
			 struct control_server **out)
{
	struct control_server *server;
	struct control_socket socket;
	int err, fd = control_socket_bind(repo_path, &socket);

	if (fd < 0)
		return fd;
	server = xnew(struct control_server);
	server->loop = loop;
	server->socket = socket;
	server->exchange = exchange;
	server->store = store;
	server->rows = rows;
	server->host = host;
	list_init(&server->clients);
	uv_pipe_init(loop_uv(loop), &server->listener, 0);
	err = uv_pipe_open(&server->listener, fd);
	if (err)
		close(fd);
	else
		err = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
	if (err) {
		control_server_stop(server);
		return err;
	}
	*out = server;
	return 0;
}

void control_server_on_idle(struct control_server *server, void (*idle)(void *ctx))
{
	server->idle = idle;
}

unsigned control_server_clients(const struct control_server *server)
{
	return server->client_count;
}

void control_server_stop(struct control_server *server)
{
	if (!server)
		return;
	server->idle = NULL;
	list_for_each_safe(client, &server->clients, struct control_client, node)
		client_close(client);
	control_socket_release(&server->socket);
	uv_close((uv_handle_t *)&server->listener, on_listener_closed);
}
