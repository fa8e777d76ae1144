/* Names of keys: as texts in any base, and by what the keys are called in this repository. Any
 * thread, blocking. */
#include "fs/api/api_ipns.h"

#include "fs/keystore.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/wire/multibase.h"

#include <string.h>

#define IPNS "/ipns/"

char *api_ipns_base_check(const json_t *args)
{
	const char *base = api_text(args, "ipns-base");

	if (strcmp(base, "b58mh") && !multibase_by_name(base))
		return xasprintf("--ipns-base: unknown encoding '%s'", base);
	return NULL;
}

static void put_text(struct buf *out, const struct peer_id *name, char base)
{
	struct buf cid = { 0 };

	buf_add(&cid, bytes_of((const uint8_t[]){ 1, CODEC_LIBP2P_KEY }, 2));
	buf_add(&cid, peer_id_bytes(name));
	multibase_encode(out, base, buf_bytes(&cid));
	buf_release(&cid);
}

json_t *api_ipns_id(const json_t *args, const struct peer_id *name)
{
	const char *base = api_text(args, "ipns-base");
	char text[PEER_ID_TEXT_MAX];
	struct buf out = { 0 };
	json_t *json;

	if (strcmp(base, "b58mh") == 0)
		return json_string(peer_id_text(name, text));
	put_text(&out, name, multibase_by_name(base));
	json = json_stringn((const char *)out.at, out.len);
	buf_release(&out);
	return json;
}

const char *api_ipns_text(const struct peer_id *name, char out[static API_IPNS_TEXT_MAX])
{
	struct buf text = { 0 };

	put_text(&text, name, BASE36);
	snprintf(out, API_IPNS_TEXT_MAX, "%.*s", (int)text.len, (const char *)text.at);
	buf_release(&text);
	return out;
}

static const char *bare(const char *text)
{
	return strncmp(text, IPNS, strlen(IPNS)) ? text : text + strlen(IPNS);
}

static int key_called(const struct api_host *host, const char *name, struct private_key **out)
{
	if (strcmp(name, KEY_SELF) == 0) {
		*out = keystore_self(host->repo->identity);
		return *out ? 0 : -ENOMEM;
	}
	return keystore_name_check(name) ? -ENOENT : keystore_get(host->repo_path, name, out);
}

int api_ipns_find(const struct api_host *host, const char *text, struct peer_id *out)
{
	const char *name = bare(text);
	struct private_key *key;
	int err;

	if (peer_id_from_text(out, name) == 0)
		return 0;
	if (strchr(name, '.'))
		return -ENOENT;
	err = key_called(host, name, &key);
	if (err)
		return err;
	peer_id_of_key(out, private_key_public(key));
	private_key_free(key);
	return 0;
}

int api_ipns_key(const struct api_host *host, const char *text, struct private_key **out)
{
	int err = key_called(host, text, out);
	struct peer_id id;

	if (err == -ENOENT && peer_id_from_text(&id, bare(text)) == 0)
		err = keystore_find(host->repo_path, host->repo->identity, &id, out);
	return err;
}
