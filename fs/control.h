/* The control socket: how commands talk to the daemon of their repository. control.sock, mode 0600,
 * SOCK_STREAM.
 *
 * Frames, both ways:
 *   offset len
 *    0      4   length of what follows the head, big-endian, at most CONTROL_FRAME_MAX
 *    4      4   request id, chosen by the client
 *    8      1   kind
 *    9      .   body
 *
 *   client -> daemon            daemon -> client
 *   CALL  {"cmd", "args"}       ITEM  JSON, any number (streamed output)
 *                               DONE  JSON: the result, {"error", "errno"} when it failed
 *   OPEN_SESSION                (none) the request id names the session from now on
 *   CLOSE_SESSION               (none)
 *   FETCH  u32 session, u32 ms, cid     BLOCK data | FAIL u32 errno      (ms 0xffffffff: no
 *   deadline; FAIL ends with u32 asked, u32 known, u32 providers when it timed out: struct wait_tried)
 *   PREFETCH u32 session, { u8 len, cid }...      (none) HAVE   { u8 len, cid }...   (none)
 *   CANCEL                      (none) request id of the CALL or FETCH to give up
 *
 * A client that goes away cancels all it asked for. Bytes from the socket are hostile like any
 * others. */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include "exchange/exchange.h"

#include <jansson.h>

#define CONTROL_FRAME_MAX (BLOCK_MAX + 1024)
#define CONTROL_CLIENTS_MAX 256

enum control_kind {
	CONTROL_CALL = 1,
	CONTROL_ITEM = 2,
	CONTROL_DONE = 3,
	CONTROL_OPEN_SESSION = 4,
	CONTROL_CLOSE_SESSION = 5,
	CONTROL_FETCH = 6,
	CONTROL_BLOCK = 7,
	CONTROL_FAIL = 8,
	CONTROL_PREFETCH = 9,
	CONTROL_HAVE = 10,
	CONTROL_CANCEL = 11,
};

/* Become the one daemon of the repository, for as long as the returned descriptor is open:
 * -EADDRINUSE when another process is. Any thread. */
int control_lock(const char *repo_path);
/* Does a daemon own the repository, be it just starting or ending? *pid: its process id, 0 when that is not known (it
 * began just now, or on a full disk). Takes nothing: a daemon that starts is not disturbed. Any thread. */
bool control_owned(const char *repo_path, int *pid);

/* ---- client: any one thread at a time, blocking ---- */

struct control;

/* Connects to the daemon of the repository. -ECONNREFUSED / -ENOENT: none runs. */
int control_connect(const char *repo_path, struct control **out);
/* The same, but waits for a daemon that starts, and for one that ends. -ENOENT: none runs, now; -ETIMEDOUT, -EINTR: as wait
 * says; -errno. */
int control_reach(const char *repo_path, struct wait *wait, struct control **out);
void control_close(struct control *control); /* NULL is ignored */
/* One command. args is taken. *result is owned by the caller (may be NULL on error). item (may be
 * NULL) gets streamed values, borrowed. Non-zero from item cancels. On failure *why (malloc'd) has
 * the daemon's message and -errno its errno. */
int control_call(struct control *control, const char *cmd, json_t *args, struct wait *wait,
		 int (*item)(void *ctx, json_t *value), void *ctx, json_t **result, char **why);
/* Did the daemon end before it answered anything of the last call? Then it may be asked again, of the next one. */
bool control_gone(const struct control *control);
/* A fetcher that asks the daemon: opens connections of its own, so many threads may use it. */
struct fetcher *fetcher_of_control(const char *repo_path);

/* ---- server: on the daemon's loop ---- */

struct control_server;
struct control_request; /* a CALL in progress; cancelled when its client goes */

/* What a command does: answer with control_item() any number of times and control_done() once, now
 * or later (on the loop thread, or from another thread with loop_post). cancelled(ctx) is told when
 * the client gave up: control_done() must still be called. */
typedef void control_command_fn(void *ctx, struct control_request *request, json_t *args);

struct control_command {
	const char *name;
	control_command_fn *run;
};

/* commands: ended by a NULL name; borrowed, as are exchange (may be NULL: FETCH fails with
 * EHOSTUNREACH) and store (may be NULL). The caller holds control_lock(): a socket file that is
 * there is dead and replaced. */
int control_server_start(struct loop *loop, const char *repo_path, struct exchange *exchange,
			 struct store *store, const struct control_command *commands, void *ctx,
			 struct control_server **out);
/* idle(ctx) is told whenever the last client has gone. It may be within a client's call: stop nothing there, but later. */
void control_server_on_idle(struct control_server *server, void (*idle)(void *ctx));
unsigned control_server_clients(const struct control_server *server);
/* Clients are cut off and their calls cancelled: each control_done() must still come. Before
 * exchange_free(). NULL is ignored. */
void control_server_stop(struct control_server *server);

void control_item(struct control_request *request, json_t *value); /* takes value */
/* err 0: value is the result (taken, may be NULL). err < 0: message is why. Ends the request. */
void control_done(struct control_request *request, int err, json_t *value, const char *message);
bool control_cancelled(const struct control_request *request);
void control_on_cancel(struct control_request *request, void (*cancelled)(void *ctx), void *ctx);

#endif
