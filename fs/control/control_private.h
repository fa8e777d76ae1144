/* Between the files of the control server. Loop thread only. */
#ifndef FS_CONTROL_PRIVATE_H
#define FS_CONTROL_PRIVATE_H

#include "fs/control/control_frame.h"
#include "fs/control/control_socket.h"
#include "net/base/list.h"

#include <uv.h>

/* Of one client. When one is reached, or more than this waits to be sent, nothing is read from it.
 */
#define CLIENT_FETCHES_MAX 64
#define CLIENT_CALLS_MAX 64
#define CLIENT_QUEUE_MAX (8u << 20)
/* More are refused or, for prefetches, left out. */
#define CLIENT_SESSIONS_MAX 256
#define CLIENT_PREFETCHES_MAX 2048

struct control_server {
	struct loop *loop;
	struct control_socket socket; /* its file */
	uv_pipe_t listener;
	struct exchange *exchange; /* may be NULL */
	struct store *store;
	const struct api_row *const *rows;
	void *host;
	struct list clients;
	unsigned client_count;
	void (*idle)(void *ctx); /* may be NULL */
};

struct control_client {
	struct control_server *server;
	struct list node;
	uv_pipe_t pipe;
	struct buf in;
	size_t queued; /* bytes on their way to the client */
	bool paused, closing, busy;
	struct list calls;	/* struct control_request */
	struct list sessions;	/* struct control_session */
	struct list fetches;	/* struct control_want, FETCH */
	struct list prefetches; /* struct control_want, PREFETCH */
	unsigned call_count, session_count, fetch_count, prefetch_count;
};

/* control_server.c: queue a frame; takes body's memory, or one reference to block. Closing clients
 * swallow it. */
void control_client_send(struct control_client *client, uint32_t id, enum control_kind kind,
			 struct buf *body, struct block *block);
/* Room again: read on, soon. */
void control_client_resume(struct control_client *client);

/* control_request.c: one frame from the client. -EBADMSG / -EPROTO: the client is thrown out. */
int control_client_frame(struct control_client *client, const struct control_frame *frame);
/* The client went: everything it asked for is given up. */
void control_client_drop(struct control_client *client);

#endif
