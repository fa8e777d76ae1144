/* DER, as far as keys and certificates need it here. Pure; any thread. */
#ifndef NET_WIRE_DER_H
#define NET_WIRE_DER_H

#include "net/base/bytes.h"

enum { DER_INTEGER = 0x02, DER_BITS = 0x03, DER_OCTETS = 0x04, DER_SEQUENCE = 0x30 };

/* The value of the element at the front of *in, which moves behind it. Shortest lengths only, of at
 * most two bytes; false, with *in unchanged, if the element is another, malformed or cut. */
bool der_take(struct bytes *in, uint8_t tag, struct bytes *value);

#endif
