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
 *   CALL  {"cmd", "args"}       ITEM  JSON, any number: what the call yields
 *   (fs/api/api.h)              TROUBLE {"error", "details"}: one of several things failed
 *                               DONE  null, {"error", "errno"} when it failed
 *   OPEN_SESSION                (none) the request id names the session from now on
 *   CLOSE_SESSION               (none)
 *   FETCH  u32 session, u32 ms, cid           BLOCK data | FAIL u32 errno, tried
 *   PREFETCH u32 session, { u8 len, cid }...  (none)
 *   HAVE   { u8 len, cid }...                 (none)
 *   CANCEL                                    (none) request id of the CALL or FETCH to give up
 *
 * ms 0xffffffff: no deadline. tried is u32 asked, u32 known, u32 providers (struct wait_tried) if
 * the fetch timed out and that is known, else nothing.
 *
 * A client that goes away cancels all it asked for. Bytes from the socket are hostile like any
 * others. */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include "exchange/exchange.h"
#include "fs/api/api.h"

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
	CONTROL_TROUBLE = 12,
};

/* Become the one daemon of the repository, for as long as the returned descriptor is open:
 * -EADDRINUSE when another process is. Any thread. */
int control_lock(const char *repo_path);
/* Does a daemon own the repository, be it just starting or ending? *pid: its process id, 0 when
 * that is not known (it began just now, or on a full disk). Takes nothing: a daemon that starts is
 * not disturbed. Any thread. */
bool control_owned(const char *repo_path, int *pid);

/* ---- client: any one thread at a time, blocking ---- */

struct control;

/* Connects to the daemon of the repository. -ECONNREFUSED / -ENOENT: none runs. */
int control_connect(const char *repo_path, struct control **out);
/* The same, but waits for a daemon that starts, and for one that ends. -ENOENT: none runs, now;
 * -ETIMEDOUT, -EINTR: as wait says; -errno. */
int control_reach(const char *repo_path, struct wait *wait, struct control **out);
void control_close(struct control *control); /* NULL is ignored */
/* One call, by its name. args is taken. take (may be NULL) gets ITEMs and TROUBLEs as they come,
 * borrowed; non-zero from it cancels. On failure *why (malloc'd) has the daemon's message and
 * -errno its errno. An interrupted call still takes what the daemon says to that, and is 0 when
 * that is a good end. */
int control_call(struct control *control, const char *name, json_t *args, struct wait *wait,
		 int (*take)(void *ctx, enum control_kind kind, json_t *value), void *ctx,
		 char **why);
/* Did the daemon end before it answered anything of the last call? Then it may be asked again, of
 * the next one. */
bool control_gone(const struct control *control);
/* A fetcher that asks the daemon: opens connections of its own, so many threads may use it. */
struct fetcher *fetcher_of_control(const char *repo_path);

/* ---- server: on the daemon's loop ---- */

struct control_server;
/* rows: what may be called, of them those with a run_daemon, whose host is host; ended by NULL;
 * borrowed, as are exchange (may be NULL: FETCH fails with EHOSTUNREACH) and store (may be NULL).
 * The caller holds control_lock(): a socket file that is there is dead and replaced. */
int control_server_start(struct loop *loop, const char *repo_path, struct exchange *exchange,
			 struct store *store, const struct api_row *const *rows, void *host,
			 struct control_server **out);
/* idle(ctx) is told whenever the last client has gone. It may be within a client's call: stop
 * nothing there, but later. */
void control_server_on_idle(struct control_server *server, void (*idle)(void *ctx));
unsigned control_server_clients(const struct control_server *server);
/* Clients are cut off and their calls cancelled: each api_end() must still come. Before
 * exchange_free(). NULL is ignored. */
void control_server_stop(struct control_server *server);

#endif
