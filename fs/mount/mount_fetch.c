/* The mount's own fetcher stands between dag/ and the real one. Here a request first waits for the
 * network, so here its deadline begins, its interrupt is listened to, and another thread takes over
 * what it leaves undone. Requests for local blocks never come by.
 *
 * Trees that change wait elsewhere too: for room, or by a fetcher of their own. Those waits are
 * found when they go to sleep; they have no deadline of the mount's.
 *
 * The deadline is per block, begun anew with each that comes. Once a wait of a request timed out or
 * was interrupted its further ones fail at once. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

static struct mount *mount_of(struct fetcher *fetcher)
{
	return container_of(fetcher, struct mount, fetcher);
}

static void *fetch_open(struct fetcher *fetcher)
{
	struct fetcher *below = mount_of(fetcher)->below;

	return below->ops->open(below);
}

static void fetch_close(struct fetcher *fetcher, void *session)
{
	struct fetcher *below = mount_of(fetcher)->below;

	below->ops->close(below, session);
}

void mount_fetch_cancel(struct mount *mount, uint64_t wait_id)
{
	pthread_mutex_lock(&mount->lock);
	for (unsigned i = 0; wait_id && i < MOUNT_THREADS_MAX; i++)
		if (mount->workers[i].wait_id == wait_id)
			wait_cancel(&mount->workers[i].wait);
	pthread_mutex_unlock(&mount->lock);
}

/* Called by the library with the request's lock held: it may be at its end already, so it is told
 * by number. */
static void on_interrupt(fuse_req_t req, void *data)
{
	mount_fetch_cancel(fuse_req_userdata(req), (uint64_t)(uintptr_t)data);
}

/* lock is held. Some threads are always left for local blocks. */
static bool must_park(struct worker *worker)
{
	struct mount *mount = worker->mount;

	if (!worker->req || mount->blocked < MOUNT_BLOCKED_MAX ||
	    mount->parked_count >= MOUNT_PARKED_MAX ||
	    mount->parked_bytes + worker->request->size > MOUNT_PARKED_BYTES_MAX)
		return false;
	worker->park = true;
	return true;
}

/* Calls at once when the interrupt came before. */
static void hear_interrupt(struct worker *worker)
{
	fuse_req_interrupt_func(worker->req, on_interrupt, (void *)(uintptr_t)worker->wait_id);
}

void mount_fetch_listen(struct worker *worker)
{
	struct mount *mount = worker->mount;

	worker->waited = worker->listening = true;
	pthread_mutex_lock(&mount->lock);
	worker->wait_id = ++mount->last_wait_id;
	pthread_mutex_unlock(&mount->lock);
	hear_interrupt(worker);
}

void mount_fetch_deafen(struct worker *worker)
{
	struct mount *mount = worker->mount;

	worker->listening = false;
	fuse_req_interrupt_func(worker->req, NULL, NULL);
	pthread_mutex_lock(&mount->lock);
	worker->wait_id = 0;
	pthread_mutex_unlock(&mount->lock);
}

/* Before a request waits for a block: notes the wait, so that an interrupt finds it, and has more
 * threads started when many wait. -EBUSY: it is to be parked. */
static int fetch_begin(struct worker *worker)
{
	struct mount *mount = worker->mount;

	wait_start(&worker->wait, worker->timeout_ms);
	worker->waited = true;
	pthread_mutex_lock(&mount->lock);
	int err = mount->hurrying ? -EINTR : must_park(worker) ? -EBUSY : 0;

	if (!err) {
		worker->wait_id = ++mount->last_wait_id;
		if (worker->req) {
			mount->blocked++;
			mount_threads_grow(mount);
		}
	}
	pthread_mutex_unlock(&mount->lock);
	if (err)
		return err;
	if (worker->req)
		hear_interrupt(worker);
	return 0;
}

static void mount_fetch_end(struct worker *worker)
{
	struct mount *mount = worker->mount;

	if (worker->req && !worker->listening)
		fuse_req_interrupt_func(worker->req, NULL, NULL);
	pthread_mutex_lock(&mount->lock);
	if (!worker->listening)
		worker->wait_id = 0;
	if (worker->req)
		mount->blocked--;
	pthread_mutex_unlock(&mount->lock);
}

void mount_fetch_sleep(struct wait *wait, bool begins)
{
	struct worker *worker = container_of(wait, struct worker, wait);
	struct mount *mount = worker->mount;
	bool ends = false;

	if (!begins) {
		if (worker->asleep)
			mount_fetch_end(worker);
		worker->asleep = false;
		return;
	}
	if (worker->wait_id || !worker->req)
		return;
	worker->waited = true;
	pthread_mutex_lock(&mount->lock);
	ends = mount->hurrying || must_park(worker);
	if (!ends) {
		worker->wait_id = ++mount->last_wait_id;
		worker->asleep = true;
		mount->blocked++;
		mount_threads_grow(mount);
	}
	pthread_mutex_unlock(&mount->lock);
	if (ends)
		wait_cancel(wait);
	else
		hear_interrupt(worker);
}

static int fetch_fetch(struct fetcher *fetcher, void *session, const struct cid *cid,
		       struct wait *wait, struct block **out)
{
	struct fetcher *below = mount_of(fetcher)->below;
	struct worker *worker = container_of(wait, struct worker, wait);
	int err = worker->gave_up;

	if (err)
		return err;
	err = fetch_begin(worker);
	if (!err) {
		err = below->ops->fetch(below, session, cid, wait, out);
		mount_fetch_end(worker);
	}
	if (err == -ETIMEDOUT || err == -EINTR || err == -EBUSY)
		worker->gave_up = err;
	return err;
}

static void fetch_prefetch(struct fetcher *fetcher, void *session, const struct cid *cids,
			   size_t count)
{
	struct fetcher *below = mount_of(fetcher)->below;

	below->ops->prefetch(below, session, cids, count);
}

static void fetch_have(struct fetcher *fetcher, const struct cid *cids, size_t count)
{
	struct fetcher *below = mount_of(fetcher)->below;

	below->ops->have(below, cids, count);
}

static void fetch_free(struct fetcher *fetcher)
{
	(void)fetcher; /* part of the mount; what is below is borrowed */
}

static const struct fetcher_ops fetch_ops = {
	.open = fetch_open,
	.close = fetch_close,
	.fetch = fetch_fetch,
	.prefetch = fetch_prefetch,
	.have = fetch_have,
	.free = fetch_free,
};

void mount_fetch_init(struct mount *mount)
{
	mount->fetcher.ops = &fetch_ops;
}
