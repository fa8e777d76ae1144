/* config.json: keys named as Kubo's where the meaning is equal. Values keep their JSON form; unknown keys are kept too.
 * Any thread may read; one thread writes. */
#ifndef FS_CONFIG_H
#define FS_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct config {
	json_t *root;
	char *file;
};

/* profile: "default": tcp 4001 on all addresses, public bootstrap list; "test": 127.0.0.1 port 0, no bootstrap, no MDNS, loopback
 * in the LAN DHT. Not yet saved. */
struct config *config_new(const char *file, const char *profile);
/* -ENOENT; -EBADMSG with a line and column in *why (malloc'd). */
int config_load(const char *file, struct config **out, char **why);
/* Atomic: temp file, fsync, rename. */
int config_save(const struct config *config);
void config_free(struct config *config);

/* Dotted keys: "Swarm.ConnMgr.HighWater". Borrowed; NULL when absent. */
json_t *config_get(const struct config *config, const char *key);
const char *config_str(const struct config *config, const char *key, const char *fallback);
int64_t config_int(const struct config *config, const char *key, int64_t fallback);
bool config_bool(const struct config *config, const char *key, bool fallback);
/* "10GB", "512MiB", plain bytes. Durations: "30s", "1h30m", in ms. -EINVAL through *ok = false. */
uint64_t config_size(const struct config *config, const char *key, uint64_t fallback, bool *ok);
uint64_t config_duration_ms(const struct config *config, const char *key, uint64_t fallback, bool *ok);
/* Sets (takes value). -EINVAL when a middle part is no object, or a known key gets a value of the wrong type (*why malloc'd). */
int config_set(struct config *config, const char *key, json_t *value, char **why);

/* Values that the daemon could not use: sizes, durations, numbers, addresses, choices. -EINVAL with the key and what it must
 * be in *why (malloc'd). Keys that we do not know are left alone. */
int config_check(const struct config *config, char **why);

int parse_size(const char *text, uint64_t *bytes);
int parse_duration_ms(const char *text, uint64_t *ms);

#endif
