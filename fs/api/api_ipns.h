/* Names of keys as people write them and see them, and the keys that are ours. Any thread. */
#ifndef FS_API_API_IPNS_H
#define FS_API_API_IPNS_H

#include "fs/api/api.h"
#include "net/wire/private_key.h"

#define API_IPNS_TEXT_MAX 100
#define API_IPNS_BASE                                                                              \
	{                                                                                          \
		"ipns-base", 0, OPTION_TEXT, "BASE", "how names are shown: base36, b58mh...",      \
			"base36"                                                                   \
	}

/* NULL, or what is wrong with --ipns-base: malloc'd. */
char *api_ipns_base_check(const json_t *args);
/* A name as --ipns-base wants it. New. */
json_t *api_ipns_id(const json_t *args, const struct peer_id *name);
/* k51...: returns out. */
const char *api_ipns_text(const struct peer_id *name, char out[static API_IPNS_TEXT_MAX]);
/* The name that text is, bare or behind /ipns/: an id, or an own key as it is called here
 * ("self", too). What has a dot is a domain, never a key. Of host, repo and repo_path are used.
 * -ENOENT: neither; -errno: the key is there, and cannot be read. */
int api_ipns_find(const struct api_host *host, const char *text, struct peer_id *out);
/* The own key that is called so here, or that has this id. -ENOENT; -errno. */
int api_ipns_key(const struct api_host *host, const char *text, struct private_key **out);

#endif
