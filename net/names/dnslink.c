/* What a domain says that its name leads to: TXT records of _dnslink.DOMAIN. A blocking call with a
 * loop of its own, so that it works with and without a daemon. Any thread but a loop's. */
#include "net/names/resolve_ask.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "net/wire/cid.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 50 /* how often an interruption is looked for */
#define PREFIX "_dnslink."
#define LABEL_MAX 63

/* ---- pure ---- */

bool net_is_domain(const char *name)
{
	size_t len = strlen(name), label = 0;

	if (len && name[len - 1] == '.')
		len--;
	if (len == 0 || len > RESOLVE_NAME_MAX - strlen(PREFIX))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c == '.' && label == 0)
			return false;
		label = c == '.' ? 0 : label + 1;
		if ((c != '.' && c != '-' && c != '_' && !isalnum(c)) || label > LABEL_MAX)
			return false;
	}
	return label > 0;
}

/* A path of /ipfs or /ipns, or a CID alone: as a path; NULL: neither. */
static char *link_path(const char *text)
{
	struct cid cid;
	bool ipfs = strncmp(text, "/ipfs/", 6) == 0;
	size_t len;

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return NULL;
	if (strlen(text) > NET_DNSLINK_MAX)
		return NULL;
	if (!ipfs && strncmp(text, "/ipns/", 6) != 0)
		return cid_from_text(&cid, text) ? NULL : xasprintf("/ipfs/%s", text);
	len = strcspn(text + 6, "/");
	if (len == 0 || (ipfs && cid_from_text_bytes(&cid, bytes_of(text + 6, len))))
		return NULL;
	return xstrdup(text);
}

int net_dnslink_of(char *const *texts, size_t count, char **path)
{
	*path = NULL;
	for (size_t i = 0; i < count; i++) {
		const char *text = texts[i];
		char *found = link_path(strncmp(text, "dnslink=", 8) ? text : text + 8);

		if (found && *path) {
			free(found);
			free(*path);
			*path = NULL;
			return -EEXIST;
		}
		*path = found ? found : *path;
	}
	return *path ? 0 : -ENOENT;
}

/* ---- asking ---- */

struct asking {
	struct loop *loop;
	bool answered, closed;
	int err;
	char *path;
};

static void on_answer(void *ctx, int err, char *const *texts, size_t count)
{
	struct asking *asking = ctx;

	asking->answered = true;
	asking->err = err ? err : net_dnslink_of(texts, count, &asking->path);
	loop_stop(asking->loop);
}

static void on_closed(void *ctx)
{
	struct asking *asking = ctx;

	asking->closed = true;
	loop_stop(asking->loop);
}

static void dnslink_ask(struct asking *asking, struct resolver *resolver, const char *domain,
			struct wait *wait)
{
	uint64_t deadline_ms = monotonic_ms() + RESOLVE_TIMEOUT_MS;
	char *name = xasprintf(PREFIX "%s", domain);

	if (deadline_ms > wait->deadline_ms)
		deadline_ms = wait->deadline_ms;
	resolver_txt(resolver, name, deadline_ms, on_answer, asking);
	free(name);
	while (!asking->answered && !asking->err) {
		loop_run_for(asking->loop, LOOK_MS);
		if (!asking->answered)
			asking->err = wait_check(wait);
	}
}

int net_dnslink(const char *domain, const char *servers, struct wait *wait, char **path)
{
	struct asking asking = { 0 };
	struct resolver *resolver;

	*path = NULL;
	if (!net_is_domain(domain))
		return -EINVAL;
	asking.loop = loop_new();
	resolver = resolver_new(asking.loop);
	resolver_set_servers(resolver, servers);
	dnslink_ask(&asking, resolver, domain, wait);
	resolver_close(resolver, on_closed, &asking);
	while (!asking.closed)
		loop_run_for(asking.loop, LOOK_MS);
	loop_free(asking.loop);
	if (asking.err) {
		free(asking.path);
		asking.path = NULL;
	}
	*path = asking.path;
	return asking.err;
}
