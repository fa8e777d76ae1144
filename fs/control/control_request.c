/* What clients ask for: calls of commands, and blocks for trees they walk. Each request is one
 * struct in a list of its client, which gives all of them up when it goes. Loop thread. */
#include "fs/control/control_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>

#define PREFETCH_MS 60000

/* A call of the table that a client asked for. */
struct control_request {
	struct list node;	       /* in client->calls */
	struct control_client *client; /* NULL when it went */
	uint32_t id;
	json_t *args;
	struct api_call call;
};

struct control_session {
	struct list node;
	uint32_t id;
	struct exchange_session *session;
};

/* A FETCH or one CID of a PREFETCH. */
struct control_want {
	struct list node;
	struct control_client *client;
	struct control_session *session;
	uint32_t id;
	bool prefetch;
	struct exchange_get *get;
	struct wait_tried tried;
};

/* ---- calls ---- */

static void answer_json(struct control_client *client, uint32_t id, enum control_kind kind,
			json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
	struct buf body = { 0 };

	buf_add_str(&body, text ? text : "null");
	free(text);
	json_decref(value);
	control_client_send(client, id, kind, &body, NULL);
}

static void on_item(struct api_call *call, json_t *item)
{
	struct control_request *request = container_of(call, struct control_request, call);

	if (request->client)
		answer_json(request->client, request->id, CONTROL_ITEM, json_incref(item));
}

/* A message that is no UTF-8 cannot be told. */
static json_t *error_json(const char *message, int err)
{
	json_t *value = json_pack("{s:s, s:i}", "error", message, "errno", -err);

	return value ? value : json_pack("{s:s, s:i}", "error", err_text(err), "errno", -err);
}

static void on_trouble(struct api_call *call, const char *message, const json_t *details)
{
	struct control_request *request = container_of(call, struct control_request, call);
	json_t *value;

	if (!request->client)
		return;
	value = error_json(message, -EIO);
	if (details)
		json_object_set(value, "details", (json_t *)details);
	answer_json(request->client, request->id, CONTROL_TROUBLE, value);
}

static void on_end(struct api_call *call, int err, const char *message)
{
	struct control_request *request = container_of(call, struct control_request, call);
	struct control_client *client = request->client;

	list_remove(&request->node);
	if (client) {
		client->call_count--;
		answer_json(client, request->id, CONTROL_DONE,
			    err ? error_json(message, err) : json_null());
		control_client_resume(client);
	}
	json_decref(request->args);
	free(request);
}

/* Bytes do not go this way: calls that yield them run in the process that asks. */
static const struct api_sink sink = { .item = on_item, .trouble = on_trouble, .end = on_end };

static const struct api_row *find_row(const struct control_server *server, const char *name)
{
	for (const struct api_row *const *at = server->rows; *at; at++)
		if ((*at)->run_daemon && strcmp((*at)->command.name, name) == 0)
			return *at;
	return NULL;
}

static void run_call(struct control_client *client, struct control_request *request,
		     const char *name)
{
	struct api_call *call = &request->call;
	char *why;
	int err;

	*call = (struct api_call){
		.row = find_row(client->server, name),
		.args = request->args,
		.host = client->server->host,
		.sink = &sink,
	};
	if (!call->row) {
		api_end(call, -ENOTSUP, "the daemon does not know this command");
		return;
	}
	err = api_check(call->row, request->args, &why);
	if (err)
		api_end(call, err, why);
	else
		api_run(call, true);
	free(why);
}

static int on_call(struct control_client *client, const struct control_frame *frame)
{
	json_t *body = json_loadb((const char *)frame->body.at, frame->body.len, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "cmd"));
	json_t *args = json_object_get(body, "args");
	struct control_request *request;

	if (!name || !json_is_object(args)) {
		json_decref(body);
		return -EBADMSG;
	}
	request = xnew(struct control_request);
	request->client = client;
	request->id = frame->id;
	request->args = json_incref(args);
	list_add_tail(&client->calls, &request->node);
	client->call_count++;
	run_call(client, request, name);
	json_decref(body);
	return 0;
}

/* ---- sessions ---- */

static struct control_session *find_session(struct control_client *client, uint32_t id)
{
	list_for_each(session, &client->sessions, struct control_session, node)
		if (session->id == id)
			return session;
	return NULL;
}

static int open_session(struct control_client *client, uint32_t id)
{
	struct control_session *session;

	if (find_session(client, id) || client->session_count >= CLIENT_SESSIONS_MAX)
		return -EPROTO;
	session = xnew(struct control_session);
	session->id = id;
	if (client->server->exchange)
		session->session = exchange_session_new(client->server->exchange);
	list_add_tail(&client->sessions, &session->node);
	client->session_count++;
	return 0;
}

/* ---- wants ---- */

static const struct wait_tried nothing_tried;

static void want_free(struct control_want *want)
{
	list_remove(&want->node);
	if (want->prefetch)
		want->client->prefetch_count--;
	else
		want->client->fetch_count--;
	exchange_get_cancel(want->get);
	free(want);
}

static void answer_fail(struct control_client *client, uint32_t id, int err,
			const struct wait_tried *tried)
{
	struct buf body = { 0 };

	control_fail_encode(&body, err, tried);
	control_client_send(client, id, CONTROL_FAIL, &body, NULL);
}

static void on_got(void *ctx, int err, struct block *block)
{
	struct control_want *want = ctx;
	struct control_client *client = want->client;
	uint32_t id = want->id;
	bool prefetch = want->prefetch;
	struct wait_tried tried = want->tried;

	want->get = NULL;
	want_free(want);
	if (prefetch)
		block_unref(block);
	else if (err)
		answer_fail(client, id, err, &tried);
	else
		control_client_send(client, id, CONTROL_BLOCK, NULL, block);
	control_client_resume(client);
}

static uint64_t deadline_of(struct control_client *client, uint32_t ms)
{
	if (ms == CONTROL_NO_DEADLINE)
		return TIMER_NEVER;
	return timers_now(loop_timers(client->server->loop)) + ms;
}

/* 0, or why it cannot be asked for. */
static int want_start(struct control_client *client, struct control_session *session, uint32_t id,
		      bool prefetch, const struct cid *cid, uint32_t ms)
{
	struct control_want *want;

	if (!session || !session->session)
		return -EHOSTUNREACH;
	want = xnew(struct control_want);
	want->client = client;
	want->session = session;
	want->id = id;
	want->prefetch = prefetch;
	want->get = exchange_get(session->session, cid, deadline_of(client, ms), on_got, want);
	if (!want->get) {
		free(want);
		return -EAGAIN;
	}
	exchange_get_tell(want->get, &want->tried);
	list_add_tail(prefetch ? &client->prefetches : &client->fetches, &want->node);
	if (prefetch)
		client->prefetch_count++;
	else
		client->fetch_count++;
	return 0;
}

/* The client's own look into the store came before: but a prefetched block may have come meanwhile,
 * and be queued here without being on disk, where only this process sees it. */
static int on_fetch(struct control_client *client, const struct control_frame *frame)
{
	struct control_fetch fetch;
	struct block *block;
	int err = control_fetch_decode(&fetch, frame->body);

	if (err)
		return err;
	if (client->server->store && store_get(client->server->store, &fetch.cid, &block) == 0) {
		control_client_send(client, frame->id, CONTROL_BLOCK, NULL, block);
		return 0;
	}
	err = want_start(client, find_session(client, fetch.session), frame->id, false, &fetch.cid,
			 fetch.ms);
	if (err)
		answer_fail(client, frame->id, err, &nothing_tried);
	return 0;
}

static bool is_stored(struct control_client *client, const struct cid *cid)
{
	return client->server->store && store_has(client->server->store, cid_hash_bytes(cid));
}

static int on_prefetch(struct control_client *client, const struct control_frame *frame)
{
	struct cursor c = cursor_over(frame->body);
	struct control_session *session = find_session(client, cursor_be32(&c));
	struct cid cid;

	while (control_cid_next(&c, &cid)) {
		if (client->prefetch_count >= CLIENT_PREFETCHES_MAX || cid_allowed(&cid) ||
		    is_stored(client, &cid))
			continue;
		want_start(client, session, 0, true, &cid, PREFETCH_MS);
	}
	return c.bad ? -EBADMSG : 0;
}

static int on_have(struct control_client *client, const struct control_frame *frame)
{
	struct cursor c = cursor_over(frame->body);
	struct cid cid;

	while (control_cid_next(&c, &cid))
		if (client->server->exchange)
			exchange_have(client->server->exchange, &cid, 1);
	return c.bad ? -EBADMSG : 0;
}

static void on_cancel(struct control_client *client, uint32_t id)
{
	list_for_each(want, &client->fetches, struct control_want, node) {
		if (want->id == id) {
			want_free(want);
			return;
		}
	}
	list_for_each(request, &client->calls, struct control_request, node) {
		if (request->id == id) {
			api_cancel(&request->call);
			return;
		}
	}
}

static void session_free(struct control_client *client, struct control_session *session)
{
	list_for_each_safe(want, &client->prefetches, struct control_want, node)
		if (want->session == session)
			want_free(want);
	list_for_each_safe(fetch, &client->fetches, struct control_want, node) {
		uint32_t id = fetch->id;

		if (fetch->session != session)
			continue;
		want_free(fetch);
		answer_fail(client, id, -ECANCELED, &nothing_tried);
	}
	list_remove(&session->node);
	client->session_count--;
	if (session->session)
		exchange_session_free(session->session);
	free(session);
}

int control_client_frame(struct control_client *client, const struct control_frame *frame)
{
	struct control_session *session;

	switch (frame->kind) {
	case CONTROL_CALL:
		return on_call(client, frame);
	case CONTROL_OPEN_SESSION:
		return open_session(client, frame->id);
	case CONTROL_CLOSE_SESSION:
		session = find_session(client, frame->id);
		if (!session)
			return -EPROTO;
		session_free(client, session);
		return 0;
	case CONTROL_FETCH:
		return on_fetch(client, frame);
	case CONTROL_PREFETCH:
		return on_prefetch(client, frame);
	case CONTROL_HAVE:
		return on_have(client, frame);
	case CONTROL_CANCEL:
		on_cancel(client, frame->id);
		return 0;
	case CONTROL_ITEM:
	case CONTROL_TROUBLE:
	case CONTROL_DONE:
	case CONTROL_BLOCK:
	case CONTROL_FAIL:
		break;
	}
	return -EPROTO;
}

void control_client_drop(struct control_client *client)
{
	while (!list_empty(&client->sessions))
		session_free(client, list_first(&client->sessions, struct control_session, node));
	while (!list_empty(&client->calls)) {
		struct control_request *request =
			list_first(&client->calls, struct control_request, node);

		list_remove(&request->node);
		request->client = NULL;
		api_cancel(&request->call);
	}
}
