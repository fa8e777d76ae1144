/* Names in the daemon: the service of routing/names.h, the calls that use it, and a thread that
 * makes records anew, because keys are in files and signing takes time. The loop thread, but for
 * that one. */
#include "fs/daemon/daemon_private.h"
#include "fs/keystore.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"
#include "net/base/wait.h"
#include "net/wire/multibase.h"
#include "routing/names.h"

#include <pthread.h>
#include <stdlib.h>

#define QUERY_MS 30000
#define QUERY_MS_MAX (10 * 60 * 1000)

/* ---- records made anew ---- */

struct renewal {
	struct list node;
	struct peer_id name;
};

struct daemon_names {
	struct daemon *daemon;
	pthread_t thread;
	struct inbox_item changed;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct list queue; /* struct renewal */
	bool stopping, posted;
};

static void on_changed(struct inbox_item *item)
{
	struct daemon_names *work = container_of(item, struct daemon_names, changed);

	pthread_mutex_lock(&work->lock);
	work->posted = false;
	pthread_mutex_unlock(&work->lock);
	if (work->daemon->names)
		names_changed(work->daemon->names);
}

static void renew_one(struct daemon_names *work, const struct peer_id *name)
{
	struct repo *repo = work->daemon->repo;
	char text[PEER_ID_TEXT_MAX];
	struct private_key *key;
	int err = keystore_find(repo->path, repo->identity, name, &key);

	if (!err) {
		err = name_own_renew(repo->db, key, wallclock_ns());
		private_key_free(key);
	}
	if (err)
		log_warn("names", "no new record is made name=%s err=%s", peer_id_text(name, text),
			 err == -ENOENT ? "its key is not here" : err_text(err));
	if (err)
		return;
	pthread_mutex_lock(&work->lock);
	if (!work->posted && !work->stopping)
		loop_post(work->daemon->loop, &work->changed);
	work->posted = true;
	pthread_mutex_unlock(&work->lock);
}

static void *names_run(void *ctx)
{
	struct daemon_names *work = ctx;

	pthread_mutex_lock(&work->lock);
	while (!work->stopping) {
		struct renewal *renewal;

		if (list_empty(&work->queue)) {
			pthread_cond_wait(&work->wake, &work->lock);
			continue;
		}
		renewal = list_first(&work->queue, struct renewal, node);
		list_remove(&renewal->node);
		pthread_mutex_unlock(&work->lock);
		renew_one(work, &renewal->name);
		free(renewal);
		pthread_mutex_lock(&work->lock);
	}
	pthread_mutex_unlock(&work->lock);
	return NULL;
}

static void on_renew(void *ctx, const struct peer_id *name)
{
	struct daemon *daemon = ctx;
	struct daemon_names *work = daemon->names_work;
	struct renewal *renewal;

	if (!work)
		return;
	renewal = xnew(struct renewal);
	renewal->name = *name;
	pthread_mutex_lock(&work->lock);
	list_add_tail(&work->queue, &renewal->node);
	pthread_cond_signal(&work->wake);
	pthread_mutex_unlock(&work->lock);
}

static struct daemon_names *work_start(struct daemon *daemon)
{
	struct daemon_names *work = xnew(struct daemon_names);
	int err;

	work->daemon = daemon;
	work->changed.run = on_changed;
	list_init(&work->queue);
	pthread_mutex_init(&work->lock, NULL);
	pthread_cond_init(&work->wake, NULL);
	err = thread_start(&work->thread, names_run, work);
	if (!err)
		return work;
	log_error("names", "records are not made anew err=%s", err_text(err));
	pthread_cond_destroy(&work->wake);
	pthread_mutex_destroy(&work->lock);
	free(work);
	return NULL;
}

/* What it posted before is run by the loop yet, so it lives until daemon_names_free(). */
static void work_stop(struct daemon_names *work)
{
	pthread_mutex_lock(&work->lock);
	work->stopping = true;
	pthread_cond_signal(&work->wake);
	pthread_mutex_unlock(&work->lock);
	pthread_join(work->thread, NULL);
	while (!list_empty(&work->queue)) {
		struct renewal *renewal = list_first(&work->queue, struct renewal, node);

		list_remove(&renewal->node);
		free(renewal);
	}
}

void daemon_names_start(struct daemon *daemon)
{
	const struct config *config = daemon->repo->config;
	struct names_config names = {
		.republish_ms = config_duration_ms(config, "Ipns.RepublishPeriod"),
		.cache_max = (size_t)config_int(config, "Ipns.ResolveCacheSize"),
		.renew = on_renew,
		.ctx = daemon,
	};

	if (config_get(config, "Ipns.MaxCacheTTL")) {
		names.cache_ms_max = config_duration_ms(config, "Ipns.MaxCacheTTL");
		names.cache_ms_max += names.cache_ms_max == 0; /* 0 would be no limit */
	}
	daemon->names_work = work_start(daemon);
	daemon->names = names_new(daemon->swarm, daemon->router, daemon->repo->db, &names);
}

void daemon_names_stop(struct daemon *daemon)
{
	if (daemon->names_work)
		work_stop(daemon->names_work);
	names_free(daemon->names);
	daemon->names = NULL;
}

void daemon_names_free(struct daemon *daemon)
{
	struct daemon_names *work = daemon->names_work;

	if (!work)
		return;
	pthread_cond_destroy(&work->wake);
	pthread_mutex_destroy(&work->lock);
	free(work);
	daemon->names_work = NULL;
}

/* ---- calls ---- */

struct find {
	struct daemon *daemon;
	struct api_call *call;
	struct names_query *query;
	struct buf best;
};

/* Ends the call too. */
static void find_end(struct find *find, int err, const char *message)
{
	struct api_call *call = find->call;

	buf_release(&find->best);
	free(find);
	api_end(call, err, message);
}

static void on_cancel(void *ctx)
{
	struct find *find = ctx;

	names_cancel(find->query);
	find_end(find, -ECANCELED, NULL);
}

static struct find *find_new(struct api_call *call)
{
	struct find *find = xnew(struct find);

	find->daemon = call->host;
	find->call = call;
	api_on_cancel(call, on_cancel, find);
	return find;
}

static void check_query(struct find *find)
{
	if (!find->query)
		find_end(find, -EAGAIN, "too many searches run");
}

static uint64_t deadline_of(const struct find *find, const char *option)
{
	json_int_t ms = api_int(find->call->args, "timeout"),
		   own = option ? api_int(find->call->args, option) : 0;

	ms = ms ? ms : QUERY_MS_MAX;
	if (own && own < ms)
		ms = own;
	if (ms > QUERY_MS_MAX)
		ms = QUERY_MS_MAX;
	return timers_now(loop_timers(find->daemon->loop)) + (uint64_t)ms;
}

static void record_item(struct find *find, struct bytes record)
{
	struct buf text = { 0 };
	struct bytes value;
	json_t *path = NULL;

	if (routing_name_value(record, &value) == 0)
		path = json_stringn((const char *)value.at, value.len);
	base_encode(&text, BASE64, record);
	api_item(find->call, json_pack("{s:o, s:s#}", "Value", path ? path : json_string(""),
				       "Record", (const char *)text.at, (int)text.len));
	buf_release(&text);
}

static void on_found(void *ctx, const struct name_record *record)
{
	struct find *find = ctx;

	buf_clear(&find->best);
	buf_add(&find->best, record->bytes);
	if (api_flag(find->call->args, "stream"))
		record_item(find, record->bytes);
}

static const char *none_text(const struct daemon *daemon, int err)
{
	if (err == -ENOTSUP && !daemon->router)
		return DAEMON_ROUTING_OFF;
	return err == -ENOENT ? "no record of it was found" : NULL;
}

static void on_find_end(void *ctx, int err, unsigned heard)
{
	struct find *find = ctx;

	(void)heard;
	find->query = NULL;
	if (!err && !api_flag(find->call->args, "stream"))
		record_item(find, buf_bytes(&find->best));
	find_end(find, err, none_text(find->daemon, err));
}

void daemon_run_name_find(struct api_call *call)
{
	struct peer_id name = api_peer(call->args, 0);
	struct find *find = find_new(call);
	json_int_t records = api_int(call->args, "records");
	struct names_want want = { .no_cache = api_flag(call->args, "no-cache"),
				   .records = records < 0 ? UINT_MAX : (unsigned)records,
				   .deadline_ms = deadline_of(find, "search-time") };

	find->query = names_resolve(find->daemon->names, &name, &want, on_found, on_find_end, find);
	check_query(find);
}

static void on_told(void *ctx, int err, unsigned told)
{
	struct find *find = ctx;

	find->query = NULL;
	if (!err)
		api_item(find->call, json_pack("{s:I}", "Told", (json_int_t)told));
	find_end(find, err, none_text(find->daemon, err));
}

void daemon_run_name_tell(struct api_call *call)
{
	struct peer_id name = api_peer(call->args, 0);
	struct find *find = find_new(call);

	find->query =
		names_publish(find->daemon->names, &name, deadline_of(find, NULL), on_told, find);
	check_query(find);
}

void daemon_run_name_give(struct api_call *call)
{
	struct peer_id name = api_peer(call->args, 0);
	struct find *find = find_new(call);
	struct buf record = { 0 };

	if (base_decode(&record, BASE64, bytes_str(api_text(call->args, "record"))) ||
	    record.len > ROUTING_VALUE_MAX)
		find_end(find, -EBADMSG, NULL);
	else {
		find->query = names_put(find->daemon->names, &name, buf_bytes(&record),
					deadline_of(find, NULL), on_told, find);
		check_query(find);
	}
	buf_release(&record);
}
