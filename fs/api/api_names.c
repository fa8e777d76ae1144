/* Paths that begin with a name: what it leads to is put in its place, again and again, until the
 * path is one of /ipfs. Domains are asked for by DNSLink. Records of keys come from the daemon;
 * while none runs, from what is stored here. Any thread but a loop's, blocking. */
#include "fs/api/api_names.h"

#include "fs/api/api_ipns.h"
#include "fs/cli_text.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "net/net.h"
#include "net/wire/multibase.h"
#include "routing/names.h"

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

/* ---- names of keys ---- */

/* What the daemon tells of a name: records, the last is the best. */
struct told {
	struct buf record;
	const struct api_name_want *want;
};

static void take_record(void *ctx, const json_t *item)
{
	const char *text = api_member(item, "Record"), *path = api_member(item, "Value");
	struct told *told = ctx;

	buf_clear(&told->record);
	if (base_decode(&told->record, BASE64, bytes_str(text)))
		buf_clear(&told->record);
	else if (told->want && told->want->found && is_target(path))
		told->want->found(told->want->ctx, path);
}

static json_t *find_args(const struct peer_id *name, const struct api_name_want *want)
{
	char text[PEER_ID_TEXT_MAX];
	json_t *args = json_pack("{s:[s]}", "arg", peer_id_text(name, text));

	if (!want)
		return args;
	json_object_set_new(args, "no-cache", json_boolean(want->no_cache));
	json_object_set_new(args, "stream", json_boolean(want->found != NULL));
	json_object_set_new(args, "records", json_integer(want->records));
	json_object_set_new(args, "search-time", json_integer((json_int_t)want->search_ms));
	return args;
}

int api_name_record(struct api_host *host, const struct peer_id *name, bool no_network,
		    const struct api_name_want *want, struct wait *wait, struct buf *record,
		    char **why)
{
	struct told told = { .want = want };
	int err = no_network || !host->ask ? -ENOLINK
					   : host->ask(host, "name-find", find_args(name, want),
						       wait, take_record, &told, why);

	if (err == -ENOLINK) /* the last that is known here holds, though it may have expired */
		return name_stored(host->repo->db, name, record) ? -ENOLINK : 0;
	if (!err && told.record.len == 0)
		err = -EBADMSG;
	if (!err)
		buf_add(record, buf_bytes(&told.record));
	buf_release(&told.record);
	return err;
}

/* The path in a record, malloc'd. */
static int path_of(const struct peer_id *key, struct bytes record, char **out, uint64_t *ttl_ms)
{
	uint64_t left_ns, now_ns = wallclock_ns();
	struct name_record read;
	int err = name_record_check(&read, key, record, now_ns);

	if (err)
		return err;
	left_ns = read.eol_ns > now_ns ? read.eol_ns - now_ns : 0;
	*ttl_ms = (read.ttl_ns < left_ns ? read.ttl_ns : left_ns) / 1000000;
	*out = xasprintf("%.*s", (int)read.value.len, (const char *)read.value.at);
	if (strlen(*out) == read.value.len && is_target(*out))
		return 0;
	free(*out);
	return -EBADMSG;
}

static int ask_key(struct api_host *host, const char *name, const struct peer_id *key,
		   const struct api_name_want *want, struct wait *wait, char **out,
		   uint64_t *ttl_ms, char **why)
{
	char text[WAIT_TEXT_MAX], safe[SHOWN_MAX], *told = NULL;
	struct buf record = { 0 };
	int err = api_name_record(host, key, false, want, wait, &record, &told);

	cli_safe(safe, sizeof(safe), name, strlen(name));
	if (err == -ENOLINK)
		*why = xasprintf("cannot resolve the name %s: no daemon runs that could ask for it "
				 "(`dagfs daemon`)",
				 safe);
	else if (err)
		*why = xasprintf("cannot resolve the name %s: %s", safe,
				 told ? told : wait_err_text(wait, err, text));
	free(told);
	if (!err) {
		err = path_of(key, buf_bytes(&record), out, ttl_ms);
		if (err)
			*why = xasprintf("cannot resolve the name %s: what it leads to is no path",
					 safe);
	}
	buf_release(&record);
	return err;
}

/* What the name leads to, as a path (malloc'd). */
static int names_ask(struct api_host *host, const char *name, const struct api_name_want *want,
		     struct wait *wait, char **out, uint64_t *ttl_ms, char **why)
{
	char safe[SHOWN_MAX];
	struct peer_id key;
	int err = api_ipns_find(host, name, &key);

	if (!err)
		return ask_key(host, name, &key, want, wait, out, ttl_ms, why);
	if (err != -ENOENT) {
		*why = xasprintf("cannot read key '%s': %s",
				 cli_safe(safe, sizeof(safe), name, strlen(name)), err_text(err));
		return err;
	}
	*ttl_ms = API_NAME_DNS_MS;
	return ask_domain(host->repo->config, name, wait, out, why);
}

/* One step. *path is replaced by where its name leads, and the rest of it. */
static int names_step(struct api_host *host, char **path, const struct api_name_want *want,
		      struct wait *wait, uint64_t *ttl_ms, char **why)
{
	size_t scheme = strncmp(*path, "ipns://", 7) ? strlen(IPNS) : 7;
	char clean[DAG_PATH_MAX + 8], *name, *target;
	uint64_t its_ms = UINT64_MAX;
	const char *rest;
	int err = dag_path_clean(*path + scheme, clean);

	if (err || !clean[0]) {
		*why = xstrdup(err ? "path is too long" : "path has no name");
		return -EINVAL;
	}
	rest = clean + 1 + strcspn(clean + 1, "/");
	name = xasprintf("%.*s", (int)(rest - clean - 1), clean + 1);
	err = names_ask(host, name, want, wait, &target, &its_ms, why);
	free(name);
	if (err)
		return err;
	if (its_ms < *ttl_ms)
		*ttl_ms = its_ms;
	free(*path);
	*path = xasprintf("%s%s", target, rest);
	free(target);
	return 0;
}

int api_name_resolve(struct api_host *host, const char *path, unsigned steps_max,
		     const struct api_name_want *want, struct wait *wait, char **out,
		     uint64_t *ttl_ms, char **why)
{
	struct api_name_want later = want ? *want : (struct api_name_want){ 0 };
	uint64_t least_ms = UINT64_MAX;
	char safe[SHOWN_MAX];
	int err = 0;

	later.found = NULL;

	*out = xstrdup(path);
	for (unsigned i = 0; !err && api_is_name(*out); i++) {
		if (i == steps_max)
			break;
		err = names_step(host, out, i ? &later : want, wait, &least_ms, why);
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
	if (ttl_ms)
		*ttl_ms = least_ms;
	return err;
}
