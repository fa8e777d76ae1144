/* One element of DER at a time, read strictly: a length that could be written shorter is refused,
 * so that every key has one spelling. Pure; any thread. */
#include "net/wire/der.h"

bool der_take(struct bytes *in, uint8_t tag, struct bytes *value)
{
	size_t head = 2, len;

	if (in->len < 2 || in->at[0] != tag)
		return false;
	len = in->at[1];
	if (len & 0x80) {
		size_t more = len & 0x7f;

		if (more < 1 || more > 2 || in->len < head + more || in->at[2] == 0)
			return false;
		len = more == 1 ? in->at[2] : (size_t)in->at[2] << 8 | in->at[3];
		if (len < 0x80)
			return false;
		head += more;
	}
	if (len > in->len - head)
		return false;
	*value = bytes_of(in->at + head, len);
	*in = bytes_skip(*in, head + len);
	return true;
}
