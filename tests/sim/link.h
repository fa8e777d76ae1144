/* One connection between two hosts, and the sender's line that all connections of a host share.
 * Private to simnet.c and link.c. */
#ifndef TESTS_SIM_LINK_H
#define TESTS_SIM_LINK_H

#include "tests/sim/simnet.h"

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
	struct host *host;   /* NULL: closed */
	struct peer_id peer; /* at the other end */
	struct list node, active;
	struct queue out; /* written, not sent */
	size_t queued;
	struct queue in;  /* on its way to this end */
	size_t coming;	  /* bytes of it */
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

static inline struct end *other(const struct end *end)
{
	struct link *link = end->link;

	return end == &link->ends[0] ? &link->ends[1] : &link->ends[0];
}

static inline bool end_closed(const struct end *end)
{
	return !end->host;
}

/* The listener's end is open at once, the dialler's when it has been told. Freed when both are
 * closed. */
struct link *link_new(struct host *dialler, struct host *listener);
/* What waits for end is delivered when it is due; always by a timer. */
void link_arm(struct end *end);
/* From a to b, drawn anew. */
uint64_t link_latency_ms(struct host *a, struct host *b);

#endif
