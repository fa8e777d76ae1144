/* Calls that wait for the network: each is one struct op, from the call to its answer or
 * cancellation. Loop thread. */
#include "fs/cli_text.h"
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define OP_MS_MAX (10 * 60 * 1000)
#define OP_MS 30000
#define FINDPROVS_MAX 20
#define PING_PAUSE_MS 1000

struct op {
	struct daemon *daemon;
	struct api_call *call;
	struct swarm_op *swarm_op;
	struct routing_query *query;
	size_t next; /* of the words; ping: how many were sent */
	bool troubled;
	/* ping */
	struct timer pause;
	json_int_t answered;
	uint64_t total_us;
};

/* Ends the call too. */
static void op_end(struct op *op, int err, const char *message)
{
	struct api_call *call = op->call;

	timer_stop(loop_timers(op->daemon->loop), &op->pause);
	free(op);
	api_end(call, err, message);
}

static void op_cancel(struct op *op)
{
	swarm_cancel(op->swarm_op);
	routing_cancel(op->query);
}

static void on_cancel(void *ctx)
{
	op_cancel(ctx);
	op_end(ctx, -ECANCELED, NULL);
}

static struct op *op_new(struct api_call *call)
{
	struct op *op = xnew(struct op);

	op->daemon = call->host;
	op->call = call;
	api_on_cancel(call, on_cancel, op);
	return op;
}

/* The search could not begin. */
static void check_query(struct op *op)
{
	if (!op->query)
		op_end(op, -EAGAIN, "no router does this, or too many searches run");
}

static uint64_t deadline_of(const struct op *op)
{
	json_int_t ms = api_int(op->call->args, "timeout");

	if (ms <= 0 || ms > OP_MS_MAX)
		ms = ms ? OP_MS_MAX : OP_MS;
	return timers_now(loop_timers(op->daemon->loop)) + (uint64_t)ms;
}

static bool need_router(struct api_call *call)
{
	struct daemon *daemon = call->host;

	if (!daemon->router)
		api_end(call, -ENOTSUP, DAEMON_ROUTING_OFF);
	return daemon->router != NULL;
}

/* ---- swarm ---- */

/* Why an address did not do, for a person. */
static char *tried_text(const struct swarm_tried *tried, const struct peer_id *self)
{
	char id[PEER_ID_TEXT_MAX];

	switch (tried->err) {
	case -EAGAIN:
		return xasprintf(
			"not tried: too many attempts at this IP address in the last minute");
	case -EPROTONOSUPPORT:
		return xasprintf(
			"no way to dial it: another transport, or a protocol not spoken here");
	case -ECANCELED:
		return xasprintf("not tried: the time was over");
	case -ENOENT:
		return xasprintf("the name has no address of this peer");
	case -EKEYREJECTED:
		if (peer_id_equal(&tried->answered, self))
			return xasprintf(
				"this node itself answered, or one with the same identity");
		if (peer_id_is_set(&tried->answered))
			return xasprintf("another peer answered: %s",
					 peer_id_text(&tried->answered, id));
		return xasprintf("another peer answered");
	}
	return xasprintf("%s", err_text(tried->err));
}

static const char *connect_why(int err, size_t tried)
{
	switch (err) {
	case -EHOSTUNREACH:
		return "no address known for this peer";
	case -EMFILE:
		return "too many connections (Swarm.ConnectionsMax, or the limit of open files)";
	case -ETIMEDOUT:
		return tried ? "no address answered in time" : "no answer in time";
	}
	return tried ? "no address answered" : err_text(err);
}

/* What came of the address that was next. */
static void connect_told(struct op *op, json_t *tried, const char *why)
{
	const char *name = api_peer_text(api_word(op->call->args, op->next++));
	char safe[256];

	cli_safe(safe, sizeof(safe), name, strlen(name));
	if (why)
		api_trouble(op->call, tried, "connect %s failure: %s", safe, why);
	else
		api_item(op->call, json_sprintf("connect %s success", safe));
	op->troubled |= why != NULL;
}

static void on_connected(void *ctx, int err, const struct swarm_tried *tried, size_t count);

/* NULL, or why it was not begun. */
static const char *connect_begin(struct op *op, const char *text)
{
	struct multiaddr addr;
	struct peer_id peer;

	if (multiaddr_from_text(&addr, text) || !multiaddr_split_peer(&addr, &peer))
		return "an address that ends with /p2p/PEER is needed";
	if (peer_id_equal(&peer, swarm_self(op->daemon->swarm)))
		return "this is the peer id of this node itself: it cannot connect to itself, "
		       "nor to a node that uses a copy of its identity";
	op->swarm_op = swarm_connect_asked(op->daemon->swarm, &peer, &addr, addr.len ? 1 : 0,
					   deadline_of(op), on_connected, op);
	return op->swarm_op ? NULL : err_text(-EAGAIN);
}

/* One address after the other, until one takes its time. */
static void connect_next(struct op *op)
{
	const char *text;

	while ((text = api_word(op->call->args, op->next))) {
		const char *why = connect_begin(op, text);

		if (!why)
			return;
		connect_told(op, NULL, why);
	}
	op_end(op, op->troubled ? API_SOME_FAILED : 0, "not all peers could be connected to");
}

/* The word that is next was connected to: it stays so. */
static void note_asked(struct op *op)
{
	struct multiaddr addr;
	struct peer_id peer;

	if (multiaddr_from_text(&addr, api_word(op->call->args, op->next)) == 0 &&
	    multiaddr_split_peer(&addr, &peer))
		daemon_peer_asked(op->daemon, &peer, &addr);
}

static void on_connected(void *ctx, int err, const struct swarm_tried *tried, size_t count)
{
	struct op *op = ctx;
	const struct peer_id *self = swarm_self(op->daemon->swarm);
	json_t *list = err ? json_array() : NULL;

	op->swarm_op = NULL;
	for (size_t i = 0; err && i < count; i++) {
		char addr[MULTIADDR_TEXT_MAX], *why = tried_text(&tried[i], self);

		json_array_append_new(
			list, json_sprintf("[%s] %s", multiaddr_text(&tried[i].addr, addr), why));
		free(why);
	}
	if (!err)
		note_asked(op);
	connect_told(op, list, err ? connect_why(err, count) : NULL);
	connect_next(op);
}

void daemon_run_connect(struct api_call *call)
{
	connect_next(op_new(call));
}

/* ---- ping ---- */

static json_t *ping_item(uint64_t us, json_t *text)
{
	return json_pack("{s:b, s:I, s:o}", "Success", 1, "Time", (json_int_t)us * 1000, "Text",
			 text);
}

static void ping_end(struct op *op, int err)
{
	if (op->answered)
		api_item(op->call, ping_item(0, json_sprintf("Average latency: %.2fms",
							     (double)op->total_us / 1000 /
								     (double)op->answered)));
	op_end(op, err, NULL);
}

/* What was measured until then is told. */
static void on_ping_cancel(void *ctx)
{
	op_cancel(ctx);
	ping_end(ctx, 0);
}

static void ping_next(void *ctx);

static void on_pong(void *ctx, int err, uint64_t rtt_us)
{
	struct op *op = ctx;

	op->swarm_op = NULL;
	if (err) {
		ping_end(op, err);
		return;
	}
	api_item(op->call, ping_item(rtt_us ? rtt_us : 1, json_string("")));
	op->total_us += rtt_us;
	if (++op->answered == api_int(op->call->args, "count"))
		ping_end(op, 0);
	else
		timer_start(loop_timers(op->daemon->loop), &op->pause, PING_PAUSE_MS, ping_next,
			    op);
}

static void ping_next(void *ctx)
{
	struct op *op = ctx;
	struct peer_id peer = api_peer(op->call->args, 0);

	op->swarm_op = swarm_ping(op->daemon->swarm, &peer, deadline_of(op), on_pong, op);
	if (!op->swarm_op)
		ping_end(op, -EAGAIN);
}

void daemon_run_ping(struct api_call *call)
{
	struct daemon *daemon = call->host;
	struct peer_id peer = api_peer(call->args, 0);
	struct op *op;

	api_item(call,
		 ping_item(0, json_sprintf("PING %s.", api_peer_text(api_word(call->args, 0)))));
	if (peer_id_equal(&peer, swarm_self(daemon->swarm))) {
		api_end(call, -EINVAL, "can't ping self");
		return;
	}
	op = op_new(call);
	api_on_cancel(call, on_ping_cancel, op);
	ping_next(op);
}

/* ---- routing ---- */

/* Kubo's numbers of what a search tells. */
enum { EVENT_FINAL_PEER = 2, EVENT_PROVIDER = 4 };

static void event_item(struct op *op, int type, const struct peer_info *info)
{
	api_item(op->call, json_pack("{s:s, s:s, s:[o], s:i}", "Extra", "", "ID", "", "Responses",
				     daemon_peer_json(info), "Type", type));
}

static void on_provider(void *ctx, const struct peer_info *info)
{
	event_item(ctx, EVENT_PROVIDER, info);
}

static void on_searched(void *ctx, int err, unsigned count)
{
	struct op *op = ctx;

	op->query = NULL;
	op_end(op, count ? 0 : err, NULL);
}

void daemon_run_findprovs(struct api_call *call)
{
	struct daemon *daemon = call->host;
	json_int_t max = api_int(call->args, "num-providers");
	struct cid cid = api_cid(call->args, 0);
	struct op *op;

	if (!need_router(call))
		return;
	if (max > ROUTING_PROVIDERS_MAX)
		max = FINDPROVS_MAX;
	op = op_new(call);
	op->query = routing_find_providers(daemon->router, cid_hash_bytes(&cid), (unsigned)max,
					   deadline_of(op), on_provider, on_searched, op);
	check_query(op);
}

static void provide_next(struct op *op);

static void on_provided(void *ctx, int err, unsigned count)
{
	struct op *op = ctx;

	op->query = NULL;
	if (!count && err)
		op_end(op, err, NULL);
	else
		provide_next(op);
}

static void provide_next(struct op *op)
{
	struct daemon *daemon = op->daemon;
	struct cid cid;

	if (op->next == api_word_count(op->call->args)) {
		op_end(op, 0, NULL);
		return;
	}
	cid = api_cid(op->call->args, op->next++);
	if (!store_has(daemon->repo->store, cid_hash_bytes(&cid))) {
		op_end(op, -ENOENT, "the block is not stored here: cannot provide it");
		return;
	}
	op->query = routing_provide(daemon->router, cid_hash_bytes(&cid), deadline_of(op),
				    on_provided, op);
	check_query(op);
}

void daemon_run_provide(struct api_call *call)
{
	if (need_router(call))
		provide_next(op_new(call));
}

static void on_peer(void *ctx, int err, const struct peer_info *info)
{
	struct op *op = ctx;

	op->query = NULL;
	if (!err)
		event_item(op, EVENT_FINAL_PEER, info);
	op_end(op, err, err ? "routing: not found" : NULL);
}

/* Connected peers are known without a search: did that end the call? */
static bool known_peer(struct op *op, const struct peer_id *peer)
{
	struct swarm *swarm = op->daemon->swarm;
	struct multiaddr *addrs;
	struct peer_info info = { .id = *peer };

	if (!swarm_is_connected(swarm, peer))
		return false;
	addrs = xcalloc(SWARM_PEER_ADDRS_MAX, sizeof(*addrs));
	info.addrs = addrs;
	info.addr_count = swarm_peer_addrs(swarm, peer, addrs, SWARM_PEER_ADDRS_MAX);
	if (info.addr_count)
		on_peer(op, 0, &info);
	free(addrs);
	return info.addr_count > 0;
}

void daemon_run_findpeer(struct api_call *call)
{
	struct daemon *daemon = call->host;
	struct peer_id peer = api_peer(call->args, 0);
	struct op *op = op_new(call);

	if (known_peer(op, &peer))
		return;
	if (!daemon->router) {
		op_end(op, -ENOTSUP, DAEMON_ROUTING_OFF);
		return;
	}
	op->query = routing_find_peer(daemon->router, &peer, deadline_of(op), on_peer, op);
	check_query(op);
}
