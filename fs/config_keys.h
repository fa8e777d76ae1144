/* The table of all configuration keys: what each means, what its values are, what holds without it.
 * Help, the man page dagfs-config(5), checks, new configurations and the code that reads keys come
 * from it: a new key is one row. Constant: any thread. */
#ifndef FS_CONFIG_KEYS_H
#define FS_CONFIG_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum config_type {
	CONFIG_BOOL,
	CONFIG_COUNT,	 /* a whole number from 0 to most */
	CONFIG_SIZE,	 /* "10GB", "512MiB", or a number of bytes */
	CONFIG_DURATION, /* "30s", "1h30m" */
	CONFIG_CHOICE,	 /* one of choices */
	CONFIG_TEXT,
	CONFIG_ADDRS,	  /* a list of multiaddresses */
	CONFIG_PEERS,	  /* a list of { "ID": "12D3...", "Addrs": ["/ip4/..."] } */
	CONFIG_RESOLVERS, /* DNS servers by domain: { "eth.": "127.0.0.1:53" } */
	CONFIG_PRIORITY,  /* a whole number from 1 on, the least is preferred; or false: not used */
};

#define CONFIG_COUNT_MOST 1000000 /* of a CONFIG_COUNT that says nothing else */
#define CONFIG_KEY_MAX 64	  /* bytes of a key, with its end */

struct config_key {
	const char *key; /* as Kubo's where the meaning is equal */
	enum config_type type;
	const char *fallback; /* JSON: what holds where the file says nothing or null; "null": as
				 `meaning` tells */
	const char *meaning;  /* a line or two */
	const char *unit;     /* of COUNT and SIZE; NULL: none */
	const char *choices;  /* CHOICE: " a b c " */
	unsigned most;	      /* COUNT; 0: CONFIG_COUNT_MOST */
	bool written;	      /* `init` writes it, so that people see it in the file */
	const char *test;     /* JSON that `init --profile test` writes; NULL: fallback */
	const char *unbuilt;  /* what it would need and is not built: only null, false and [] are
				 taken; NULL: it is */
};

extern const struct config_key config_keys[]; /* ordered by key; ended by a NULL key */

/* NULL when there is none. */
const struct config_key *config_key(const char *key);
/* Is it the beginning of keys: "Swarm", "Swarm.ConnMgr"? */
bool config_is_section(const char *key);
/* The known key that is most like this one, which may be misspelt; NULL: none is near. */
const char *config_nearest(const char *key);
/* What values are, for people: "a whole number", "one of: auto dht". Constant, or written to out.
 */
const char *config_type_text(const struct config_key *key, char out[static 128]);

/* null is always right. */
bool config_is_right(const struct config_key *key, const json_t *value);
/* Is this a key that is known, or a section, and the value right for all below it? -EINVAL with
 * *why (malloc'd). */
int config_check_value(const char *key, const json_t *value, char **why);

#endif
