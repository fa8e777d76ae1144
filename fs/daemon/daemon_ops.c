/* Calls that wait for the network: each is one struct op, from the call to its answer or
 * cancellation. */
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define OP_MS_MAX (10 * 60 * 1000)
#define OP_MS 30000
#define FINDPROVS_MAX 20

struct op {
	struct daemon *daemon;
	struct control_request *request;
	struct swarm_op *swarm_op;
	struct routing_query *query;
	struct peer_id peer;
};

/* Ends the request too; takes value. */
static void op_end(struct op *op, int err, json_t *value, const char *message)
{
	struct control_request *request = op->request;

	free(op);
	control_on_cancel(request, NULL, NULL);
	control_done(request, err, value, message);
}

static void on_cancel(void *ctx)
{
	struct op *op = ctx;

	swarm_cancel(op->swarm_op);
	routing_cancel(op->query);
	op_end(op, -ECANCELED, NULL, NULL);
}

static struct op *op_new(struct daemon *daemon, struct control_request *request)
{
	struct op *op = xnew(struct op);

	op->daemon = daemon;
	op->request = request;
	control_on_cancel(request, on_cancel, op);
	return op;
}

/* The search could not begin. */
static void check_query(struct op *op)
{
	if (!op->query)
		op_end(op, -EAGAIN, NULL, "no router does this, or too many searches run");
}

static uint64_t deadline_of(struct daemon *daemon, const json_t *args)
{
	json_int_t ms = json_integer_value(json_object_get(args, "timeout_ms"));

	if (ms <= 0 || ms > OP_MS_MAX)
		ms = ms ? OP_MS_MAX : OP_MS;
	return timers_now(loop_timers(daemon->loop)) + (uint64_t)ms;
}

static bool need_router(struct daemon *daemon, struct control_request *request)
{
	if (!daemon->router)
		control_done(request, -ENOTSUP, NULL,
			     "routing is off (Routing.Type is none, or --offline)");
	return daemon->router != NULL;
}

/* ---- swarm ---- */

/* Why an address did not do, for a person. */
static char *tried_text(const struct swarm_tried *tried, const struct peer_id *self)
{
	char id[PEER_ID_TEXT_MAX];

	switch (tried->err) {
	case -EAGAIN:
		return xasprintf("not tried: too many attempts at this IP address in the last minute");
	case -EPROTONOSUPPORT:
		return xasprintf("no way to dial it: another transport, or a protocol not spoken here");
	case -ECANCELED:
		return xasprintf("not tried: the time was over");
	case -ENOENT:
		return xasprintf("the name has no address of this peer");
	case -EKEYREJECTED:
		if (peer_id_equal(&tried->answered, self))
			return xasprintf("this node itself answered, or one with the same identity");
		if (peer_id_is_set(&tried->answered))
			return xasprintf("another peer answered: %s", peer_id_text(&tried->answered, id));
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

static void on_connected(void *ctx, int err, const struct swarm_tried *tried, size_t count)
{
	struct op *op = ctx;
	const struct peer_id *self = swarm_self(op->daemon->swarm);

	for (size_t i = 0; err && i < count; i++) {
		char addr[MULTIADDR_TEXT_MAX], *why = tried_text(&tried[i], self);

		control_item(op->request, json_pack("{s:s, s:s}", "Addr",
						    multiaddr_text(&tried[i].addr, addr), "Error",
						    why));
		free(why);
	}
	op_end(op, err, NULL, err ? connect_why(err, count) : NULL);
}

void daemon_call_connect(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	const char *text = json_string_value(json_object_get(args, "addr"));
	struct multiaddr addr;
	struct peer_id peer;
	struct op *op;

	if (!text || multiaddr_from_text(&addr, text) || !multiaddr_split_peer(&addr, &peer)) {
		control_done(request, -EINVAL, NULL,
			     "an address that ends with /p2p/PEER is needed");
		return;
	}
	if (peer_id_equal(&peer, swarm_self(daemon->swarm))) {
		control_done(request, -EINVAL, NULL,
			     "this is the peer id of this node itself: it cannot connect to itself, "
			     "nor to a node that uses a copy of its identity");
		return;
	}
	op = op_new(daemon, request);
	op->swarm_op = swarm_connect_asked(daemon->swarm, &peer, &addr, addr.len ? 1 : 0,
					   deadline_of(daemon, args), on_connected, op);
	if (!op->swarm_op)
		op_end(op, -EAGAIN, NULL, NULL);
}

static void on_pong(void *ctx, int err, uint64_t rtt_us)
{
	struct op *op = ctx;

	op_end(op, err, err ? NULL : json_pack("{s:I}", "rtt_us", (json_int_t)rtt_us), NULL);
}

void daemon_call_ping(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	struct peer_id peer;
	struct op *op;

	if (!daemon_arg_peer(request, args, &peer))
		return;
	if (peer_id_equal(&peer, swarm_self(daemon->swarm))) {
		control_done(request, -EINVAL, NULL, "can't ping self");
		return;
	}
	op = op_new(daemon, request);
	op->swarm_op = swarm_ping(daemon->swarm, &peer, deadline_of(daemon, args), on_pong, op);
	if (!op->swarm_op)
		op_end(op, -EAGAIN, NULL, NULL);
}

/* ---- routing ---- */

static void on_provider(void *ctx, const struct peer_info *info)
{
	struct op *op = ctx;

	control_item(op->request, daemon_peer_json(info));
}

static void on_searched(void *ctx, int err, unsigned count)
{
	struct op *op = ctx;

	op->query = NULL;
	op_end(op, count ? 0 : err, json_pack("{s:i}", "count", (int)count), NULL);
}

/* args' member "cid". */
static bool arg_cid(struct control_request *request, const json_t *args, struct cid *cid)
{
	const char *text = json_string_value(json_object_get(args, "cid"));

	if (text && cid_from_text(cid, text) == 0)
		return true;
	control_done(request, -EINVAL, NULL, "a CID is needed");
	return false;
}

void daemon_call_findprovs(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	json_int_t max = json_integer_value(json_object_get(args, "max"));
	struct cid cid;
	struct op *op;

	if (!need_router(daemon, request) || !arg_cid(request, args, &cid))
		return;
	if (max < 0 || max > ROUTING_PROVIDERS_MAX)
		max = FINDPROVS_MAX;
	op = op_new(daemon, request);
	op->query = routing_find_providers(daemon->router, cid_hash_bytes(&cid), (unsigned)max,
					   deadline_of(daemon, args), on_provider, on_searched, op);
	check_query(op);
}

void daemon_call_provide(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	struct cid cid;
	struct op *op;

	if (!need_router(daemon, request) || !arg_cid(request, args, &cid))
		return;
	if (!store_has(daemon->repo->store, cid_hash_bytes(&cid))) {
		control_done(request, -ENOENT, NULL,
			     "the block is not stored here: cannot provide it");
		return;
	}
	op = op_new(daemon, request);
	op->query = routing_provide(daemon->router, cid_hash_bytes(&cid), deadline_of(daemon, args),
				    on_searched, op);
	check_query(op);
}

static void on_peer(void *ctx, int err, const struct peer_info *info)
{
	struct op *op = ctx;

	op->query = NULL;
	op_end(op, err, err ? NULL : daemon_peer_json(info), err ? "routing: not found" : NULL);
}

/* Connected peers are known without a search. */
static json_t *known_peer(struct daemon *daemon, const struct peer_id *peer)
{
	struct multiaddr *addrs;
	struct peer_info info = { .id = *peer };
	json_t *json;

	if (!swarm_is_connected(daemon->swarm, peer))
		return NULL;
	addrs = xcalloc(SWARM_PEER_ADDRS_MAX, sizeof(*addrs));
	info.addrs = addrs;
	info.addr_count = swarm_peer_addrs(daemon->swarm, peer, addrs, SWARM_PEER_ADDRS_MAX);
	json = info.addr_count ? daemon_peer_json(&info) : NULL;
	free(addrs);
	return json;
}

void daemon_call_findpeer(void *ctx, struct control_request *request, json_t *args)
{
	struct daemon *daemon = ctx;
	struct peer_id peer;
	json_t *known;
	struct op *op;

	if (!daemon_arg_peer(request, args, &peer))
		return;
	known = known_peer(daemon, &peer);
	if (known) {
		control_done(request, 0, known, NULL);
		return;
	}
	if (!need_router(daemon, request))
		return;
	op = op_new(daemon, request);
	op->query =
		routing_find_peer(daemon->router, &peer, deadline_of(daemon, args), on_peer, op);
	check_query(op);
}
