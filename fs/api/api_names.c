/* Paths that begin with a name: what it leads to is put in its place, again and again, until the
 * path is one of /ipfs. Domains are asked for by DNSLink, keys by the daemon. Any thread but a
 * loop's, blocking. */
#include "fs/api/api_names.h"

#include "fs/cli_text.h"
#include "fs/repo.h"
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

/* Why a name could not be resolved, in words for people (malloc'd). */
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

static int ask_domain(const struct config *config, const char *name, struct wait *wait, char **out,
		      char **why)
{
	char safe[SHOWN_MAX], shown[SHOWN_MAX], *domain = domain_of(name);
	int err = net_dnslink(domain, servers_of(config, domain), wait, out);

	if (err)
		*why = failed_text(err, cli_safe(safe, sizeof(safe), name, strlen(name)),
				   cli_safe(shown, sizeof(shown), domain, strlen(domain)), wait);
	free(domain);
	return err == -EEXIST ? -EINVAL : err;
}

/* A path of a known kind, without control characters? */
static bool is_target(const char *path)
{
	if (strlen(path) > DAG_PATH_MAX || (strncmp(path, "/ipfs/", 6) && !api_is_name(path)))
		return false;
	for (; *path; path++)
		if ((unsigned char)*path < ' ' || *path == 0x7f)
			return false;
	return true;
}

static int ask_key(struct api_host *host, const char *name, struct wait *wait, char **out,
		   char **why)
{
	char text[WAIT_TEXT_MAX], *told = NULL;
	int err = host->name ? host->name(host, name, out, &told) : -ENOLINK;

	if (err == -ENOLINK)
		*why = xasprintf("cannot resolve the name %s: no daemon runs that could ask for it "
				 "(`dagfs daemon`)",
				 name);
	else if (err)
		*why = xasprintf("cannot resolve the name %s: %s", name,
				 told ? told : wait_err_text(wait, err, text));
	free(told);
	if (!err && !is_target(*out)) {
		*why = xasprintf("cannot resolve the name %s: what it leads to is no path", name);
		free(*out);
		err = -EBADMSG;
	}
	return err;
}

/* What the name leads to, as a path (malloc'd). */
static int ask(struct api_host *host, const char *name, struct wait *wait, char **out, char **why)
{
	struct peer_id key;

	if (peer_id_from_text(&key, name) == 0)
		return ask_key(host, name, wait, out, why);
	return ask_domain(host->repo->config, name, wait, out, why);
}

/* One step. *path is replaced by where its name leads, and the rest of it. */
static int step(struct api_host *host, char **path, struct wait *wait, char **why)
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
	err = ask(host, name, wait, &target, why);
	free(name);
	if (err)
		return err;
	free(*path);
	*path = xasprintf("%s%s", target, rest);
	free(target);
	return 0;
}

int api_name_resolve(struct api_host *host, const char *path, unsigned steps_max, struct wait *wait,
		     char **out, char **why)
{
	char safe[SHOWN_MAX];
	int err = 0;

	*out = xstrdup(path);
	for (unsigned i = 0; !err && api_is_name(*out); i++) {
		if (i == steps_max)
			break;
		err = step(host, out, wait, why);
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
