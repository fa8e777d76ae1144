/* Blocks through the daemon: one connection of its own, shared by all threads; a reader thread
 * hands answers to those that wait. What comes is not hashed again: the daemon did, and whoever
 * can answer on its socket can write to the store as well. */
#include "fs/control/control_frame.h"
#include "fs/control/control_socket.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/thread.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HAVE_MAX 1024 /* CIDs in one frame */
#define TELL_MS                                                                                    \
	500 /* after its deadline a fetch waits so much longer for the daemon to say what was      \
	       tried */

struct control_fetcher {
	struct fetcher base;
	int fd;
	pthread_t reader;
	pthread_mutex_t lock; /* of all below, and of writing to fd */
	bool dead;	      /* the connection broke: nothing can be fetched any more */
	uint32_t next_id;
	struct list pending; /* struct pending */
};

/* A thread that waits; on its stack. */
struct pending {
	struct list node;
	uint32_t id;
	struct wait *wait;
	atomic_bool done;
	int err;
	struct wait_tried tried;
	struct cid cid;
	struct block *block;
};

struct session {
	uint32_t id;
};

/* With the lock held. */
static void send_frame(struct control_fetcher *fetcher, uint32_t id, enum control_kind kind,
		       struct bytes body)
{
	struct buf out = { 0 };
	size_t sent = 0;

	control_frame_encode(&out, id, kind, body);
	while (!fetcher->dead && sent < out.len) {
		ssize_t n = send(fetcher->fd, out.at + sent, out.len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			fetcher->dead = true;
	}
	buf_release(&out);
}

/* ---- the reader ---- */

static int read_exactly(int fd, uint8_t *at, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, at, len, MSG_WAITALL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static struct pending *find_pending(struct control_fetcher *fetcher, uint32_t id)
{
	list_for_each(pending, &fetcher->pending, struct pending, node)
		if (pending->id == id)
			return pending;
	return NULL;
}

/* Takes body's memory for a block. */
static void fetcher_answer(struct pending *pending, enum control_kind kind, struct buf *body)
{
	if (kind == CONTROL_BLOCK && body->len <= BLOCK_MAX) {
		pending->block = block_take(&pending->cid, body);
	} else {
		pending->err = kind == CONTROL_FAIL
				       ? control_fail_decode(buf_bytes(body), &pending->tried)
				       : -EIO;
		if (pending->err == -ECANCELED) /* not by us: its network is being closed */
			pending->err = -ESHUTDOWN;
	}
	atomic_store(&pending->done, true);
	wait_wake(pending->wait);
}

/* Reads one frame and gives it to the thread that waits for it. Late answers find nobody and are
 * dropped. */
static int read_one(struct control_fetcher *fetcher)
{
	uint8_t head[CONTROL_HEAD_LEN];
	struct control_frame frame;
	struct pending *pending;
	struct buf body = { 0 };
	struct cursor c;
	uint32_t len;
	int err = read_exactly(fetcher->fd, head, sizeof(head));

	if (err)
		return err;
	if (control_frame_decode(&frame, bytes_of(head, sizeof(head))) < 0)
		return -EBADMSG;
	c = cursor_over(bytes_of(head, sizeof(head)));
	len = cursor_be32(&c);
	err = read_exactly(fetcher->fd, buf_reserve(&body, len + 1), len);
	body.len = len;
	pthread_mutex_lock(&fetcher->lock);
	pending = err ? NULL : find_pending(fetcher, cursor_be32(&c));
	if (pending)
		fetcher_answer(pending, cursor_u8(&c), &body);
	pthread_mutex_unlock(&fetcher->lock);
	buf_release(&body);
	return err;
}

static void *read_all(void *ctx)
{
	struct control_fetcher *fetcher = ctx;

	while (read_one(fetcher) == 0)
		;
	pthread_mutex_lock(&fetcher->lock);
	fetcher->dead = true;
	list_for_each(pending, &fetcher->pending, struct pending, node) {
		if (atomic_load(&pending->done))
			continue;
		pending->err = -ESHUTDOWN;
		atomic_store(&pending->done, true);
		wait_wake(pending->wait);
	}
	pthread_mutex_unlock(&fetcher->lock);
	return NULL;
}

/* ---- the fetcher ---- */

static void *control_open(struct fetcher *base)
{
	struct control_fetcher *fetcher = container_of(base, struct control_fetcher, base);
	struct session *session = xnew(struct session);

	pthread_mutex_lock(&fetcher->lock);
	session->id = ++fetcher->next_id;
	send_frame(fetcher, session->id, CONTROL_OPEN_SESSION, bytes_of(NULL, 0));
	pthread_mutex_unlock(&fetcher->lock);
	return session;
}

static void control_shut(struct fetcher *base, void *ctx)
{
	struct control_fetcher *fetcher = container_of(base, struct control_fetcher, base);
	struct session *session = ctx;

	pthread_mutex_lock(&fetcher->lock);
	send_frame(fetcher, session->id, CONTROL_CLOSE_SESSION, bytes_of(NULL, 0));
	pthread_mutex_unlock(&fetcher->lock);
	free(session);
}

static uint32_t left_ms(const struct wait *wait)
{
	uint64_t now_ms = monotonic_ms();

	if (wait->deadline_ms == UINT64_MAX)
		return CONTROL_NO_DEADLINE;
	if (wait->deadline_ms <= now_ms)
		return 0;
	return wait->deadline_ms - now_ms < CONTROL_NO_DEADLINE
		       ? (uint32_t)(wait->deadline_ms - now_ms)
		       : CONTROL_NO_DEADLINE;
}

/* Sends one request and notes that its answer is awaited. */
static int fetcher_ask(struct control_fetcher *fetcher, struct session *session,
		       struct pending *pending)
{
	struct control_fetch fetch = { .session = session->id, .ms = left_ms(pending->wait) };
	struct buf body = { 0 };
	int err = 0;

	fetch.cid = pending->cid;
	control_fetch_encode(&body, &fetch);
	pthread_mutex_lock(&fetcher->lock);
	pending->id = ++fetcher->next_id;
	if (!fetcher->dead)
		send_frame(fetcher, pending->id, CONTROL_FETCH, buf_bytes(&body));
	if (fetcher->dead)
		err = -ESHUTDOWN;
	else
		list_add_tail(&fetcher->pending, &pending->node);
	pthread_mutex_unlock(&fetcher->lock);
	buf_release(&body);
	return err;
}

/* Asks the daemon for a block and waits. The daemon keeps the deadline; a little longer is
 * waited, so that it can tell why there was no answer. */
static int control_fetch(struct fetcher *base, void *session, const struct cid *cid,
			 struct wait *wait, struct block **out)
{
	struct control_fetcher *fetcher = container_of(base, struct control_fetcher, base);
	struct pending pending = { .wait = wait, .cid = *cid };
	int err = fetcher_ask(fetcher, session, &pending);

	if (err)
		return err;
	while (!atomic_load(&pending.done) && !err)
		err = wait_sleep_longer(wait, TELL_MS);
	pthread_mutex_lock(&fetcher->lock);
	list_remove(&pending.node);
	if (!atomic_load(&pending.done))
		send_frame(fetcher, pending.id, CONTROL_CANCEL, bytes_of(NULL, 0));
	else
		err = pending.err; /* it came after all */
	pthread_mutex_unlock(&fetcher->lock);
	wait->tried = pending.tried;
	if (!err)
		*out = pending.block;
	return err;
}

static void control_prefetch(struct fetcher *base, void *ctx, const struct cid *cids, size_t count)
{
	struct control_fetcher *fetcher = container_of(base, struct control_fetcher, base);
	struct session *session = ctx;
	struct buf body = { 0 };

	buf_add_be32(&body, session->id);
	for (size_t i = 0; i < count && i < EXCHANGE_PREFETCH_MAX; i++)
		control_cid_encode(&body, &cids[i]);
	pthread_mutex_lock(&fetcher->lock);
	send_frame(fetcher, 0, CONTROL_PREFETCH, buf_bytes(&body));
	pthread_mutex_unlock(&fetcher->lock);
	buf_release(&body);
}

static void control_have(struct fetcher *base, const struct cid *cids, size_t count)
{
	struct control_fetcher *fetcher = container_of(base, struct control_fetcher, base);

	while (count) {
		size_t part = count < HAVE_MAX ? count : HAVE_MAX;
		struct buf body = { 0 };

		for (size_t i = 0; i < part; i++)
			control_cid_encode(&body, &cids[i]);
		pthread_mutex_lock(&fetcher->lock);
		send_frame(fetcher, 0, CONTROL_HAVE, buf_bytes(&body));
		pthread_mutex_unlock(&fetcher->lock);
		buf_release(&body);
		cids += part;
		count -= part;
	}
}

static void control_free(struct fetcher *base)
{
	struct control_fetcher *fetcher = container_of(base, struct control_fetcher, base);

	shutdown(fetcher->fd, SHUT_RDWR);
	pthread_join(fetcher->reader, NULL);
	close(fetcher->fd);
	pthread_mutex_destroy(&fetcher->lock);
	free(fetcher);
}

static const struct fetcher_ops control_fetcher_ops = {
	.open = control_open,
	.close = control_shut,
	.fetch = control_fetch,
	.prefetch = control_prefetch,
	.have = control_have,
	.free = control_free,
};

struct fetcher *fetcher_of_control(const char *repo_path)
{
	struct control_fetcher *fetcher;
	int fd = control_socket_connect(repo_path);

	if (fd < 0)
		return NULL;
	fetcher = xnew(struct control_fetcher);
	fetcher->base.ops = &control_fetcher_ops;
	fetcher->fd = fd;
	list_init(&fetcher->pending);
	pthread_mutex_init(&fetcher->lock, NULL);
	if (thread_start(&fetcher->reader, read_all, fetcher)) {
		close(fd);
		pthread_mutex_destroy(&fetcher->lock);
		free(fetcher);
		return NULL;
	}
	return &fetcher->base;
}
