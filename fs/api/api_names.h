/* Paths that begin with a name, of a domain or of a key: /ipns/DOMAIN/a/b, ipns://k51.../a/b, and
 * /ipns/plans/a/b for the own key that is called "plans" here. */
#ifndef FS_API_API_NAMES_H
#define FS_API_API_NAMES_H

#include "fs/api/api.h"

#define API_NAME_STEPS_MAX 32 /* names that lead to names */
#define API_NAME_DNS_MS 60000 /* how long what a domain leads to is believed */

/* How names are looked up. Zero: as if it were not given. */
struct api_name_want {
	bool no_cache;	    /* remembered records do not count */
	json_int_t records; /* of a key's name, that are enough; -1: all there are */
	uint64_t search_ms; /* the longest that one name is searched for */
	/* Each better path that is found for the first name; the last is what it leads to. */
	void (*found)(void *ctx, const char *path);
	void *ctx;
};

/* Options of commands that resolve names; api_name_search_check() checks them. */
#define API_NAME_SEARCH_OPTIONS                                                                    \
	{ "dht-record-count",                                                                      \
	  0,                                                                                       \
	  OPTION_INT,                                                                              \
	  "COUNT",                                                                                 \
	  "records of a key's name that are enough; 0: all there are",                             \
	  "16" },                                                                                  \
	{                                                                                          \
		"dht-timeout", 0, OPTION_DURATION, "TIME",                                         \
			"the longest search for one name; 0: as --timeout says", "1m"              \
	}

struct api_name_want api_name_want_of(const json_t *args);
char *api_name_search_check(const json_t *args);
/* Does the path begin with a name? Pure. */
bool api_is_name(const char *path);
/* The path with what its name leads to in the name's place, and so on, at most steps_max times:
 * *out (malloc'd). A path without a name is itself. With API_NAME_STEPS_MAX what comes out begins
 * with none: -ELOOP. Other errors: those of net_dnslink() and of host->ask. *why
 * (malloc'd) has the whole message when it fails. A domain may be inlined as subdomains spell it
 * (en-wikipedia--on--ipfs-org). want may be NULL. *ttl_ms, if ttl_ms is not NULL: how long the
 * answer may be believed; UINT64_MAX without a name. Of host, repo, repo_path and ask are used.
 * Blocking, on any thread but a loop's; ends with wait. */
int api_name_resolve(struct api_host *host, const char *path, unsigned steps_max,
		     const struct api_name_want *want, struct wait *wait, char **out,
		     uint64_t *ttl_ms, char **why);
/* A record that is known here or, through the daemon, in the network: appended. no_network: only
 * here. -ENOENT; -ENOLINK; as host->ask. It was checked. */
int api_name_record(struct api_host *host, const struct peer_id *name, bool no_network,
		    const struct api_name_want *want, struct wait *wait, struct buf *record,
		    char **why);

#endif
