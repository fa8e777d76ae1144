/* config.json: keys named as Kubo's where the meaning is equal, all of them in the table of
 * config_keys.h. Values keep their JSON form; unknown keys are kept too, until somebody removes
 * them. Any thread may read; one thread writes. */
#ifndef FS_CONFIG_H
#define FS_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct config {
	json_t *root;
	json_t *defaults; /* by whole key */
	char *file;
};

/* profile: "default" or "test", with the values of the table. Not yet saved. */
struct config *config_new(const char *file, const char *profile);
/* -ENOENT; -EBADMSG with a line and column in *why (malloc'd). */
int config_load(const char *file, struct config **out, char **why);
/* As put_file(): whole, or as it was. */
int config_save(const struct config *config);
void config_free(struct config *config); /* NULL is ignored */

/* Dotted keys: "Swarm.ConnMgr.HighWater". What the file says; borrowed; NULL when absent or null.
 * Any place in it. */
json_t *config_value(const struct config *config, const char *key);

/* Of keys in the table alone: asking for another one is a bug. The file's value where it is a right
 * one, else the table's, which may be null: NULL, 0 and false then. Borrowed. */
json_t *config_get(const struct config *config, const char *key);
const char *config_str(const struct config *config, const char *key);
int64_t config_int(const struct config *config, const char *key);
bool config_bool(const struct config *config, const char *key);
unsigned config_priority(const struct config *config, const char *key); /* 0: not used */
uint64_t config_size(const struct config *config, const char *key);	/* bytes */
uint64_t config_duration_ms(const struct config *config, const char *key);

/* Sets a key of the table, or a section of it to an object (takes value). -EINVAL with *why
 * (malloc'd) for an unknown key, a value that is not what it must be, and where a part before the
 * last is no object. */
int config_set(struct config *config, const char *key, json_t *value, char **why);
/* Removes what stands at a place, known or not. -ENOENT. */
int config_unset(struct config *config, const char *key);

/* Values of known keys that could not be used, and middle parts that are no objects: -EINVAL with
 * the key and what it must be in *why (malloc'd). */
int config_check(const struct config *config, char **why);
/* Keys that nothing reads. -EINVAL with the first, and the one it may have meant, in *why
 * (malloc'd). */
int config_check_names(const struct config *config, char **why);
/* The text for people that key is unknown, and which may have been meant (malloc'd). */
char *config_unknown(const char *key);

#endif
