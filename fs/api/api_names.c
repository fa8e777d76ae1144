/* Paths that begin with a name: what it leads to is put in its place, again and again, until the
 * path is one of /ipfs. Domains are asked for by DNSLink. Any thread but a loop's, blocking. */
#include "fs/api/api_names.h"

#include "dag/dag.h"
#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

#define IPNS "/ipns/"
#define SHOWN_MAX 512

bool api_is_name(const char *path)
{
	return strncmp(path, IPNS, strlen(IPNS)) == 0 || strncmp(path, "ipns://", 7) == 0;
}

/* The domain behind a name as subdomains spell it: '.' is '-' there, and '-' is '--'. Malloc'd. */
static char *domain_of(const char *name)
{
	char *out = xstrdup(name), *to = out;

	if (strchr(name, '.'))
		return out;
	for (const char *from = name; *from; from++) {
		if (*from == '-' && from[1] == '-') {
			*to++ = '-';
			from++;
		} else {
			*to++ = *from == '-' ? '.' : *from;
		}
	}
	*to = 0;
	return out;
}

/* Does domain end with suffix, which has a dot at its end, at a dot? */
static bool is_below(const char *domain, const char *suffix)
{
	size_t len = strlen(domain), below = strlen(suffix) - 1;

	if (len && domain[len - 1] == '.')
		len--;
	if (below == 0)
		return true;
	return len >= below && strncasecmp(domain + len - below, suffix, below) == 0 &&
	       (len == below || domain[len - below - 1] == '.');
}

/* NULL: the system's. */
static const char *servers_of(const struct config *config, const char *domain)
{
	const char *suffix, *servers = NULL;
	size_t longest = 0;
	json_t *item;

	json_object_foreach(config_get(config, "DNS.Resolvers"), suffix, item) {
		size_t len = strlen(suffix);

		if (len > longest && is_below(domain, suffix)) {
			servers = json_string_value(item);
			longest = len;
		}
	}
	return servers && strcmp(servers, "auto") ? servers : NULL;
}

static char *failed_text(int err, const char *name, const char *domain, const struct wait *wait)
{
	char why[WAIT_TEXT_MAX];

	switch (err) {
	case -ENOENT:
		return xasprintf("cannot resolve the name %s: no TXT record of _dnslink.%s tells "
				 "where it leads (DNSLink)",
				 name, domain);
	case -EEXIST:
		return xasprintf("cannot resolve the name %s: several TXT records of _dnslink.%s "
				 "tell where it leads",
				 name, domain);
	case -EINVAL:
		return xasprintf("'%s' is no domain name", name);
	case -EIO:
		return xasprintf("cannot resolve the name %s: the DNS server has failed", name);
	case -ETIMEDOUT:
		return xasprintf("cannot resolve the name %s: no answer of a DNS server in time",
				 name);
	}
	return xasprintf("cannot resolve the name %s: %s", name, wait_err_text(wait, err, why));
}

/* What the name leads to, as a path (malloc'd). */
static int ask(const struct config *config, const char *name, struct wait *wait, char **out,
	       char **why)
{
	char safe[SHOWN_MAX], shown[SHOWN_MAX], *domain;
	struct peer_id key;
	int err;

	cli_safe(safe, sizeof(safe), name, strlen(name));
	if (peer_id_from_text(&key, name) == 0) {
		*why = xasprintf("cannot resolve the name %s: names of keys are not built into "
				 "this dagfs yet, only those of domains",
				 safe);
		return -ENOTSUP;
	}
	domain = domain_of(name);
	err = net_dnslink(domain, servers_of(config, domain), wait, out);
	if (err)
		*why = failed_text(err, safe,
				   cli_safe(shown, sizeof(shown), domain, strlen(domain)), wait);
	free(domain);
	return err == -EEXIST ? -EINVAL : err;
}

/* One step. *path is replaced by where its name leads, and the rest of it. */
static int step(const struct config *config, char **path, struct wait *wait, char **why)
{
	size_t scheme = strncmp(*path, "ipns://", 7) ? strlen(IPNS) : 7;
	char clean[DAG_PATH_MAX + 8], *name, *target;
	const char *rest;
	int err = dag_path_clean(*path + scheme, clean);

	if (err || !clean[0]) {
		*why = xstrdup(err ? "path is too long" : "path has no name");
		return -EINVAL;
	}
	rest = clean + 1 + strcspn(clean + 1, "/");
	name = xasprintf("%.*s", (int)(rest - clean - 1), clean + 1);
	err = ask(config, name, wait, &target, why);
	free(name);
	if (err)
		return err;
	free(*path);
	*path = xasprintf("%s%s", target, rest);
	free(target);
	return 0;
}

int api_name_resolve(const struct config *config, const char *path, unsigned steps_max,
		     struct wait *wait, char **out, char **why)
{
	char safe[SHOWN_MAX];
	int err = 0;

	*out = xstrdup(path);
	for (unsigned i = 0; !err && api_is_name(*out); i++) {
		if (i == steps_max)
			break;
		err = step(config, out, wait, why);
	}
	if (!err && steps_max == API_NAME_STEPS_MAX && api_is_name(*out)) {
		*why = xasprintf("cannot resolve %s: more than %d names lead to each other",
				 cli_safe(safe, sizeof(safe), path, strlen(path)),
				 API_NAME_STEPS_MAX);
		err = -ELOOP;
	}
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}
