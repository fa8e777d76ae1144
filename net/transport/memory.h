/* The in-memory transport: byte pipes between swarms of one loop, at /memory/N. Tests and examples
 * use it, and it is the smallest example of a transport. Loop thread only. */
#ifndef NET_MEMORY_H
#define NET_MEMORY_H

#include "net/base/loop.h"
#include "net/channel.h"

#define MEMORY_LISTENERS_MAX 1024 /* of a board */

/* The board where the listeners of one loop stand. */
struct memory_board;
/* Borrows loop. */
struct memory_board *memory_board_new(struct loop *loop);
/* Every transport of it has been closed before. NULL is ignored. */
void memory_board_free(struct memory_board *board);

/* A transport that dials and listens at /memory/N; N is 0: a free number is chosen. Borrows board.
 * Released by its ops->close(). -EADDRINUSE from listen() if another listens at N. */
struct transport *memory_new(struct memory_board *board);

#endif
