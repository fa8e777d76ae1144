/* Paths that begin with a name, of a domain or of a key: /ipns/DOMAIN/a/b, ipns://k51.../a/b. */
#ifndef FS_API_API_NAMES_H
#define FS_API_API_NAMES_H

#include "fs/api/api.h"

#define API_NAME_STEPS_MAX 32 /* names that lead to names */

/* Does the path begin with a name? Pure. */
bool api_is_name(const char *path);
/* The path with what its name leads to in the name's place, and so on, at most steps_max times:
 * *out (malloc'd). A path without a name is itself. With API_NAME_STEPS_MAX what comes out begins
 * with none: -ELOOP. Other errors: those of net_dnslink() and of host->name. *why
 * (malloc'd) has the whole message when it fails. A domain may be inlined as subdomains spell it
 * (en-wikipedia--on--ipfs-org). Of host, repo and name are used. Blocking, on any
 * thread but a loop's; ends with wait. */
int api_name_resolve(struct api_host *host, const char *path, unsigned steps_max, struct wait *wait,
		     char **out, char **why);

#endif
