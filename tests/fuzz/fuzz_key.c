/* Public keys, private keys and peer ids. A key that is accepted has one spelling. */
#include "net/wire/key.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void check_id(const struct peer_id *id)
{
	char text[PEER_ID_TEXT_MAX];
	struct peer_id again;
	struct public_key key;

	assert(peer_id_from_text(&again, peer_id_text(id, text)) == 0);
	assert(peer_id_equal(id, &again));
	peer_id_key(id, &key);
}

static void check_key(const struct public_key *key)
{
	struct public_key again;
	struct peer_id id;
	uint8_t signature[64] = { 1 };

	assert(public_key_decode(&again, public_key_proto(key)) == 0);
	assert(bytes_equal(public_key_proto(key), public_key_proto(&again)));
	peer_id_of_key(&id, key);
	check_id(&id);
	assert(public_key_verify(key, bytes_str("m"), bytes_of(signature, 64)) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct bytes in = bytes_of(at, len);
	struct identity *identity;
	struct public_key key;
	struct peer_id id;
	char *text;
	int err;

	if (public_key_decode(&key, in) == 0)
		check_key(&key);
	identity = identity_decode(in, &err);
	assert((identity != NULL) == (err == 0));
	identity_free(identity);
	if (peer_id_from_bytes(&id, in) == 0)
		check_id(&id);
	text = strndup(at ? (const char *)at : "", len);
	if (peer_id_from_text(&id, text) == 0)
		check_id(&id);
	free(text);
	return 0;
}
