/* Multiaddresses, binary and text. What is accepted prints, and its text means the same bytes. */
#include "net/wire/multiaddr.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void check(const struct multiaddr *addr)
{
	char text[MULTIADDR_TEXT_MAX];
	struct multiaddr again;
	struct sockaddr_storage socket;
	struct peer_id id;

	assert(addr->len > 0 && addr->len <= MULTIADDR_MAX);
	assert(multiaddr_from_text(&again, multiaddr_text(addr, text)) == 0);
	assert(multiaddr_equal(addr, &again));
	multiaddr_scope(addr);
	multiaddr_to_sockaddr(addr, &socket);
	if (multiaddr_split_peer(&again, &id)) {
		assert(multiaddr_add_peer(&again, &id) == 0);
		assert(multiaddr_equal(addr, &again));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct multiaddr addr;
	char *text;

	if (multiaddr_from_bytes(&addr, bytes_of(at, len)) == 0)
		check(&addr);
	text = strndup(at ? (const char *)at : "", len);
	if (multiaddr_from_text(&addr, text) == 0)
		check(&addr);
	free(text);
	return 0;
}
