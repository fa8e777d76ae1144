/* Arguments of calls, from whatever face they come: text to values, one check of all, and reading.
 */
#include "fs/api/api.h"

#include "fs/cli_text.h"
#include "fs/config.h"
#include "fs/values.h"
#include "net/base/alloc.h"
#include "net/wire/multibase.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 256

/* Those that every call takes. */
static const struct option_spec common[] = {
	{ "timeout", 0, OPTION_DURATION, "TIME", NULL, "30s" },
	{ "cid-base", 0, OPTION_TEXT, "BASE", NULL, NULL },
	{ 0 },
};

json_t *api_value(const struct option_spec *spec, const char *text)
{
	uint64_t amount = 0;
	long long number;
	char *end;

	switch (spec->kind) {
	case OPTION_FLAG:
		if (strcmp(text, "true") && strcmp(text, "false"))
			return NULL;
		return json_boolean(strcmp(text, "true") == 0);
	case OPTION_INT:
		errno = 0;
		number = strtoll(text, &end, 10);
		return *text && !*end && !errno ? json_integer(number) : NULL;
	case OPTION_SIZE:
	case OPTION_DURATION:
		if (spec->kind == OPTION_SIZE ? parse_size(text, &amount)
					      : parse_duration_ms(text, &amount))
			return NULL;
		return json_integer(amount > INT64_MAX ? INT64_MAX : (json_int_t)amount);
	case OPTION_TEXT:
	case OPTION_LIST:
		break;
	}
	return json_string_nocheck(text); /* names of files may be any bytes */
}

static bool has_type(enum option_kind kind, const json_t *value)
{
	const json_t *one;
	size_t i;

	switch (kind) {
	case OPTION_FLAG:
		return json_is_boolean(value);
	case OPTION_TEXT:
		return json_is_string(value);
	case OPTION_INT:
		return json_is_integer(value);
	case OPTION_SIZE:
	case OPTION_DURATION:
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case OPTION_LIST:
		json_array_foreach(value, i, one)
			if (!json_is_string(one))
				return false;
		return json_is_array(value);
	}
	return false;
}

static const struct option_spec *args_find(const struct option_spec *specs, const char *name)
{
	for (; specs && specs->name; specs++)
		if (strcmp(specs->name, name) == 0)
			return specs;
	return NULL;
}

static int check_options(const struct api_row *row, json_t *args, char **why)
{
	char safe[SHOWN_MAX];
	const char *name;
	json_t *value;

	json_object_foreach(args, name, value) {
		const struct option_spec *spec = args_find(row->command.options, name);

		spec = spec ? spec : args_find(common, name);
		if (strcmp(name, "arg") == 0 || (spec && has_type(spec->kind, value)))
			continue;
		*why = xasprintf(spec ? "option '%s' is of another type"
				      : "there is no option '%s'",
				 cli_safe(safe, sizeof(safe), name, strlen(name)));
		return -EINVAL;
	}
	return 0;
}

static void fill_in(const struct option_spec *specs, json_t *args)
{
	for (; specs && specs->name; specs++)
		if (specs->fallback && !json_object_get(args, specs->name))
			json_object_set_new(args, specs->name, api_value(specs, specs->fallback));
}

static int check_word(const struct api_row *row, const char *word, char **why)
{
	struct peer_id peer;
	char safe[SHOWN_MAX];
	struct cid cid;

	if (row->words == API_PEERS && peer_id_from_text(&peer, api_peer_text(word)))
		*why = xasprintf("'%s' is not a peer's id",
				 cli_safe(safe, sizeof(safe), word, strlen(word)));
	if (row->words == API_CIDS &&
	    cid_from_text(&cid, strncmp(word, "/ipfs/", 6) ? word : word + 6))
		*why = xasprintf("'%s' is not a CID",
				 cli_safe(safe, sizeof(safe), word, strlen(word)));
	return *why ? -EBADMSG : 0;
}

static int check_words(const struct api_row *row, const json_t *args, char **why)
{
	const json_t *words = json_object_get(args, "arg"), *word;
	size_t i, count = json_array_size(words), most = (size_t)row->command.args_max;
	int err = 0;

	if (words && !has_type(OPTION_LIST, words))
		*why = xstrdup("arguments must be texts");
	else if (count < (size_t)row->command.args_min)
		*why = xasprintf("too few arguments: %s %s", row->command.name, row->command.args);
	else if (row->command.args_max >= 0 && count > most)
		*why = xasprintf("too many arguments: %s %s", row->command.name, row->command.args);
	if (*why)
		return -EINVAL;
	json_array_foreach(words, i, word) {
		err = check_word(row, json_string_value(word), why);
		if (err)
			break;
	}
	return err;
}

static int check_base(const json_t *args, char **why)
{
	const char *base = api_text(args, "cid-base");
	struct buf out = { 0 };
	int err = 0;

	if (base && (strlen(base) != 1 || base_encode(&out, base[0], bytes_str("x"))))
		err = -EINVAL;
	if (err)
		*why = xstrdup("no such base of CIDs");
	buf_release(&out);
	return err;
}

int api_check(const struct api_row *row, json_t *args, char **why)
{
	int err;

	*why = NULL;
	err = check_options(row, args, why);
	if (err)
		return err;
	fill_in(row->command.options, args);
	fill_in(common, args);
	*why = row->check ? row->check(args) : NULL;
	if (*why)
		return -EINVAL;
	err = check_base(args, why);
	return err ? err : check_words(row, args, why);
}

/* ---- reading ---- */

const char *api_word(const json_t *args, size_t i)
{
	return json_string_value(json_array_get(json_object_get(args, "arg"), i));
}

size_t api_word_count(const json_t *args)
{
	return json_array_size(json_object_get(args, "arg"));
}

bool api_flag(const json_t *args, const char *name)
{
	return json_is_true(json_object_get(args, name));
}

const char *api_text(const json_t *args, const char *name)
{
	return json_string_value(json_object_get(args, name));
}

json_int_t api_int(const json_t *args, const char *name)
{
	return json_integer_value(json_object_get(args, name));
}

const char *api_member(const json_t *value, const char *name)
{
	const char *text = json_string_value(json_object_get(value, name));

	return text ? text : "";
}

json_int_t api_number(const json_t *value, const char *name)
{
	return json_integer_value(json_object_get(value, name));
}

const char *api_peer_text(const char *word)
{
	const char *slash = strrchr(word, '/');

	return slash ? slash + 1 : word;
}

struct peer_id api_peer(const json_t *args, size_t i)
{
	struct peer_id peer = { 0 };

	if (peer_id_from_text(&peer, api_peer_text(api_word(args, i))))
		abort(); /* not an API_PEERS row, or not checked */
	return peer;
}

struct cid api_cid(const json_t *args, size_t i)
{
	const char *word = api_word(args, i);
	struct cid cid;

	if (cid_from_text(&cid, strncmp(word, "/ipfs/", 6) ? word : word + 6))
		abort(); /* not an API_CIDS row, or not checked */
	return cid;
}

const char *api_cid_text(const json_t *args, const struct cid *cid, char out[static CID_TEXT_MAX])
{
	const char *base = api_text(args, "cid-base");

	if (base && cid_text_base(cid, base[0], out) == 0)
		return out;
	return cid_text(cid, out);
}

const char *api_hash_text(const json_t *args, struct bytes multihash, char out[static CID_TEXT_MAX])
{
	struct cid cid;

	if (cid_make(&cid, 1, CODEC_RAW, multihash))
		return "?";
	return api_cid_text(args, &cid, out);
}
