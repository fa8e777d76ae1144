/* From a peer id to a connection. All operations that want the same peer share one dial, which
 * tries its addresses in order of rank, staggered and a few at a time; names are resolved on the
 * way. The first address that answers with the right identity wins. Loop thread. */
#include "net/swarm/dial_private.h"

#include "net/base/log.h"
#include "net/base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_RETRY_MS 100 /* when all attempts of the process are taken */

static void dial_go(struct dial *dial);

/* ---- candidates ---- */

static void start_lookup(struct dial *dial, const struct multiaddr *addr, bool explicit);

/* explicit: the user's. again: also when it was tried in this dial. */
static void add_candidate(struct dial *dial, const struct multiaddr *given, bool explicit,
			  bool again)
{
	struct dials *dials = dial->dials;
	struct multiaddr addr = *given;
	struct peer_id named;

	while (multiaddr_split_peer(&addr, &named))
		if (!peer_id_equal(&named, &dial->peer))
			return;
	if (resolve_wanted(&addr)) {
		start_lookup(dial, &addr, explicit);
		return;
	}
	int rank = dial_rank(dials->swarm, &addr);

	if (rank < 0)
		dial_note_tried(dial, &addr, -EPROTONOSUPPORT, NULL);
	if (rank < 0 || dial_is_candidate(dial, &addr, explicit, again) ||
	    dial->ranked_count == DIAL_ADDRS_MAX)
		return;
	if (!explicit && !dial->by_user &&
	    dial_limit_backs_off(dials->limit, &dial->peer, &addr, swarm_now(dials->swarm))) {
		dial->backed_off = true;
		return;
	}
	struct candidate *candidate = xnew(struct candidate);

	candidate->addr = addr;
	candidate->rank = rank;
	candidate->explicit = explicit;
	dial_candidate_insert(dial, candidate);
}

/* ---- names ---- */

static void on_resolved(void *ctx, int err, const struct multiaddr *addrs, size_t count)
{
	struct lookup *lookup = ctx;
	struct dial *dial = lookup->dial;
	bool explicit = lookup->explicit;

	for (size_t i = 0; i < dial->lookup_count; i++)
		if (dial->lookups[i] == lookup)
			dial->lookups[i] = dial->lookups[--dial->lookup_count];
	if (err || count == 0)
		dial_note_tried(dial, &lookup->addr, err ? err : -ENOENT, NULL);
	free(lookup);
	if (err && !dial->err)
		dial->err = err == -ENOENT ? -EHOSTUNREACH : err;
	for (size_t i = 0; i < count; i++)
		if (!resolve_wanted(&addrs[i]))
			add_candidate(dial, &addrs[i], explicit, false);
	dial_go(dial);
}

static void start_lookup(struct dial *dial, const struct multiaddr *addr, bool explicit)
{
	struct lookup *lookup;

	/* Names from other peers leave room for the user's. */
	if (dial->lookup_count >= (explicit ? DIAL_PARALLEL_MAX : DIAL_PARALLEL_MAX / 2))
		return;
	lookup = xnew(struct lookup);
	lookup->dial = dial;
	lookup->addr = *addr;
	lookup->explicit = explicit;
	lookup->resolve = resolve_start(dial->dials->swarm->resolver, addr, &dial->peer, !explicit,
					dial->deadline.at_ms, on_resolved, lookup);
	dial->lookups[dial->lookup_count++] = lookup;
}

/* ---- attempts ---- */

static void attempt_free(struct attempt *attempt)
{
	struct dial *dial = attempt->dial;

	if (attempt->connect)
		attempt->transport->ops->dial_cancel(attempt->transport, attempt->connect);
	upgrade_cancel(attempt->upgrade);
	for (size_t i = 0; i < dial->attempt_count; i++)
		if (dial->attempts[i] == attempt)
			dial->attempts[i] = dial->attempts[--dial->attempt_count];
	dial->dials->swarm->dialling--;
	free(attempt);
	if (dial->dials->swarm->config.sockets_max)
		swarm_update_hold(dial->dials->swarm);
}

/* Frees what has ended in this turn. */
static void on_reap(void *ctx)
{
	struct dials *dials = ctx;

	while (!list_empty(&dials->over)) {
		struct dial *dial = list_first(&dials->over, struct dial, over_node);

		list_remove(&dial->over_node);
		free(dial);
	}
}

/* Undoes everything; the operations are the caller's. The struct stays until the turn is over:
 * whoever is on the stack asks it. */
static void dial_end(struct dial *dial)
{
	struct timers *timers = dial->dials->swarm->timers;

	timer_stop(timers, &dial->deadline);
	timer_stop(timers, &dial->stagger);
	while (dial->attempt_count > 0)
		attempt_free(dial->attempts[0]);
	for (size_t i = 0; i < dial->lookup_count; i++) {
		resolve_cancel(dial->lookups[i]->resolve);
		free(dial->lookups[i]);
	}
	for (size_t i = 0; i < dial->ranked_count; i++)
		free(dial->ranked[i]);
	free(dial->tried);
	dial->tried = NULL;
	dial->tried_count = 0;
	dial->ranked_count = dial->next = dial->lookup_count = 0;
	map_remove(&dial->dials->dials, peer_id_bytes(&dial->peer));
	dial->over = true;
	list_add_tail(&dial->dials->over, &dial->over_node);
	timer_start(timers, &dial->dials->reap, 0, on_reap, dial->dials);
}

/* The single way out of a dial without a connection. */
static void dial_fail(struct dial *dial, int err)
{
	struct dials *dials = dial->dials;
	struct list ops;
	char text[PEER_ID_TEXT_MAX];

	log_debug("swarm", "dial failed peer=%s err=%d", peer_id_text(&dial->peer, text), err);
	list_init(&ops);
	while (!list_empty(&dial->ops)) {
		struct swarm_op *op = list_first(&dial->ops, struct swarm_op, dial_node);

		if (op->asked)
			dial_tell(op);
		list_remove(&op->dial_node);
		list_add_tail(&ops, &op->dial_node);
		op->dial = NULL;
	}
	dial_end(dial);
	/* An operation that ends may cancel others: they take themselves off this list. */
	while (!list_empty(&ops)) {
		struct swarm_op *op = list_first(&ops, struct swarm_op, dial_node);

		list_remove(&op->dial_node);
		dials->dialed(op, err);
	}
}

/* Not the address's fault, nor the peer's. */
static bool is_own_lack(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

/* answered: the identity that answered instead, if known. */
static void attempt_failed(struct attempt *attempt, int err, const struct peer_id *answered)
{
	struct dial *dial = attempt->dial;
	struct dials *dials = dial->dials;
	char text[MULTIADDR_TEXT_MAX];

	log_debug("swarm", "attempt failed addr=%s err=%d", multiaddr_text(&attempt->addr, text),
		  err);
	if (!is_own_lack(err))
		dial_limit_failed(dials->limit, &dial->peer, &attempt->addr,
				  swarm_now(dials->swarm));
	dial_note_tried(dial, &attempt->addr, err, answered);
	if (err == -EKEYREJECTED)
		peerstore_drop(dials->swarm->peerstore, &dial->peer, &attempt->addr);
	/* That somebody else answered tells more than that another address is dead. */
	if (dial->err != -EKEYREJECTED)
		dial->err = is_own_lack(err) ? -EAGAIN : err;
	attempt_free(attempt);
	/* Nothing to wait for: the next candidate begins. */
	timer_stop(dials->swarm->timers, &dial->stagger);
	dial_go(dial);
}

static void on_upgraded(void *ctx, int err, struct session *session, const struct peer_id *answered)
{
	struct attempt *attempt = ctx;
	struct dial *dial = attempt->dial;
	struct dials *dials = dial->dials;
	struct swarm *swarm = dials->swarm;

	attempt->upgrade = NULL;
	if (err) {
		attempt_failed(attempt, err, answered);
		return;
	}
	dial_limit_reached(dials->limit, &dial->peer, &attempt->addr);
	/* The operations go on from swarm_ops_connected(); the last to leave ends the dial. */
	swarm_conn_new(swarm, session, false);
}

/* A session comes proven from its transport, which does not know which peer we want: that is
 * checked here. */
static void on_session(struct attempt *attempt, struct session *session)
{
	struct peer_id peer = session->peer;

	if (peer_id_equal(&peer, &attempt->dial->peer)) {
		on_upgraded(attempt, 0, session, NULL);
		return;
	}
	session_free(session);
	on_upgraded(attempt, -EKEYREJECTED, NULL, &peer);
}

static void on_connected(void *ctx, int err, struct raw_link raw)
{
	struct attempt *attempt = ctx;
	struct swarm *swarm = attempt->dial->dials->swarm;

	attempt->connect = NULL;
	if (err)
		attempt_failed(attempt, err, NULL);
	else if (raw.session)
		on_session(attempt, raw.session);
	else
		attempt->upgrade = upgrade_start(&swarm->upgrade, raw.conn, true,
						 &attempt->dial->peer, on_upgraded, attempt);
}

static void attempt_start(struct dial *dial, const struct candidate *candidate)
{
	struct swarm *swarm = dial->dials->swarm;
	struct attempt *attempt = xnew(struct attempt);

	attempt->dial = dial;
	attempt->addr = candidate->addr;
	attempt->transport = swarm_transport_for(swarm, &attempt->addr);
	dial->attempts[dial->attempt_count++] = attempt;
	swarm->dialling++;
	dial_limit_count(dial->dials->limit, &attempt->addr, swarm_now(swarm));
	attempt->connect = attempt->transport->ops->dial(attempt->transport, &attempt->addr,
							 swarm->config.connect_timeout_ms,
							 on_connected, attempt);
}

/* ---- the course of a dial ---- */

static void on_stagger(void *ctx)
{
	dial_go(ctx);
}

static void on_deadline(void *ctx)
{
	struct dial *dial = ctx;

	dial_fail(dial, dial->err == -EKEYREJECTED ? dial->err : -ETIMEDOUT);
}

/* Whether an operation gave addresses. Then those are dialled, and the finder is not asked. */
static bool has_given(const struct dial *dial)
{
	list_for_each(op, &dial->ops, struct swarm_op, dial_node)
		if (op->addr_count > 0)
			return true;
	return false;
}

/* Nothing left to try: ask the finder, unless addresses were given. False: that is all. */
static bool ask_finder(struct dial *dial)
{
	struct swarm *swarm = dial->dials->swarm;

	if (dial->asked || !swarm->find || has_given(dial))
		return false;
	dial->asked = dial->finding = true;
	swarm->find(swarm->find_ctx, &dial->peer, dial->deadline.at_ms);
	return true;
}

/* Past those at IP addresses that had enough of us. */
static void skip_limited(struct dial *dial)
{
	const struct dials *dials = dial->dials;

	while (dial->next < dial->ranked_count && !dial->ranked[dial->next]->explicit &&
	       !dial_limit_room(dials->limit, &dial->ranked[dial->next]->addr,
				swarm_now(dials->swarm))) {
		dial_note_tried(dial, &dial->ranked[dial->next]->addr, -EAGAIN, NULL);
		dial->next++;
		dial->backed_off = true;
	}
}

/* Goes on with a dial: starts the next candidate if there is room and the stagger is over; asks
 * the finder when nothing is left; fails when that had nothing either. */
static void dial_go(struct dial *dial)
{
	struct dials *dials = dial->dials;
	struct timers *timers = dials->swarm->timers;

	if (dial->over || timer_running(&dial->stagger))
		return;
	skip_limited(dial);
	if (dial->next < dial->ranked_count && dial->attempt_count < DIAL_PARALLEL_MAX) {
		const struct candidate *candidate = dial->ranked[dial->next];
		uint64_t delay = candidate->rank < 4 ? DIAL_STAGGER_LOCAL_MS : DIAL_STAGGER_MS;

		if (candidate->explicit || (dials->swarm->dialling < DIAL_ATTEMPTS_MAX &&
					    !swarm_is_out_of_sockets(dials->swarm))) {
			dial->next++;
			attempt_start(dial, candidate);
		} else {
			delay = SLOT_RETRY_MS;
		}
		if (dial->next < dial->ranked_count)
			timer_start(timers, &dial->stagger, delay, on_stagger, dial);
		return;
	}
	if (dial->attempt_count > 0 || dial->lookup_count > 0 || dial->finding)
		return;
	if (!ask_finder(dial))
		dial_fail(dial, dial->err ? dial->err : dial->backed_off ? -EAGAIN : -EHOSTUNREACH);
}

void dial_found(struct dials *dials, const struct peer_id *peer, int err,
		const struct peer_info *info)
{
	struct dial *dial = map_get(&dials->dials, peer_id_bytes(peer));

	if (!dial || !dial->finding)
		return;
	dial->finding = false;
	for (size_t i = 0; !err && i < info->addr_count; i++)
		add_candidate(dial, &info->addrs[i], false, false);
	dial_go(dial);
}

/* ---- operations ---- */

static void add_known(struct dial *dial, bool again)
{
	struct multiaddr *addrs = xcalloc(SWARM_PEER_ADDRS_MAX, sizeof(*addrs));
	size_t count = peerstore_addrs(dial->dials->swarm->peerstore, &dial->peer, addrs,
				       SWARM_PEER_ADDRS_MAX);

	for (size_t i = 0; i < count; i++)
		add_candidate(dial, &addrs[i], false, again);
	free(addrs);
}

static void on_start(void *ctx)
{
	dial_go(ctx);
}

static int has_room(const struct dials *dials, bool by_user)
{
	const struct swarm *swarm = dials->swarm;
	size_t extra = by_user ? SWARM_ASKED_EXTRA : 0;

	if (swarm->conn_count >= swarm->config.connections_max + extra)
		return by_user ? -EMFILE : -EAGAIN;
	return dials->dials.count >= DIALS_MAX + extra ? -EAGAIN : 0;
}

int dial_join(struct dials *dials, struct swarm_op *op)
{
	struct timers *timers = dials->swarm->timers;
	struct dial *dial = map_get(&dials->dials, peer_id_bytes(&op->peer));
	bool fresh = !dial;

	if (fresh) {
		int err = has_room(dials, op->by_user);

		if (err)
			return err;
		dial = xnew(struct dial);
		dial->dials = dials;
		dial->peer = op->peer;
		list_init(&dial->ops);
		map_set(&dials->dials, peer_id_bytes(&dial->peer), dial);
	}
	/* A person has the whole time, also when others began long ago. */
	if (fresh || op->by_user)
		timer_start(timers, &dial->deadline, dials->swarm->config.dial_timeout_ms,
			    on_deadline, dial);
	dial->by_user |= op->by_user;
	op->dial = dial;
	list_add_tail(&dial->ops, &op->dial_node);
	for (size_t i = 0; i < op->addr_count; i++)
		add_candidate(dial, &op->addrs[i], !op->heard, op->by_user);
	if (fresh || op->by_user)
		add_known(dial, op->by_user);
	if (fresh || op->by_user || op->addr_count > 0)
		timer_start(timers, &dial->stagger, 0, on_start, dial);
	return 0;
}

void dial_leave(struct swarm_op *op)
{
	struct dial *dial = op->dial;

	list_remove(&op->dial_node);
	op->dial = NULL;
	if (dial && list_empty(&dial->ops))
		dial_end(dial);
}

struct swarm_op *dial_waiter(const struct dials *dials, const struct peer_id *peer)
{
	struct dial *dial = dials ? map_get(&dials->dials, peer_id_bytes(peer)) : NULL;

	return dial && !list_empty(&dial->ops) ? list_first(&dial->ops, struct swarm_op, dial_node)
					       : NULL;
}

struct dials *dials_new(struct swarm *swarm, swarm_dialed_fn *dialed)
{
	struct dials *dials = xnew(struct dials);

	dials->swarm = swarm;
	dials->dialed = dialed;
	dials->limit = dial_limit_new();
	list_init(&dials->over);
	return dials;
}

void dials_free(struct dials *dials)
{
	struct bytes key;
	void *dial;

	if (!dials)
		return;
	for (size_t at = 0; map_next(&dials->dials, &at, &key, &dial); at = 0)
		dial_end(dial);
	timer_stop(dials->swarm->timers, &dials->reap);
	on_reap(dials);
	map_release(&dials->dials);
	dial_limit_free(dials->limit);
	free(dials);
}
