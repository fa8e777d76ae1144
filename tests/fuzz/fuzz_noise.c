/* First byte chooses who is attacked: a responder, an initiator (raw frames), an initiator whose
 * peer seals the input as its payload properly (reaches the payload's decoder), or a finished
 * session. */
#include "net/security/noise/noise_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static const char *const muxers[] = { "/yamux/1.0.0" };
static const struct peer_id anyone;

static struct identity *identity(void)
{
	static const uint8_t seed[32] = { 1 };

	return identity_from_seed(seed);
}

static void handshake(bool initiator, struct bytes in)
{
	struct random random = random_seeded(1);
	struct identity *id = identity();
	struct noise *noise = noise_new(initiator, id, &anyone, muxers, 1, &random);
	struct buf out = { 0 };
	size_t used;

	noise_start(noise, &out);
	int rc = noise_handshake(noise, in, &used, &out);

	assert(used <= in.len && rc <= 0);
	noise_free(noise);
	identity_free(id);
	buf_release(&out);
}

static void payload(struct bytes in)
{
	struct random random = random_seeded(1);
	struct identity *id = identity();
	struct noise *noise = noise_new(true, id, &anyone, muxers, 1, &random);
	struct buf one = { 0 }, two = { 0 }, got = { 0 };
	uint8_t s[32] = { 3 }, e[32] = { 4 };
	struct noise_xx xx;
	size_t used;

	noise_xx_init(&xx, false, (struct bytes){ 0 }, s, e);
	noise_start(noise, &one);
	assert(!noise_xx_read(&xx, bytes_skip(buf_bytes(&one), 2), &got));
	buf_add_be16(&two, 0);
	noise_xx_write(&xx, in, &two);
	two.at[0] = (uint8_t)((two.len - 2) >> 8);
	two.at[1] = (uint8_t)(two.len - 2);
	noise_handshake(noise, buf_bytes(&two), &used, &got);
	noise_free(noise);
	identity_free(id);
	buf_release(&one);
	buf_release(&two);
	buf_release(&got);
}

static void transport(struct bytes in)
{
	struct random random = random_seeded(1);
	struct identity *id = identity();
	struct noise *a = noise_new(true, id, &anyone, muxers, 1, &random);
	struct noise *b = noise_new(false, id, &anyone, muxers, 1, &random);
	struct buf wire[2] = { 0 };
	struct bytes plain;
	size_t used;

	noise_start(a, &wire[0]);
	noise_handshake(b, buf_bytes(&wire[0]), &used, &wire[1]);
	buf_clear(&wire[0]);
	assert(noise_handshake(a, buf_bytes(&wire[1]), &used, &wire[0]) == 1);
	assert(noise_handshake(b, buf_bytes(&wire[0]), &used, &wire[1]) == 1);
	buf_clear(&wire[0]);
	buf_add(&wire[0], in);
	assert(noise_open(b, wire[0].at, wire[0].len, &plain) <= 0);
	noise_free(a);
	noise_free(b);
	identity_free(id);
	buf_release(&wire[0]);
	buf_release(&wire[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	if (!len)
		return 0;
	struct bytes in = bytes_of(at + 1, len - 1);

	if (in.len > 8192)
		in.len = 8192;
	switch (at[0] & 3) {
	case 0:
	case 1:
		handshake(at[0] & 1, in);
		break;
	case 2:
		payload(in);
		break;
	default:
		transport(in);
		break;
	}
	return 0;
}
