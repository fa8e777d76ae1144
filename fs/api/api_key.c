/* key gen, list, rename, import, export, rm: the keys of names, in Kubo's words. The keystore alone
 * is asked, so no daemon is needed. Blocking, on the thread that asks. */
#include "fs/api/api_ipns.h"
#include "fs/api/api_runs.h"

#include "fs/cli_text.h"
#include "fs/keystore.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMAT_PROTOBUF "libp2p-protobuf-cleartext"
#define FORMAT_PEM "pem-pkcs8-cleartext"
#define RSA_BITS 2048

#define LONG_FORM                                                                                  \
	{                                                                                          \
		"long", 'l', OPTION_FLAG, NULL, "the key as well as its name", NULL                \
	}

/* ---- names and ids ---- */

/* As --ipns-base wants it. */
static json_t *id_of(const json_t *args, const struct public_key *key)
{
	struct peer_id id;

	peer_id_of_key(&id, key);
	return api_ipns_id(args, &id);
}

static const char *repo_path(const struct api_call *call)
{
	return ((struct api_host *)call->host)->repo_path;
}

/* False after the end of the call: the name may not be used to do that. */
static bool name_is_free(struct api_call *call, const char *name, const char *verb)
{
	int err = keystore_name_check(name);

	if (strcmp(name, KEY_SELF) == 0)
		api_refuse(call, -EINVAL, "cannot %s key with name '%s'", verb, KEY_SELF);
	else if (err == -EINVAL)
		api_refuse(call, err, "key name must be at least one character");
	else if (err)
		api_refuse(call, err, "key name is longer than %d bytes", KEY_NAME_MAX);
	else
		return true;
	return false;
}

/* The file is there, and what it holds is no key that we read. */
static bool is_damage(int err)
{
	return err == -EBADMSG || err == -ENOTSUP || err == -EKEYREJECTED;
}

static void fail_key(struct api_call *call, int err, const char *name)
{
	char safe[KEY_NAME_MAX * 4 + 1];

	cli_safe(safe, sizeof(safe), name, strlen(name));
	if (err == -ENOENT)
		api_refuse(call, err, "no key named %s was found", safe);
	else if (err == -EEXIST)
		api_refuse(call, err, "key with name '%s' already exists", safe);
	else if (is_damage(err))
		api_refuse(call, err, "the file of key '%s' holds no key: %s", safe, err_text(err));
	else
		api_fail_file(call, err, "key '%s'", safe);
}

static json_t *entry(const json_t *args, const char *name, const struct public_key *key)
{
	return json_pack("{s:o, s:o}", "Name", json_string_nocheck(name), "Id", id_of(args, key));
}

/* ---- items as text ---- */

static void id_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", json_string_value(json_object_get(item, "Id")));
}

static size_t widest(const json_t *keys, const char *member)
{
	size_t i, most = 0;
	const json_t *key;

	json_array_foreach(keys, i, key) {
		size_t len = json_string_length(json_object_get(key, member));

		most = len > most ? len : most;
	}
	return most;
}

/* Columns as Kubo's: each is as wide as its widest, and a blank. */
static void keys_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *keys = json_object_get(item, "Keys"), *key;
	int ids = (int)widest(keys, "Id"), names = (int)widest(keys, "Name");
	size_t i;

	json_array_foreach(keys, i, key) {
		const char *name = json_string_value(json_object_get(key, "Name"));
		char safe[KEY_NAME_MAX * 4 + 1];

		cli_safe(safe, sizeof(safe), name, strlen(name));
		if (api_flag(args, "long"))
			fprintf(out, "%-*s %-*s \n", ids,
				json_string_value(json_object_get(key, "Id")), names, safe);
		else
			fprintf(out, "%s\n", safe);
	}
}

static void rename_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *now = json_string_value(json_object_get(item, "Now"));
	char safe[KEY_NAME_MAX * 4 + 1];

	(void)args;
	cli_safe(safe, sizeof(safe), now, strlen(now));
	fprintf(out, "Key %s renamed to %s%s\n", json_string_value(json_object_get(item, "Id")),
		safe, json_is_true(json_object_get(item, "Overwrite")) ? " with overwriting" : "");
}

/* ---- gen ---- */

static const struct option_spec gen_options[] = {
	{ "type", 't', OPTION_TEXT, "TYPE", "ed25519 or rsa", "ed25519" },
	{ "size", 's', OPTION_INT, "BITS", "of an RSA key, 2048 to 8192", "2048" },
	API_IPNS_BASE,
	{ 0 },
};

static char *check_gen(const json_t *args)
{
	const char *type = api_text(args, "type");
	json_int_t bits = api_int(args, "size");

	if (strcmp(type, "ed25519") && strcmp(type, "rsa"))
		return xasprintf("unrecognized key type: %s", type);
	if (strcmp(type, "rsa") == 0 && (bits < 2048 || bits > 8192))
		return xstrdup("--size is not within 2048..8192");
	return api_ipns_base_check(args);
}

/* Ends the call; takes key. */
static void key_keep(struct api_call *call, const char *name, struct private_key *key)
{
	int err = keystore_put(repo_path(call), name, key);

	if (!err)
		api_item(call, entry(call->args, name, private_key_public(key)));
	private_key_free(key);
	if (err)
		fail_key(call, err, name);
	else
		api_end(call, 0, NULL);
}

static void run_gen(struct api_call *call)
{
	bool rsa = strcmp(api_text(call->args, "type"), "rsa") == 0;
	const char *name = api_word(call->args, 0);
	struct private_key *key;
	int err;

	if (!name_is_free(call, name, "create"))
		return;
	key = private_key_new(rsa ? KEY_RSA : KEY_ED25519, (unsigned)api_int(call->args, "size"),
			      &err);
	if (key)
		key_keep(call, name, key);
	else
		api_fail(call, err, "cannot make a key");
}

const struct api_row api_key_gen = {
	.command = { "key gen", "NAME", 1, 1, "make a key for a name",
		     "NAME is what the key is called here; what others know is the id that is "
		     "printed.",
		     gen_options, NULL },
	.check = check_gen,
	.text = id_text,
	.run = run_gen,
};

/* ---- list ---- */

static const struct option_spec list_options[] = { LONG_FORM, API_IPNS_BASE, { 0 } };

static void run_list(struct api_call *call)
{
	json_t *keys = json_array();
	struct keystore_entry *entries;
	bool damaged = false;
	size_t count;
	int err = keystore_list(repo_path(call), &entries, &count);

	if (!err)
		json_array_append_new(keys, entry(call->args, KEY_SELF,
						  identity_public(api_repo(call)->identity)));
	for (size_t i = 0; i < count; i++) {
		char safe[KEY_NAME_MAX * 4 + 1];

		cli_safe(safe, sizeof(safe), entries[i].name, strlen(entries[i].name));
		damaged |= entries[i].err != 0;
		if (entries[i].err)
			api_trouble(call, NULL, "the file of key '%s' holds no key: %s", safe,
				    err_text(entries[i].err));
		else
			json_array_append_new(
				keys, entry(call->args, entries[i].name, &entries[i].public));
	}
	if (!err)
		api_item(call, json_pack("{s:O}", "Keys", keys));
	json_decref(keys);
	keystore_list_free(entries, count);
	if (err)
		api_fail_file(call, err, "cannot read the keystore");
	else
		api_end(call, damaged ? API_SOME_FAILED : 0, NULL);
}

const struct api_row api_key_list = {
	.command = { "key list", "", 0, 0, "list the keys", NULL, list_options, NULL },
	.check = api_ipns_base_check,
	.text = keys_text,
	.run = run_list,
};

/* ---- rename, rm ---- */

static const struct option_spec rename_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "in the place of a key that is named so", NULL },
	API_IPNS_BASE,
	{ 0 },
};

static void run_rename(struct api_call *call)
{
	const char *from = api_word(call->args, 0), *to = api_word(call->args, 1);
	bool replaced = false;
	struct private_key *key;
	int err;

	if (strcmp(from, KEY_SELF) == 0) {
		api_refuse(call, -EINVAL, "cannot rename key with name '%s'", KEY_SELF);
		return;
	}
	if (strcmp(to, KEY_SELF) == 0) {
		api_refuse(call, -EINVAL, "cannot overwrite key with name '%s'", KEY_SELF);
		return;
	}
	if (!name_is_free(call, to, "rename"))
		return;
	err = keystore_name_check(from) ? -ENOENT : keystore_get(repo_path(call), from, &key);
	if (err) {
		fail_key(call, err, from);
		return;
	}
	err = keystore_rename(repo_path(call), from, to, api_flag(call->args, "force"), &replaced);
	if (!err)
		api_item(call, json_pack("{s:o, s:o, s:o, s:b}", "Was", json_string_nocheck(from),
					 "Now", json_string_nocheck(to), "Id",
					 id_of(call->args, private_key_public(key)), "Overwrite",
					 replaced));
	private_key_free(key);
	if (err == -EEXIST)
		api_refuse(call, err, "key by that name already exists, refusing to overwrite");
	else if (err)
		fail_key(call, err, from);
	else
		api_end(call, 0, NULL);
}

const struct api_row api_key_rename = {
	.command = { "key rename", "OLD NEW", 2, 2, "give a key another name", NULL, rename_options,
		     NULL },
	.check = api_ipns_base_check,
	.text = rename_text,
	.run = run_rename,
};

static const struct option_spec rm_options[] = { LONG_FORM, API_IPNS_BASE, { 0 } };

/* All or none: first every name is looked at. A key whose file is damaged can be removed too. */
static void run_rm(struct api_call *call)
{
	size_t count = api_word_count(call->args);
	json_t *keys = json_array();
	int err = 0;
	size_t i;

	for (i = 0; i < count && !err; i++) {
		const char *name = api_word(call->args, i);
		struct private_key *key = NULL;

		if (strcmp(name, KEY_SELF) == 0) {
			json_decref(keys);
			api_refuse(call, -EINVAL, "cannot remove key with name '%s'", KEY_SELF);
			return;
		}
		err = keystore_name_check(name) ? -ENOENT
						: keystore_get(repo_path(call), name, &key);
		if (!err) {
			json_array_append_new(keys,
					      entry(call->args, name, private_key_public(key)));
		} else if (is_damage(err)) {
			json_array_append_new(keys, json_pack("{s:o, s:s}", "Name",
							      json_string_nocheck(name), "Id", ""));
			err = 0;
		}
		private_key_free(key);
	}
	for (size_t at = 0; at < count && !err; at++) {
		i = at + 1;
		err = keystore_rm(repo_path(call), api_word(call->args, at));
	}
	if (err) {
		json_decref(keys);
		fail_key(call, err, api_word(call->args, i - 1));
		return;
	}
	api_item(call, json_pack("{s:o}", "Keys", keys));
	api_end(call, 0, NULL);
}

const struct api_row api_key_rm = {
	.command = { "key rm", "NAME...", 1, -1, "remove keys",
		     "A key that is removed is lost, unless it was exported before.", rm_options,
		     NULL },
	.check = api_ipns_base_check,
	.text = keys_text,
	.run = run_rm,
};

/* ---- import, export ---- */

#define FORMAT                                                                                     \
	{                                                                                          \
		"format", 'f', OPTION_TEXT, "FORMAT", FORMAT_PROTOBUF " or " FORMAT_PEM,           \
			FORMAT_PROTOBUF                                                            \
	}

static const struct option_spec import_options[] = {
	FORMAT,
	{ "allow-any-key-type", 0, OPTION_FLAG, NULL,
	  "taken and without effect: Ed25519 and RSA are what is read", NULL },
	API_IPNS_BASE,
	{ 0 },
};

static bool is_pem(const json_t *args)
{
	return strcmp(api_text(args, "format"), FORMAT_PEM) == 0;
}

static char *check_format(const json_t *args)
{
	const char *format = api_text(args, "format");

	if (!is_pem(args) && strcmp(format, FORMAT_PROTOBUF))
		return xasprintf("unrecognized %s format: %s",
				 api_word_count(args) > 1 ? "import" : "export", format);
	return api_ipns_base_check(args);
}

static void run_import(struct api_call *call)
{
	const char *name = api_word(call->args, 0);
	struct api_input input;
	struct buf data = { 0 };
	struct private_key *key = NULL;
	int err;

	if (!name_is_free(call, name, "import"))
		return;
	err = api_input(call, 1, &input);
	if (!err) {
		err = api_input_read(call, &input, PRIVATE_KEY_MAX, &data);
		api_input_close(&input);
	}
	if (err) {
		api_fail_file(call, err, "cannot read %s", input.name);
	} else {
		key = is_pem(call->args) ? private_key_decode_pem(buf_bytes(&data), &err)
					 : private_key_decode(buf_bytes(&data), &err);
		if (key)
			key_keep(call, name, key);
		else
			api_fail(call, err, "unable to unmarshall format=%s",
				 api_text(call->args, "format"));
	}
	private_wipe(&data);
}

const struct api_row api_key_import = {
	.command = { "key import", "NAME FILE", 2, 2, "take in a key under a name",
		     "FILE is - for the standard input. PEM without a password, as `openssl "
		     "genpkey` "
		     "makes it, is read\nwith --format=" FORMAT_PEM ".",
		     import_options, NULL },
	.check = check_format,
	.text = id_text,
	.run = run_import,
};

static const struct option_spec export_options[] = {
	FORMAT,
	{ "output", 'o', OPTION_TEXT, "FILE",
	  "where it is written, - for the output; else NAME.key", NULL },
	API_IPNS_BASE,
	{ 0 },
};

/* Only the owner may read it. */
static int write_file(const char *file, struct bytes data)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
	    err = fd < 0 ? -errno : 0;

	while (!err && data.len > 0) {
		ssize_t len = write(fd, data.at, data.len);

		if (len < 0 && errno != EINTR)
			err = -errno;
		else if (len > 0)
			data = bytes_skip(data, (size_t)len);
	}
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	return err;
}

/* For the face; or into a file, when whoever asks has the files of this machine. */
static void key_give(struct api_call *call, const char *name, struct bytes data)
{
	const char *given = api_text(call->args, "output");
	char *file = given ? xstrdup(given)
			   : xasprintf("%s.%s", name, is_pem(call->args) ? "pem" : "key");
	int err;

	if (!((struct api_host *)call->host)->own_files || strcmp(file, "-") == 0) {
		api_end(call, api_bytes(call, data), NULL);
	} else {
		err = write_file(file, data);
		if (err)
			api_fail_file(call, err, "cannot write %s", file);
		else
			api_end(call, 0, NULL);
	}
	free(file);
}

static void run_export(struct api_call *call)
{
	const char *name = api_word(call->args, 0);
	struct private_key *key = NULL;
	struct buf data = { 0 };
	int err;

	if (strcmp(name, KEY_SELF) == 0) {
		api_refuse(call, -EINVAL, "cannot export key with name '%s'", KEY_SELF);
		return;
	}
	err = keystore_name_check(name) ? -ENOENT : keystore_get(repo_path(call), name, &key);
	if (!err)
		err = is_pem(call->args) ? private_key_encode_pem(key, &data)
					 : private_key_encode(key, &data);
	private_key_free(key);
	if (err == -ENOENT)
		api_refuse(call, err, "key with name '%s' doesn't exist", name);
	else if (!api_text(call->args, "output") && strchr(name, '/'))
		api_refuse(call, -EINVAL, "'%s' cannot name a file: -o FILE tells where", name);
	else if (err)
		fail_key(call, err, name);
	else
		key_give(call, name, buf_bytes(&data));
	private_wipe(&data);
}

const struct api_row api_key_export = {
	.command = { "key export", "NAME", 1, 1, "write a key to a file",
		     "The file holds the secret, without a password.", export_options, NULL },
	.flags = API_BYTES,
	.check = check_format,
	.run = run_export,
};
