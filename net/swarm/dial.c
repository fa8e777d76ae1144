/* From a peer id to a connection. All operations that want the same peer share one dial, which
 * tries its addresses in order of rank, staggered and a few at a time; names are resolved on the
 * way. The first address that answers with the right identity wins. Loop thread. */
#include "net/swarm/dial.h"

#include "net/base/log.h"
#include "net/base/map.h"
#include "net/swarm/dial_limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_RETRY_MS 100 /* when all attempts of the process are taken */

/* One address being tried: connect, then upgrade. */
struct attempt {
	struct dial *dial;
	struct transport *transport; /* set while connecting */
	void *connect;
	struct upgrade *upgrade;
	struct multiaddr addr;
};

struct candidate {
	struct multiaddr addr;
	int rank;
	bool explicit; /* told by the user: ignores the limits */
};

struct dial {
	struct dials *dials;
	struct peer_id peer;
	struct list ops;			  /* struct swarm_op.dial_node */
	struct candidate *ranked[DIAL_ADDRS_MAX]; /* those before next are done with */
	size_t ranked_count, next;
	struct attempt *attempts[DIAL_PARALLEL_MAX];
	size_t attempt_count;
	struct lookup *lookups[DIAL_PARALLEL_MAX];
	size_t lookup_count;
	struct timer deadline, stagger;
	bool asked;		   /* the finder, once */
	bool finding;		   /* its answer is awaited */
	bool by_user;		   /* a person waits: known addresses do not back off */
	struct swarm_tried *tried; /* noted while by_user is set */
	size_t tried_count;
	bool backed_off; /* an address was left alone, by dial_limit */
	int err;	 /* the most telling so far */
};

/* A name being resolved for a dial. */
struct lookup {
	struct dial *dial;
	struct resolve *resolve;
	struct multiaddr addr;
	bool explicit;
};

struct dials {
	struct swarm *swarm;
	struct map dials; /* peer id -> struct dial */
	struct dial_limit *limit;
	size_t attempt_count;
};

static void dial_go(struct dial *dial);

/* ---- candidates ---- */

int dial_rank(struct swarm *swarm, const struct multiaddr *addr)
{
	struct multiaddr_part part;
	int rank;

	if (multiaddr_is_relayed(addr) || !swarm_transport_for(swarm, addr))
		return -1;
	switch (multiaddr_scope(addr)) {
	case SCOPE_LOOPBACK:
		rank = 0;
		break;
	case SCOPE_PRIVATE:
		rank = 2;
		break;
	default:
		rank = 4;
		break;
	}
	return rank + (multiaddr_find(addr, MA_IP6, &part) ? 1 : 0);
}

/* ---- what a person hears ---- */

/* Keeps the result for an address, for swarm_connect_asked(). A later result replaces an earlier
 * one. */
static void note_tried(struct dial *dial, const struct multiaddr *addr, int err,
		       const struct peer_id *answered)
{
	struct swarm_tried tried = { .addr = *addr, .err = err };

	if (!dial->by_user)
		return;
	if (answered)
		tried.answered = *answered;
	for (size_t i = 0; i < dial->tried_count; i++)
		if (multiaddr_equal(&dial->tried[i].addr, addr)) {
			dial->tried[i] = tried; /* the last word */
			return;
		}
	if (dial->tried_count == DIAL_TRIED_MAX)
		return;
	if (!dial->tried)
		dial->tried = xcalloc(DIAL_TRIED_MAX, sizeof(tried));
	dial->tried[dial->tried_count++] = tried;
}

void dial_tell(struct swarm_op *op)
{
	struct dial *dial = op->dial;

	for (size_t i = 0; i < dial->attempt_count; i++)
		note_tried(dial, &dial->attempts[i]->addr, -ETIMEDOUT, NULL);
	for (size_t i = dial->next; i < dial->ranked_count; i++)
		note_tried(dial, &dial->ranked[i]->addr, -ECANCELED, NULL);
	free(op->tried);
	op->tried = NULL;
	op->tried_count = dial->tried_count;
	if (dial->tried_count == 0)
		return;
	op->tried = xcalloc(dial->tried_count, sizeof(*op->tried));
	memcpy(op->tried, dial->tried, dial->tried_count * sizeof(*op->tried));
}

/* ---- candidates in their order ---- */

/* Into its place by rank, behind equals, among those not tried yet. */
static void candidate_insert(struct dial *dial, struct candidate *candidate)
{
	size_t at = dial->ranked_count++;

	while (at > dial->next && dial->ranked[at - 1]->rank > candidate->rank) {
		dial->ranked[at] = dial->ranked[at - 1];
		at--;
	}
	dial->ranked[at] = candidate;
}

static bool is_tried_now(const struct dial *dial, const struct multiaddr *addr)
{
	for (size_t i = 0; i < dial->attempt_count; i++)
		if (multiaddr_equal(&dial->attempts[i]->addr, addr))
			return true;
	return false;
}

/* Known as a candidate: true. One that has failed is tried again if again is set. */
static bool is_candidate(struct dial *dial, const struct multiaddr *addr, bool explicit, bool again)
{
	size_t at = 0;

	while (at < dial->ranked_count && !multiaddr_equal(&dial->ranked[at]->addr, addr))
		at++;
	if (at == dial->ranked_count)
		return false;
	struct candidate *candidate = dial->ranked[at];

	candidate->explicit |= explicit;
	if (at < dial->next && again && !is_tried_now(dial, addr)) {
		memmove(&dial->ranked[at], &dial->ranked[at + 1],
			(dial->ranked_count - at - 1) * sizeof(dial->ranked[0]));
		dial->ranked_count--;
		dial->next--;
		candidate_insert(dial, candidate);
	}
	return true;
}

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
		note_tried(dial, &addr, -EPROTONOSUPPORT, NULL);
	if (rank < 0 || is_candidate(dial, &addr, explicit, again) ||
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
	candidate_insert(dial, candidate);
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
		note_tried(dial, &lookup->addr, err ? err : -ENOENT, NULL);
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
	dial->dials->attempt_count--;
	free(attempt);
	if (dial->dials->swarm->config.sockets_max)
		swarm_update_hold(dial->dials->swarm);
}

/* Undo everything; the operations are the caller's. */
static void dial_free(struct dial *dial)
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
	map_remove(&dial->dials->dials, peer_id_bytes(&dial->peer));
	free(dial);
}

/* The single way out of a dial without a connection. */
static void dial_fail(struct dial *dial, int err)
{
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
	dial_free(dial);
	/* An operation that ends may cancel others: they take themselves off this list. */
	while (!list_empty(&ops)) {
		struct swarm_op *op = list_first(&ops, struct swarm_op, dial_node);

		list_remove(&op->dial_node);
		swarm_op_dialed(op, err);
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
	note_tried(dial, &attempt->addr, err, answered);
	if (err == -EKEYREJECTED)
		peerstore_drop(dials->swarm->peerstore, &dial->peer, &attempt->addr);
	/* That somebody else answered tells more than that another address is dead. */
	if (dial->err != -EKEYREJECTED)
		dial->err = is_own_lack(err) ? -EAGAIN : err;
	attempt_free(attempt);
	/* Nothing to wait for: the next candidate may begin. */
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
	/* The operations go on from swarm_ops_connected(); the last to leave ends the dial and its
	 * other attempts, this one's struct included. */
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
	dial->dials->attempt_count++;
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
		note_tried(dial, &dial->ranked[dial->next]->addr, -EAGAIN, NULL);
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

	if (timer_running(&dial->stagger))
		return;
	skip_limited(dial);
	if (dial->next < dial->ranked_count && dial->attempt_count < DIAL_PARALLEL_MAX) {
		const struct candidate *candidate = dial->ranked[dial->next];
		uint64_t delay = candidate->rank < 4 ? DIAL_STAGGER_LOCAL_MS : DIAL_STAGGER_MS;

		if (candidate->explicit || (dials->attempt_count < DIAL_ATTEMPTS_MAX &&
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
	/* The finder may answer on the spot, which ends or continues the dial: touch nothing after.
	 */
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
		dial_free(dial);
}

size_t dial_sockets(const struct dials *dials)
{
	return dials ? dials->attempt_count : 0;
}

struct swarm_op *dial_waiter(const struct dials *dials, const struct peer_id *peer)
{
	struct dial *dial = dials ? map_get(&dials->dials, peer_id_bytes(peer)) : NULL;

	return dial && !list_empty(&dial->ops) ? list_first(&dial->ops, struct swarm_op, dial_node)
					       : NULL;
}

struct dials *dials_new(struct swarm *swarm)
{
	struct dials *dials = xnew(struct dials);

	dials->swarm = swarm;
	dials->limit = dial_limit_new();
	return dials;
}

void dials_free(struct dials *dials)
{
	size_t at = 0;
	struct bytes key;
	void *dial;

	if (!dials)
		return;
	while (map_next(&dials->dials, &at, &key, &dial))
		dial_free(dial);
	map_release(&dials->dials);
	dial_limit_free(dials->limit);
	free(dials);
}
