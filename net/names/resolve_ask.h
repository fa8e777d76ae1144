/* Questions to the resolver, as resolve_addr.c and resolve.c put them. Loop thread only. */
#ifndef NET_RESOLVE_ASK_H
#define NET_RESOLVE_ASK_H

#include "net/names/resolve.h"

#define RESOLVE_NAME_MAX 253

/* The answer, once, perhaps before the asking function returns. Lists are borrowed for the call. */
typedef void resolver_texts_fn(void *ctx, int err, unsigned depth, char *const *texts,
			       size_t count);
typedef void resolver_hosts_fn(void *ctx, int err, const struct multiaddr *addrs, size_t count);

/* Asks for records of name. The question is added to the owner's list; resolver_forget() gives it
 * up. depth is returned with the answer; tail is appended to each address. -EAGAIN: too many
 * questions (if heard is set: of those for names from other peers); -EIO: no resolver. */
int resolver_ask_txt(struct resolver *resolver, struct list *questions, const char *name,
		     bool heard, unsigned depth, resolver_texts_fn *answer, void *ctx);
int resolver_ask_host(struct resolver *resolver, struct list *questions, const char *name,
		      bool heard, int family, const struct multiaddr *tail,
		      resolver_hosts_fn *answer, void *ctx);
/* Gives all questions of the list up: no answer runs. */
void resolver_forget(struct list *questions);

struct loop *resolver_loop(const struct resolver *resolver);
/* The list of the resolver's struct resolve; resolve_cancel_all() ends them. */
struct list *resolver_resolves(struct resolver *resolver);
void resolve_cancel_all(struct list *resolves);

#endif
