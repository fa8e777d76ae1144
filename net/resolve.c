#include "net/resolve.h"

#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/base/log.h"

#include <ares.h>
#include <ares_nameser.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define SERVERS_ENV "DAGFS_DNS"
#define TRY_MS 2500 /* one try at one server; c-ares doubles it */
#define TRIES 3
#define NAME_MAX_LEN 253
#define DNSADDR_PREFIX "dnsaddr="

/* A socket of c-ares, watched by libuv. */
struct watch {
	struct list node;
	struct resolver *resolver;
	uv_poll_t poll;
	ares_socket_t fd;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	bool started; /* channel is set up */
	struct list watches;
	struct list resolves, lookups;
	struct timer timer;
	size_t questions;
	size_t handles; /* polls that libuv holds */
	bool closing;
	struct timer ended;
	void (*done)(void *ctx);
	void *ctx;
};

/* A question that c-ares has. It always answers, perhaps after nobody waits: owner is NULL then. */
struct question {
	struct list node; /* in its owner's questions */
	struct resolver *resolver;
	struct resolve *resolve;
	struct net_lookup *lookup;
	struct multiaddr tail; /* what follows the name */
	unsigned depth;
};

struct resolve {
	struct resolver *resolver;
	struct list node;
	struct list questions;
	struct peer_id peer;
	struct timer timer; /* start, then deadline */
	struct multiaddr addr;
	uint64_t deadline_ms;
	struct multiaddr *found;
	size_t found_count;
	unsigned asked;
	int err;
	bool ready; /* not in the middle of asking */
	resolve_done_fn *done;
	void *ctx;
};

struct net_lookup {
	struct resolver *resolver;
	struct list node;
	struct list questions;
	struct timer timer;
	char *name;
	uint64_t deadline_ms;
	net_txt_fn *done;
	void *ctx;
};

static int ares_err(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
	case ARES_EBADNAME:
		return -ENOENT;
	case ARES_ETIMEOUT:
	case ARES_ECONNREFUSED: /* no server answers */
		return -ETIMEDOUT;
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
		return -ECANCELED;
	default:
		return -EIO;
	}
}

/* ---- c-ares on the loop ---- */

static void resolver_end(void *ctx)
{
	struct resolver *resolver = ctx;
	void (*done)(void *ctx) = resolver->done;
	void *done_ctx = resolver->ctx;

	free(resolver);
	done(done_ctx);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	struct resolver *resolver = watch->resolver;

	free(watch);
	if (--resolver->handles == 0 && resolver->closing)
		resolver_end(resolver);
}

static void set_timer(struct resolver *resolver);

static void on_timer(void *ctx)
{
	struct resolver *resolver = ctx;

	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(resolver);
}

/* c-ares retries when it is asked to look at the time: as often as its timeouts are fine. */
static void set_timer(struct resolver *resolver)
{
	struct timers *timers = loop_timers(resolver->loop);
	struct timeval most = { .tv_sec = 1 }, wait;

	if (resolver->questions == 0) {
		timer_stop(timers, &resolver->timer);
		return;
	}
	struct timeval *tv = ares_timeout(resolver->channel, &most, &wait);
	uint64_t ms = (uint64_t)tv->tv_sec * 1000 + (uint64_t)tv->tv_usec / 1000 + 1;

	timer_start(timers, &resolver->timer, ms, on_timer, resolver);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;
	struct resolver *resolver = watch->resolver;
	ares_socket_t fd = watch->fd;
	bool readable = status < 0 || (events & UV_READABLE);
	bool writable = status < 0 || (events & UV_WRITABLE);

	ares_process_fd(resolver->channel, readable ? fd : ARES_SOCKET_BAD,
			writable ? fd : ARES_SOCKET_BAD);
	set_timer(resolver);
}

static struct watch *watch_of(struct resolver *resolver, ares_socket_t fd)
{
	list_for_each (watch, &resolver->watches, struct watch, node)
		if (watch->fd == fd)
			return watch;
	return NULL;
}

/* c-ares opened a socket, wants other events of it, or is about to close it. */
static void on_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = ctx;
	struct watch *watch = watch_of(resolver, fd);

	if (!readable && !writable) {
		if (!watch)
			return;
		list_remove(&watch->node);
		uv_close((uv_handle_t *)&watch->poll, on_poll_closed);
		return;
	}
	if (!watch) {
		watch = xnew(struct watch);
		if (uv_poll_init_socket(loop_uv(resolver->loop), &watch->poll, fd) != 0) {
			free(watch); /* the question times out */
			return;
		}
		watch->resolver = resolver;
		watch->fd = fd;
		watch->poll.data = watch;
		list_add_tail(&resolver->watches, &watch->node);
		resolver->handles++;
	}
	uv_poll_start(&watch->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_poll);
}

static int resolver_start(struct resolver *resolver)
{
	struct ares_options options = {
		.flags = ARES_FLAG_NOCHECKRESP,
		.timeout = TRY_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = resolver,
	};
	const char *servers = getenv(SERVERS_ENV);
	int status;

	if (resolver->started)
		return 0;
	status = ares_library_init(ARES_LIB_INIT_ALL);
	if (status == ARES_SUCCESS) {
		status = ares_init_options(&resolver->channel, &options,
					   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
						   ARES_OPT_SOCK_STATE_CB);
		if (status != ARES_SUCCESS)
			ares_library_cleanup();
	}
	if (status != ARES_SUCCESS) {
		log_warn("resolve", "no resolver: %s", ares_strerror(status));
		return -EIO;
	}
	resolver->started = true;
	if (servers && *servers && ares_set_servers_ports_csv(resolver->channel, servers) != 0)
		log_warn("resolve", "bad %s", SERVERS_ENV);
	return 0;
}

struct resolver *resolver_new(struct loop *loop)
{
	struct resolver *resolver = xnew(struct resolver);

	resolver->loop = loop;
	list_init(&resolver->watches);
	list_init(&resolver->resolves);
	list_init(&resolver->lookups);
	return resolver;
}

void resolver_close(struct resolver *resolver, void (*done)(void *ctx), void *ctx)
{
	struct timers *timers = loop_timers(resolver->loop);

	resolver->done = done;
	resolver->ctx = ctx;
	list_for_each_safe (resolve, &resolver->resolves, struct resolve, node)
		resolve_cancel(resolve);
	list_for_each_safe (lookup, &resolver->lookups, struct net_lookup, node)
		net_lookup_cancel(lookup);
	if (resolver->started) {
		ares_destroy(resolver->channel); /* every question is answered, every socket closed */
		ares_library_cleanup();
	}
	timer_stop(timers, &resolver->timer);
	assert(resolver->questions == 0 && list_empty(&resolver->watches));
	resolver->closing = true;
	if (resolver->handles == 0)
		timer_start(timers, &resolver->ended, 0, resolver_end, resolver);
}

/* ---- questions ---- */

/* NULL: too many, or no resolver. */
static struct question *question_new(struct resolver *resolver, struct list *questions)
{
	struct question *question;

	if (resolver->questions >= RESOLVE_LOOKUPS_MAX || resolver_start(resolver) != 0)
		return NULL;
	question = xnew(struct question);
	question->resolver = resolver;
	resolver->questions++;
	list_add_tail(questions, &question->node);
	return question;
}

static void question_free(struct question *question)
{
	question->resolver->questions--;
	list_remove(&question->node);
	free(question);
}

/* Their owner goes: the answers find no one. */
static void orphan(struct list *questions)
{
	while (!list_empty(questions)) {
		struct question *question = list_first(questions, struct question, node);

		list_remove(&question->node);
		question->resolve = NULL;
		question->lookup = NULL;
	}
}

/* TXT records of an answer, each one's pieces joined. Free with free_texts(). */
static int read_texts(const unsigned char *answer, int len, char ***out, size_t *count)
{
	struct ares_txt_ext *records;
	int status = ares_parse_txt_reply_ext(answer, len, &records);
	struct buf text = { 0 };

	*out = NULL;
	*count = 0;
	if (status != ARES_SUCCESS)
		return ares_err(status);
	*out = xcalloc(RESOLVE_RESULTS_MAX, sizeof(**out));
	for (const struct ares_txt_ext *r = records; r && *count < RESOLVE_RESULTS_MAX; r = r->next) {
		buf_add(&text, bytes_of(r->txt, r->length));
		if (!r->next || r->next->record_start)
			(*out)[(*count)++] = buf_take_text(&text);
	}
	buf_release(&text);
	ares_free_data(records);
	return 0;
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

/* ---- addresses ---- */

bool resolve_wanted(const struct multiaddr *addr)
{
	struct multiaddr_part part;
	size_t at = 0;

	return multiaddr_next(addr, &at, &part) &&
	       (part.code == MA_DNS || part.code == MA_DNS4 || part.code == MA_DNS6 ||
		part.code == MA_DNSADDR);
}

void resolve_cancel(struct resolve *resolve)
{
	if (!resolve)
		return;
	orphan(&resolve->questions);
	timer_stop(loop_timers(resolve->resolver->loop), &resolve->timer);
	list_remove(&resolve->node);
	free(resolve->found);
	free(resolve);
}

/* The single way out. What has been found counts more than what failed. */
static void resolve_end(struct resolve *resolve, int err)
{
	resolve_done_fn *done = resolve->done;
	void *ctx = resolve->ctx;
	struct multiaddr *found = resolve->found;
	size_t count = resolve->found_count;

	resolve->found = NULL;
	resolve_cancel(resolve);
	if (count > 0)
		err = 0;
	else if (!err)
		err = -ENOENT;
	done(ctx, err, found, count);
	free(found);
}

static void resolve_check(struct resolve *resolve)
{
	if (resolve->ready && list_empty(&resolve->questions))
		resolve_end(resolve, resolve->err);
}

static void add_found(struct resolve *resolve, const struct multiaddr *addr)
{
	if (resolve->found_count == RESOLVE_RESULTS_MAX)
		return;
	if ((resolve->found_count & (resolve->found_count - 1)) == 0) {
		size_t cap = resolve->found_count ? resolve->found_count * 2 : 1;

		resolve->found = xrealloc(resolve->found, cap * sizeof(*resolve->found));
	}
	resolve->found[resolve->found_count++] = *addr;
}

static void ask(struct resolve *resolve, const struct multiaddr *addr, unsigned depth);

/* An address that a dnsaddr record names: ours when it ends in the peer we want, or names none. */
static void on_record(struct resolve *resolve, const char *text, unsigned depth)
{
	const size_t prefix = strlen(DNSADDR_PREFIX);
	struct multiaddr addr;
	struct peer_id peer;

	if (strncmp(text, DNSADDR_PREFIX, prefix) != 0 ||
	    multiaddr_from_text(&addr, text + prefix) != 0)
		return;
	if (multiaddr_split_peer(&addr, &peer) && peer_id_is_set(&resolve->peer) &&
	    !peer_id_equal(&peer, &resolve->peer))
		return;
	if (!resolve_wanted(&addr))
		add_found(resolve, &addr);
	else if (depth < RESOLVE_DEPTH_MAX)
		ask(resolve, &addr, depth + 1);
}

static void on_txt(void *ctx, int status, int timeouts, unsigned char *answer, int len)
{
	struct question *question = ctx;
	struct resolve *resolve = question->resolve;
	unsigned depth = question->depth;
	char **texts = NULL;
	size_t count = 0;
	int err = ares_err(status);

	(void)timeouts;
	question_free(question);
	if (!resolve)
		return;
	if (!err)
		err = read_texts(answer, len, &texts, &count);
	resolve->ready = false;
	for (size_t i = 0; i < count; i++)
		on_record(resolve, texts[i], depth);
	resolve->ready = true;
	free_texts(texts, count);
	if (err && !resolve->err)
		resolve->err = err;
	resolve_check(resolve);
}

static void add_host(struct resolve *resolve, const struct question *question,
		     const struct ares_addrinfo_node *node)
{
	struct multiaddr addr = { 0 };
	struct bytes ip;
	uint32_t code;

	if (node->ai_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)node->ai_addr;

		code = MA_IP4;
		ip = bytes_of(&in->sin_addr, sizeof(in->sin_addr));
	} else if (node->ai_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)node->ai_addr;

		code = MA_IP6;
		ip = bytes_of(&in6->sin6_addr, sizeof(in6->sin6_addr));
	} else {
		return;
	}
	if (multiaddr_add(&addr, code, ip) == 0 && multiaddr_join(&addr, &question->tail) == 0)
		add_found(resolve, &addr);
}

static void on_hosts(void *ctx, int status, int timeouts, struct ares_addrinfo *result)
{
	struct question *question = ctx;
	struct resolve *resolve = question->resolve;

	(void)timeouts;
	if (resolve && status == ARES_SUCCESS)
		for (const struct ares_addrinfo_node *n = result->nodes; n; n = n->ai_next)
			add_host(resolve, question, n);
	else if (resolve && !resolve->err)
		resolve->err = ares_err(status);
	if (result)
		ares_freeaddrinfo(result);
	question_free(question);
	if (resolve)
		resolve_check(resolve);
}

/* Put the question that the first component of addr stands for. */
static void ask(struct resolve *resolve, const struct multiaddr *addr, unsigned depth)
{
	struct resolver *resolver = resolve->resolver;
	struct multiaddr_part part, rest;
	struct question *question;
	char name[NAME_MAX_LEN + sizeof("_dnsaddr.")] = "";
	size_t at = 0;
	bool is_txt;

	multiaddr_next(addr, &at, &part);
	if (part.value.len > NAME_MAX_LEN || resolve->asked++ >= RESOLVE_QUESTIONS_MAX)
		return;
	question = question_new(resolver, &resolve->questions);
	if (!question) {
		resolve->err = resolve->err ? resolve->err : -EAGAIN;
		return;
	}
	question->resolve = resolve;
	question->depth = depth;
	while (multiaddr_next(addr, &at, &rest))
		multiaddr_add(&question->tail, rest.code, rest.value);
	is_txt = part.code == MA_DNSADDR;
	snprintf(name, sizeof(name), "%s%.*s", is_txt ? "_dnsaddr." : "", (int)part.value.len,
		 (const char *)part.value.at);
	if (is_txt) {
		ares_query(resolver->channel, name, ns_c_in, ns_t_txt, on_txt, question);
	} else {
		struct ares_addrinfo_hints hints = {
			.ai_flags = ARES_AI_NOSORT,
			.ai_family = part.code == MA_DNS4   ? AF_INET
				     : part.code == MA_DNS6 ? AF_INET6
							    : AF_UNSPEC,
		};

		ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_hosts, question);
	}
	set_timer(resolver);
}

static void on_resolve_timeout(void *ctx)
{
	resolve_end(ctx, -ETIMEDOUT);
}

/* In a turn of its own, because c-ares may answer on the spot. */
static void on_resolve_start(void *ctx)
{
	struct resolve *resolve = ctx;

	timer_start_at(loop_timers(resolve->resolver->loop), &resolve->timer, resolve->deadline_ms,
		       on_resolve_timeout, resolve);
	if (resolve_wanted(&resolve->addr))
		ask(resolve, &resolve->addr, 1);
	else
		add_found(resolve, &resolve->addr);
	resolve->ready = true;
	resolve_check(resolve);
}

struct resolve *resolve_start(struct resolver *resolver, const struct multiaddr *addr,
			      const struct peer_id *peer, uint64_t deadline_ms, resolve_done_fn *done,
			      void *ctx)
{
	struct resolve *resolve = xnew(struct resolve);
	uint64_t latest = timers_now(loop_timers(resolver->loop)) + RESOLVE_TIMEOUT_MS;

	resolve->resolver = resolver;
	resolve->addr = *addr;
	if (peer)
		resolve->peer = *peer;
	resolve->deadline_ms = deadline_ms < latest ? deadline_ms : latest;
	resolve->done = done;
	resolve->ctx = ctx;
	list_init(&resolve->questions);
	list_add_tail(&resolver->resolves, &resolve->node);
	timer_start(loop_timers(resolver->loop), &resolve->timer, 0, on_resolve_start, resolve);
	return resolve;
}

/* ---- TXT ---- */

void net_lookup_cancel(struct net_lookup *lookup)
{
	if (!lookup)
		return;
	orphan(&lookup->questions);
	timer_stop(loop_timers(lookup->resolver->loop), &lookup->timer);
	list_remove(&lookup->node);
	free(lookup->name);
	free(lookup);
}

/* The single way out. */
static void lookup_end(struct net_lookup *lookup, int err, char **texts, size_t count)
{
	net_txt_fn *done = lookup->done;
	void *ctx = lookup->ctx;

	net_lookup_cancel(lookup);
	done(ctx, err, texts, count);
}

static void on_lookup_txt(void *ctx, int status, int timeouts, unsigned char *answer, int len)
{
	struct question *question = ctx;
	struct net_lookup *lookup = question->lookup;
	char **texts = NULL;
	size_t count = 0;
	int err = ares_err(status);

	(void)timeouts;
	question_free(question);
	if (!lookup)
		return;
	if (!err)
		err = read_texts(answer, len, &texts, &count);
	if (!err && count == 0)
		err = -ENOENT;
	lookup_end(lookup, err, texts, count);
	free_texts(texts, count);
}

static void on_lookup_timeout(void *ctx)
{
	lookup_end(ctx, -ETIMEDOUT, NULL, 0);
}

static void on_lookup_start(void *ctx)
{
	struct net_lookup *lookup = ctx;
	struct resolver *resolver = lookup->resolver;
	struct question *question;

	if (strlen(lookup->name) > NAME_MAX_LEN) {
		lookup_end(lookup, -ENOENT, NULL, 0);
		return;
	}
	question = question_new(resolver, &lookup->questions);
	if (!question) {
		lookup_end(lookup, -EAGAIN, NULL, 0);
		return;
	}
	question->lookup = lookup;
	timer_start_at(loop_timers(resolver->loop), &lookup->timer, lookup->deadline_ms,
		       on_lookup_timeout, lookup);
	ares_query(resolver->channel, lookup->name, ns_c_in, ns_t_txt, on_lookup_txt, question);
	set_timer(resolver);
}

struct net_lookup *resolver_txt(struct resolver *resolver, const char *name, uint64_t deadline_ms,
				net_txt_fn *done, void *ctx)
{
	struct net_lookup *lookup = xnew(struct net_lookup);

	lookup->resolver = resolver;
	lookup->name = xstrdup(name);
	lookup->deadline_ms = deadline_ms;
	lookup->done = done;
	lookup->ctx = ctx;
	list_init(&lookup->questions);
	list_add_tail(&resolver->lookups, &lookup->node);
	timer_start(loop_timers(resolver->loop), &lookup->timer, 0, on_lookup_start, lookup);
	return lookup;
}
