/* A fetcher that waits for each block as long as one may take, and not as long as the call that it
 * is for: a write may wait for room without end, but not for a block that nobody has. Any thread
 * but the loop's. */
#include "fs/mount/tree_share.h"

#include "exchange/exchange.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <pthread.h>
#include <stdlib.h>

#define FAILED_MAX 32 /* blocks that just did not come, remembered */
#define FAILED_MS 2000

struct patient {
	struct fetcher fetcher, *below;
	uint64_t timeout_ms;
	pthread_mutex_t lock; /* of what follows */
	struct cid failed[FAILED_MAX];
	uint64_t failed_ms[FAILED_MAX]; /* 0: none */
	size_t next;
};

static struct patient *patient_of(struct fetcher *fetcher)
{
	return container_of(fetcher, struct patient, fetcher);
}

static void *patient_open(struct fetcher *fetcher)
{
	struct fetcher *below = patient_of(fetcher)->below;

	return below->ops->open(below);
}

static void patient_close(struct fetcher *fetcher, void *session)
{
	struct fetcher *below = patient_of(fetcher)->below;

	below->ops->close(below, session);
}

static bool just_failed(struct patient *patient, const struct cid *cid)
{
	uint64_t now_ms = monotonic_ms();
	bool found = false;

	pthread_mutex_lock(&patient->lock);
	for (size_t i = 0; i < FAILED_MAX && !found; i++)
		found = patient->failed_ms[i] && now_ms < patient->failed_ms[i] + FAILED_MS &&
			cid_equal(&patient->failed[i], cid);
	pthread_mutex_unlock(&patient->lock);
	return found;
}

static void note_failed(struct patient *patient, const struct cid *cid)
{
	pthread_mutex_lock(&patient->lock);
	patient->failed[patient->next] = *cid;
	patient->failed_ms[patient->next] = monotonic_ms();
	patient->next = (patient->next + 1) % FAILED_MAX;
	pthread_mutex_unlock(&patient->lock);
}

static int patient_fetch(struct fetcher *fetcher, void *session, const struct cid *cid,
			 struct wait *wait, struct block **out)
{
	struct patient *patient = patient_of(fetcher);
	uint64_t before_ms = wait->deadline_ms, mine_ms = monotonic_ms() + patient->timeout_ms;

	if (just_failed(patient, cid))
		return -ETIMEDOUT;
	wait->deadline_ms = before_ms < mine_ms ? before_ms : mine_ms;
	int err = patient->below->ops->fetch(patient->below, session, cid, wait, out);

	wait->deadline_ms = before_ms;
	if (err == -ETIMEDOUT)
		note_failed(patient, cid);
	return err;
}

static void patient_prefetch(struct fetcher *fetcher, void *session, const struct cid *cids,
			     size_t count)
{
	struct fetcher *below = patient_of(fetcher)->below;

	below->ops->prefetch(below, session, cids, count);
}

static void patient_have(struct fetcher *fetcher, const struct cid *cids, size_t count)
{
	struct fetcher *below = patient_of(fetcher)->below;

	below->ops->have(below, cids, count);
}

static void patient_free(struct fetcher *fetcher)
{
	struct patient *patient = patient_of(fetcher);

	pthread_mutex_destroy(&patient->lock);
	free(patient);
}

static const struct fetcher_ops patient_ops = {
	.open = patient_open,
	.close = patient_close,
	.fetch = patient_fetch,
	.prefetch = patient_prefetch,
	.have = patient_have,
	.free = patient_free,
};

struct fetcher *tree_share_fetcher_new(struct fetcher *below, uint64_t timeout_ms)
{
	struct patient *patient = xnew(struct patient);

	patient->fetcher.ops = &patient_ops;
	patient->below = below;
	patient->timeout_ms = timeout_ms;
	pthread_mutex_init(&patient->lock, NULL);
	return &patient->fetcher;
}
