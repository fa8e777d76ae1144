/* Peers and keys made of numbers. */
#ifndef TESTS_ROUTING_NUMBERED_H
#define TESTS_ROUTING_NUMBERED_H

#include "net/base/bytes.h"
#include "net/wire/key.h"

#include <string.h>

static inline struct peer_id peer_of(uint32_t number)
{
	struct peer_id id = { .len = 34, .bytes = { 0x12, 0x20 } };

	memcpy(id.bytes + 2, &number, sizeof(number));
	return id;
}

static inline struct bytes key_of(uint32_t number, uint8_t out[static 6])
{
	memcpy(out, "k:", 2);
	memcpy(out + 2, &number, 4);
	return bytes_of(out, 6);
}

#endif
