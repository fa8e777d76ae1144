/* From a multiaddr that begins with a DNS name to addresses with an IP. A /dnsaddr record may
 * name further names, so questions nest up to a depth and a total count; the result is what was
 * found when the last one is answered. Loop thread. */
#include "net/names/resolve_ask.h"

#include "net/base/alloc.h"
#include "net/base/list.h"
#include "net/wire/multiaddr_scope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DNSADDR_PREFIX "dnsaddr="

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
	bool heard;
	resolve_done_fn *done;
	void *ctx;
};

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
	resolver_forget(&resolve->questions);
	timer_stop(loop_timers(resolver_loop(resolve->resolver)), &resolve->timer);
	list_remove(&resolve->node);
	free(resolve->found);
	free(resolve);
}

void resolve_cancel_all(struct list *resolves)
{
	while (!list_empty(resolves))
		resolve_cancel(list_first(resolves, struct resolve, node));
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
	if (resolve->found_count == RESOLVE_RESULTS_MAX ||
	    (resolve->heard && !multiaddr_is_public(addr, false)))
		return;
	if ((resolve->found_count & (resolve->found_count - 1)) == 0) {
		size_t cap = resolve->found_count ? resolve->found_count * 2 : 1;

		resolve->found = xrealloc(resolve->found, cap * sizeof(*resolve->found));
	}
	resolve->found[resolve->found_count++] = *addr;
}

static void question_ask(struct resolve *resolve, const struct multiaddr *addr, unsigned depth);

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
		question_ask(resolve, &addr, depth + 1);
}

static void on_texts(void *ctx, int err, unsigned depth, char *const *texts, size_t count)
{
	struct resolve *resolve = ctx;
	bool was_ready = resolve->ready;

	resolve->ready = false;
	for (size_t i = 0; i < count; i++)
		on_record(resolve, texts[i], depth);
	if (err && !resolve->err)
		resolve->err = err;
	resolve->ready = was_ready;
	resolve_check(resolve);
}

static void on_hosts(void *ctx, int err, const struct multiaddr *addrs, size_t count)
{
	struct resolve *resolve = ctx;

	for (size_t i = 0; i < count; i++)
		add_found(resolve, &addrs[i]);
	if (err && !resolve->err)
		resolve->err = err;
	resolve_check(resolve);
}

static int family_of(uint32_t code)
{
	return code == MA_DNS4 ? AF_INET : code == MA_DNS6 ? AF_INET6 : AF_UNSPEC;
}

/* Put the question that the first component of addr stands for. */
static void question_ask(struct resolve *resolve, const struct multiaddr *addr, unsigned depth)
{
	char name[RESOLVE_NAME_MAX + sizeof("_dnsaddr.")];
	struct multiaddr tail = { 0 };
	struct multiaddr_part part, rest;
	size_t at = 0;
	int err;

	multiaddr_next(addr, &at, &part);
	if (part.value.len > RESOLVE_NAME_MAX || resolve->asked++ >= RESOLVE_QUESTIONS_MAX)
		return;
	while (multiaddr_next(addr, &at, &rest))
		multiaddr_add(&tail, rest.code, rest.value); /* fits: it came out of addr */
	snprintf(name, sizeof(name), "%s%.*s", part.code == MA_DNSADDR ? "_dnsaddr." : "",
		 (int)part.value.len, (const char *)part.value.at);
	if (part.code == MA_DNSADDR)
		err = resolver_ask_txt(resolve->resolver, &resolve->questions, name, resolve->heard,
				       depth, on_texts, resolve);
	else
		err = resolver_ask_host(resolve->resolver, &resolve->questions, name,
					resolve->heard, family_of(part.code), &tail, on_hosts,
					resolve);
	if (err && !resolve->err)
		resolve->err = err;
}

static void on_resolve_timeout(void *ctx)
{
	resolve_end(ctx, -ETIMEDOUT);
}

/* In a turn of its own, because c-ares may answer on the spot. */
static void on_resolve_start(void *ctx)
{
	struct resolve *resolve = ctx;

	timer_start_at(loop_timers(resolver_loop(resolve->resolver)), &resolve->timer,
		       resolve->deadline_ms, on_resolve_timeout, resolve);
	if (resolve_wanted(&resolve->addr))
		question_ask(resolve, &resolve->addr, 1);
	else
		add_found(resolve, &resolve->addr);
	resolve->ready = true;
	resolve_check(resolve);
}

struct resolve *resolve_start(struct resolver *resolver, const struct multiaddr *addr,
			      const struct peer_id *peer, bool heard, uint64_t deadline_ms,
			      resolve_done_fn *done, void *ctx)
{
	struct resolve *resolve = xnew(struct resolve);
	uint64_t latest = timers_now(loop_timers(resolver_loop(resolver))) + RESOLVE_TIMEOUT_MS;

	resolve->resolver = resolver;
	resolve->addr = *addr;
	resolve->heard = heard;
	if (peer)
		resolve->peer = *peer;
	resolve->deadline_ms = deadline_ms < latest ? deadline_ms : latest;
	resolve->done = done;
	resolve->ctx = ctx;
	list_init(&resolve->questions);
	list_add_tail(resolver_resolves(resolver), &resolve->node);
	timer_start(loop_timers(resolver_loop(resolver)), &resolve->timer, 0, on_resolve_start,
		    resolve);
	return resolve;
}
