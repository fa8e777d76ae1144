/* config.json in memory: read, changed by key, and written as a whole. A key that the file does not
 * have has the default of its table. One thread at a time. */
#include "fs/config.h"

#include "fs/config_keys.h"
#include "fs/put_file.h"
#include "fs/values.h"
#include "net/base/alloc.h"
#include "net/base/bytes.h"
#include "net/base/err.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_FILE_MAX (1u << 20)

/* Takes root. */
static struct config *config_of(const char *file, json_t *root)
{
	struct config *config = xnew(struct config);

	config->root = root;
	config->defaults = json_object();
	config->file = xstrdup(file);
	for (const struct config_key *at = config_keys; at->key; at++)
		json_object_set_new(config->defaults, at->key,
				    json_loads(at->fallback, JSON_DECODE_ANY, NULL));
	return config;
}

struct config *config_new(const char *file, const char *profile)
{
	struct config *config = config_of(file, json_object());
	bool test = strcmp(profile, "test") == 0;
	char *why = NULL;

	for (const struct config_key *at = config_keys; at->key; at++) {
		const char *text = test && at->test ? at->test : at->fallback;
		int err = at->written ? config_set(config, at->key,
						   json_loads(text, JSON_DECODE_ANY, NULL), &why)
				      : 0;

		assert(!err);
	}
	return config;
}

int config_load(const char *file, struct config **out, char **why)
{
	json_error_t error;
	json_t *root;

	if (access(file, R_OK)) {
		int err = -errno;

		*why = xasprintf("cannot read %s: %s", file, err_text(err));
		return err;
	}
	root = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(root)) {
		*why = xasprintf("%s, line %d column %d: %s", file, error.line, error.column,
				 root ? "not a JSON object" : error.text);
		json_decref(root);
		return -EBADMSG;
	}
	*out = config_of(file, root);
	return 0;
}

int config_save(const struct config *config)
{
	char *text = json_dumps(config->root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	char *line = xasprintf("%s\n", text);
	int err = put_file(config->file, bytes_str(line), 0600);

	free(line);
	free(text);
	return err;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	json_decref(config->root);
	json_decref(config->defaults);
	free(config->file);
	free(config);
}

/* The next part of a dotted key in part; what follows it, NULL after the last, *bad when it does
 * not fit. */
static const char *key_part(const char *key, char part[CONFIG_KEY_MAX], bool *bad)
{
	size_t len = strcspn(key, ".");

	*bad = len == 0 || len >= CONFIG_KEY_MAX;
	if (*bad)
		return NULL;
	memcpy(part, key, len);
	part[len] = 0;
	return key[len] ? key + len + 1 : NULL;
}

json_t *config_value(const struct config *config, const char *key)
{
	json_t *at = config->root;
	char part[CONFIG_KEY_MAX];
	bool bad;

	while (key && at) {
		key = key_part(key, part, &bad);
		if (bad)
			return NULL;
		at = json_object_get(at, part);
	}
	return json_is_null(at) ? NULL : at;
}

/* ---- values that code reads ---- */

json_t *config_get(const struct config *config, const char *key)
{
	const struct config_key *known = config_key(key);
	json_t *value = config_value(config, key);

	assert(known);
	if (!value || !config_is_right(known, value))
		value = json_object_get(config->defaults, key);
	return json_is_null(value) ? NULL : value;
}

const char *config_str(const struct config *config, const char *key)
{
	return json_string_value(config_get(config, key));
}

int64_t config_int(const struct config *config, const char *key)
{
	return json_integer_value(config_get(config, key));
}

unsigned config_priority(const struct config *config, const char *key)
{
	return (unsigned)config_int(config, key); /* false is no number: 0 */
}

bool config_bool(const struct config *config, const char *key)
{
	return json_is_true(config_get(config, key));
}

uint64_t config_size(const struct config *config, const char *key)
{
	json_t *value = config_get(config, key);
	uint64_t bytes = 0;

	if (json_is_integer(value))
		return (uint64_t)json_integer_value(value);
	if (value)
		parse_size(json_string_value(value), &bytes);
	return bytes;
}

uint64_t config_duration_ms(const struct config *config, const char *key)
{
	json_t *value = config_get(config, key);
	uint64_t ms = 0;

	if (value)
		parse_duration_ms(json_string_value(value), &ms);
	return ms;
}

/* ---- changing ---- */

/* The object that holds the last part of key, which is written to part; with make the parts before
 * it are made. NULL when there is none. */
static json_t *holder(const struct config *config, const char *key, bool make,
		      char part[CONFIG_KEY_MAX])
{
	json_t *at = config->root;
	bool bad;

	for (;;) {
		key = key_part(key, part, &bad);
		if (bad || !json_is_object(at))
			return NULL;
		if (!key)
			return at;
		if (make && (!json_object_get(at, part) || json_is_null(json_object_get(at, part))))
			json_object_set_new(at, part, json_object());
		at = json_object_get(at, part);
	}
}

int config_set(struct config *config, const char *key, json_t *value, char **why)
{
	char part[CONFIG_KEY_MAX];
	json_t *at;
	int err = config_check_value(key, value, why);

	if (!err) {
		at = holder(config, key, true, part);
		if (at) {
			json_object_set(at, part, value);
		} else {
			*why = xasprintf("no such place in the configuration: %s", key);
			err = -EINVAL;
		}
	}
	json_decref(value);
	return err;
}

int config_unset(struct config *config, const char *key)
{
	char part[CONFIG_KEY_MAX];
	json_t *at = holder(config, key, false, part);

	return at && json_object_del(at, part) == 0 ? 0 : -ENOENT;
}
