/* How a blocking thread gets blocks from elsewhere: from the engine on the loop, or from a daemon
 * by its control socket. */
#ifndef EXCHANGE_FETCHER_H
#define EXCHANGE_FETCHER_H

#include "exchange/store/block.h"
#include "net/base/wait.h"

struct exchange;
struct loop;

/* All functions are called on the asking thread. session is one that open() made. */
struct fetcher;
struct fetcher_ops {
	/* A session of its own for a tree or an open file; never NULL. */
	void *(*open)(struct fetcher *fetcher);
	void (*close)(struct fetcher *fetcher, void *session);
	/* Wait for one block: *out is one reference. Errors as exchange_get()'s, and -EINTR. When
	 * it timed out wait->tried tells which peers were asked, if the engine said so in time. */
	int (*fetch)(struct fetcher *fetcher, void *session, const struct cid *cid,
		     struct wait *wait, struct block **out);
	/* Ask for many, wait for none: they go to the store, and a fetch() for one joins the want.
	 */
	void (*prefetch)(struct fetcher *fetcher, void *session, const struct cid *cids,
			 size_t count);
	/* New local blocks (see exchange_have). */
	void (*have)(struct fetcher *fetcher, const struct cid *cids, size_t count);
	void (*free)(struct fetcher *fetcher);
};

struct fetcher {
	const struct fetcher_ops *ops;
};

/* A fetcher that posts to the engine's loop. Borrows both. Any thread may use it. Free on the
 * loop's thread (or when the loop runs no more), after the last blocking thread ended and before
 * exchange_free(). */
struct fetcher *fetcher_of_exchange(struct exchange *exchange, struct loop *loop);
void fetcher_free(struct fetcher *fetcher); /* NULL is ignored */

#endif
