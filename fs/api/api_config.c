/* config: the configuration, whole or one key of it, shown or set. The repository need not be fit
 * to be opened. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/config.h"
#include "fs/config_keys.h"
#include "fs/repo.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SHOWN (JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY)

static const struct option_spec config_options[] = {
	{ "json", 0, OPTION_FLAG, NULL, "VALUE is JSON", NULL },
	{ "bool", 0, OPTION_FLAG, NULL, "VALUE is true or false", NULL },
	{ "unset", 0, OPTION_FLAG, NULL, "remove KEY from the file: its default holds again",
	  NULL },
	{ 0 },
};

static char *check_config(const json_t *args)
{
	return api_flag(args, "unset") && api_word_count(args) != 1
		       ? xstrdup("--unset needs one key, and no value")
		       : NULL;
}

/* Text as the key's type wants it; what is not, config_set() will tell. NULL with *why. */
static json_t *value_of_text(const json_t *args, const char *key, const char *text, char **why)
{
	const struct config_key *known = config_key(key);
	bool plain = known && (known->type == CONFIG_SIZE || known->type == CONFIG_DURATION ||
			       known->type == CONFIG_CHOICE || known->type == CONFIG_TEXT);
	json_error_t error;
	json_t *value;

	if (api_flag(args, "bool") && strcmp(text, "true") && strcmp(text, "false")) {
		*why = xasprintf("%s: '%s' is neither true nor false", key, text);
		return NULL;
	}
	if (plain && !api_flag(args, "json") && !api_flag(args, "bool")) {
		value = json_string(text);
		if (!value)
			*why = xasprintf("%s: the value is no UTF-8", key);
		return value;
	}
	value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!value && !api_flag(args, "json"))
		value = json_string(text);
	if (!value)
		*why = xasprintf("%s: '%s' is not JSON: %s", key, text, error.text);
	return value;
}

static int config_change(const json_t *args, struct config *config, char **why)
{
	const char *key = api_word(args, 0);
	json_t *value;
	int err;

	if (api_flag(args, "unset")) {
		err = config_unset(config, key);
		if (err)
			*why = xasprintf("the configuration does not say %s", key);
		return err;
	}
	/* The name is checked first: if it is mistyped, the value does not matter. */
	if (!config_key(key) && !config_is_section(key)) {
		*why = config_unknown(key);
		return -EINVAL;
	}
	value = value_of_text(args, key, api_word(args, 1), why);
	return value ? config_set(config, key, value, why) : -EINVAL;
}

/* Two commands that set at once must not undo each other: locked from reading to renaming. */
static int set_value(struct api_call *call, const char *file, char **why)
{
	struct config *config = NULL;
	int fd = repo_lock_file(((struct api_host *)call->host)->repo_path, REPO_CONFIG_LOCK);
	int err = fd < 0 ? fd : flock(fd, LOCK_EX) ? -errno : 0;

	if (!err)
		err = config_load(file, &config, why);
	if (!err)
		err = config_change(call->args, config, why);
	if (!err)
		err = config_save(config);
	if (err && !*why)
		*why = xasprintf("cannot write %s: %s", file, err_file_text(err));
	config_free(config);
	if (fd >= 0)
		close(fd);
	return err;
}

/* All of the file, as it would be written. */
static int show_all(struct api_call *call, const struct config *config)
{
	char *text = json_dumps(config->root, SHOWN), *line = xasprintf("%s\n", text ? text : "");
	int err = api_bytes(call, bytes_str(line));

	free(line);
	free(text);
	return err;
}

/* A key that the file does not say is shown as what holds. */
static int show_key(struct api_call *call, const struct config *config, const char *key, char **why)
{
	json_t *value = config_value(config, key);

	if (!value && config_key(key))
		value = json_object_get(config->defaults, key);
	if (value) {
		api_item(call, json_pack("{s:s, s:O}", "Key", key, "Value", value));
		return 0;
	}
	*why = config_is_section(key) ? xasprintf("the configuration says nothing of %s", key)
				      : config_unknown(key);
	return -ENOENT;
}

static int get_value(struct api_call *call, const char *file, char **why)
{
	const char *key = api_word(call->args, 0);
	struct config *config = NULL;
	int err = config_load(file, &config, why);

	if (!err)
		err = key && strcmp(key, "show") ? show_key(call, config, key, why)
						 : show_all(call, config);
	config_free(config);
	return err;
}

static void run_config(struct api_call *call)
{
	const char *path = ((struct api_host *)call->host)->repo_path;
	char *why = NULL, *file = repo_file(path, "config.json");
	int err;

	if (access(file, F_OK)) {
		why = xasprintf("no repository at %s: run `dagfs init` first", path);
		err = -ENOENT;
	} else if (api_word_count(call->args) == 2 || api_flag(call->args, "unset")) {
		err = set_value(call, file, &why);
	} else {
		err = get_value(call, file, &why);
	}
	api_end(call, err, why);
	free(why);
	free(file);
}

static void config_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *value = json_object_get(item, "Value");

	(void)args;
	if (json_is_string(value))
		fputs(json_string_value(value), out);
	else
		json_dumpf(value, out, SHOWN);
	fputc('\n', out);
}

const struct api_row api_config = {
	.command = { "config", "[KEY [VALUE]]", 0, 2,
		     "show the configuration, or show or set one key",
		     "Without KEY, or for the word show, all that the file says is shown. KEY may "
		     "be a section, "
		     "like Swarm. A running\n"
		     "daemon reads the configuration when it starts.",
		     config_options, NULL },
	.flags = API_UNOPENED | API_BYTES,
	.check = check_config,
	.text = config_text,
	.run = run_config,
};
