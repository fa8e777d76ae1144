/* BLAKE3 in its plain hash mode, 32 bytes out. Iterative; about 2 KiB of stack for any length.
 * Pure; any thread. */
#ifndef NET_WIRE_BLAKE3_H
#define NET_WIRE_BLAKE3_H

#include "net/base/bytes.h"

#define BLAKE3_LEN 32

void blake3_hash(uint8_t out[static BLAKE3_LEN], struct bytes data);

#endif
