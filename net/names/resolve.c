/* DNS by c-ares. Its sockets are watched by libuv and its timeouts by our timers, so that no
 * question blocks the loop. A question that its owner has forgotten stays with c-ares until it is
 * answered, and the answer is dropped. Loop thread. */
#include "net/names/resolve_ask.h"

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
	bool started;  /* channel is set up */
	char *servers; /* NULL: the system's */
	struct list watches;
	struct list resolves, lookups;
	struct timer timer;
	size_t questions, heard; /* all; those for names that others told */
	size_t handles;		 /* polls that libuv holds */
	bool closing;
	struct timer ended;
	void (*done)(void *ctx);
	void *ctx;
};

/* A question that c-ares has. It always answers, perhaps after its owner has forgotten it. */
struct question {
	struct list node; /* in its owner's list */
	struct resolver *resolver;
	resolver_texts_fn *texts; /* both NULL: forgotten */
	resolver_hosts_fn *hosts;
	void *ctx;
	struct multiaddr tail; /* what follows the name */
	unsigned depth;
	bool heard;
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

	free(resolver->servers);
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
	list_for_each(watch, &resolver->watches, struct watch, node)
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
	uv_poll_start(&watch->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
		      on_poll);
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

	if (!servers || !*servers)
		servers = resolver->servers;
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
		log_warn("resolve", "cannot use the servers list=%s", servers);
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

void resolver_set_servers(struct resolver *resolver, const char *servers)
{
	free(resolver->servers);
	resolver->servers = servers ? xstrdup(servers) : NULL;
}

void resolver_close(struct resolver *resolver, void (*done)(void *ctx), void *ctx)
{
	struct timers *timers = loop_timers(resolver->loop);

	resolver->done = done;
	resolver->ctx = ctx;
	resolve_cancel_all(&resolver->resolves);
	list_for_each_safe(lookup, &resolver->lookups, struct net_lookup, node)
		net_lookup_cancel(lookup);
	if (resolver->started) {
		ares_destroy(
			resolver->channel); /* every question is answered, every socket closed */
		ares_library_cleanup();
	}
	timer_stop(timers, &resolver->timer);
	assert(resolver->questions == 0 && list_empty(&resolver->watches));
	resolver->closing = true;
	if (resolver->handles == 0)
		timer_start(timers, &resolver->ended, 0, resolver_end, resolver);
}

/* ---- questions ---- */

static int question_new(struct resolver *resolver, struct list *questions, bool heard,
			struct question **out)
{
	struct question *question;

	if (resolver->questions >= RESOLVE_LOOKUPS_MAX ||
	    (heard && resolver->heard >= RESOLVE_HEARD_MAX))
		return -EAGAIN;
	if (resolver_start(resolver) != 0)
		return -EIO;
	question = xnew(struct question);
	question->resolver = resolver;
	question->heard = heard;
	resolver->questions++;
	resolver->heard += heard;
	list_add_tail(questions, &question->node);
	*out = question;
	return 0;
}

static void question_free(struct question *question)
{
	question->resolver->questions--;
	question->resolver->heard -= question->heard;
	list_remove(&question->node);
	free(question);
}

void resolver_forget(struct list *questions)
{
	while (!list_empty(questions)) {
		struct question *question = list_first(questions, struct question, node);

		list_remove(&question->node);
		question->texts = NULL;
		question->hosts = NULL;
	}
}

struct loop *resolver_loop(const struct resolver *resolver)
{
	return resolver->loop;
}

struct list *resolver_resolves(struct resolver *resolver)
{
	return &resolver->resolves;
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
	for (const struct ares_txt_ext *r = records; r && *count < RESOLVE_RESULTS_MAX;
	     r = r->next) {
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

/* c-ares has an answer. Its owner may have forgotten the question: then the answer is dropped. */
static void on_txt(void *ctx, int status, int timeouts, unsigned char *answer, int len)
{
	struct question *question = ctx;
	resolver_texts_fn *texts_fn = question->texts;
	void *owner = question->ctx;
	unsigned depth = question->depth;
	char **texts = NULL;
	size_t count = 0;
	int err = ares_err(status);

	(void)timeouts;
	question_free(question);
	if (!texts_fn)
		return;
	if (!err)
		err = read_texts(answer, len, &texts, &count);
	if (!err && count == 0)
		err = -ENOENT;
	texts_fn(owner, err, depth, texts, count);
	free_texts(texts, count);
}

int resolver_ask_txt(struct resolver *resolver, struct list *questions, const char *name,
		     bool heard, unsigned depth, resolver_texts_fn *answer, void *ctx)
{
	struct question *question;
	int err = question_new(resolver, questions, heard, &question);

	if (err)
		return err;
	question->texts = answer;
	question->ctx = ctx;
	question->depth = depth;
	ares_query(resolver->channel, name, ns_c_in, ns_t_txt, on_txt, question);
	set_timer(resolver);
	return 0;
}

/* The address of one host record, the tail behind it. */
static bool host_addr(const struct ares_addrinfo_node *node, const struct multiaddr *tail,
		      struct multiaddr *addr)
{
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
		return false;
	}
	*addr = (struct multiaddr){ 0 };
	return multiaddr_add(addr, code, ip) == 0 && multiaddr_join(addr, tail) == 0;
}

static void on_hosts(void *ctx, int status, int timeouts, struct ares_addrinfo *result)
{
	struct question *question = ctx;
	struct question end = *question;
	struct multiaddr *addrs = NULL;
	size_t count = 0;
	int err = ares_err(status);

	(void)timeouts;
	question_free(question);
	if (end.hosts && !err) {
		addrs = xcalloc(RESOLVE_RESULTS_MAX, sizeof(*addrs));
		for (const struct ares_addrinfo_node *n = result->nodes; n; n = n->ai_next)
			if (count < RESOLVE_RESULTS_MAX && host_addr(n, &end.tail, &addrs[count]))
				count++;
	}
	if (result)
		ares_freeaddrinfo(result);
	if (end.hosts)
		end.hosts(end.ctx, err, addrs, count);
	free(addrs);
}

int resolver_ask_host(struct resolver *resolver, struct list *questions, const char *name,
		      bool heard, int family, const struct multiaddr *tail,
		      resolver_hosts_fn *answer, void *ctx)
{
	struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT, .ai_family = family };
	struct question *question;
	int err = question_new(resolver, questions, heard, &question);

	if (err)
		return err;
	question->hosts = answer;
	question->ctx = ctx;
	question->tail = *tail;
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_hosts, question);
	set_timer(resolver);
	return 0;
}

/* ---- TXT ---- */

void net_lookup_cancel(struct net_lookup *lookup)
{
	if (!lookup)
		return;
	resolver_forget(&lookup->questions);
	timer_stop(loop_timers(lookup->resolver->loop), &lookup->timer);
	list_remove(&lookup->node);
	free(lookup->name);
	free(lookup);
}

/* The single way out. */
static void lookup_end(struct net_lookup *lookup, int err, char *const *texts, size_t count)
{
	net_txt_fn *done = lookup->done;
	void *ctx = lookup->ctx;

	net_lookup_cancel(lookup);
	done(ctx, err, texts, count);
}

static void on_lookup_txt(void *ctx, int err, unsigned depth, char *const *texts, size_t count)
{
	(void)depth;
	lookup_end(ctx, err, texts, count);
}

static void on_lookup_timeout(void *ctx)
{
	lookup_end(ctx, -ETIMEDOUT, NULL, 0);
}

static void on_lookup_start(void *ctx)
{
	struct net_lookup *lookup = ctx;
	struct resolver *resolver = lookup->resolver;
	int err = strlen(lookup->name) > RESOLVE_NAME_MAX ? -ENOENT : 0;

	timer_start_at(loop_timers(resolver->loop), &lookup->timer, lookup->deadline_ms,
		       on_lookup_timeout, lookup);
	/* c-ares may answer on the spot: then the lookup is gone. */
	if (!err)
		err = resolver_ask_txt(resolver, &lookup->questions, lookup->name, false, 0,
				       on_lookup_txt, lookup);
	if (err)
		lookup_end(lookup, err, NULL, 0);
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
