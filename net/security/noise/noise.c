/* The libp2p session over Noise: frames, the handshake's payloads with the proof of identity, and
 * the choice of the muxer. Sans-io; one thread at a time. */
/* On the wire everything is: u16 length, big-endian | Noise message.
 *
 *	initiator: START --msg 1--> WAIT --msg 2, we send 3--> DONE
 *	responder: WAIT --msg 1, we send 2--> WAIT --msg 3--> DONE
 *
 * Payload of messages 2 and 3 (protobuf): 1 identity key, 2 its signature over
 *"noise-libp2p-static-key:" and the Noise static key, 4 extensions { 2 repeated muxer name }. */
#include "net/security/noise.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/security/noise/noise_private.h"
#include "net/wire/pb.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LEN_BYTES 2
/* Keys and tags of message 2, the largest beside its payload. */
#define HANDSHAKE_MAX (3 * NOISE_KEY_LEN + 2 * NOISE_TAG_LEN + NOISE_PAYLOAD_MAX)

static const char signature_prefix[] = "noise-libp2p-static-key:";

struct noise {
	struct noise_xx xx;
	const struct identity *identity;
	struct peer_id expected;
	const char *const *muxers;
	size_t muxer_count;
	bool done, dead;

	struct public_key peer_key;
	struct peer_id peer;
	const char *muxer;
	struct noise_cipher send, recv;
};

/* What a payload says; borrowed from it. */
struct payload {
	struct bytes key, signature;
	struct bytes muxers[NOISE_MUXERS_MAX];
	size_t muxer_count; /* more than NOISE_MUXERS_MAX: the list is not used */
};

struct noise *noise_new(bool initiator, const struct identity *identity,
			const struct peer_id *expected, const char *const *muxers,
			size_t muxer_count, struct random *random)
{
	struct noise *noise = xnew(struct noise);
	uint8_t s[NOISE_KEY_LEN], e[NOISE_KEY_LEN];

	random_fill(random, s, sizeof s);
	random_fill(random, e, sizeof e);
	noise_xx_init(&noise->xx, initiator, (struct bytes){ 0 }, s, e);
	sodium_memzero(s, sizeof s);
	sodium_memzero(e, sizeof e);
	noise->identity = identity;
	noise->expected = *expected;
	noise->muxers = muxers;
	noise->muxer_count = muxer_count;
	return noise;
}

void noise_free(struct noise *noise)
{
	if (!noise)
		return;
	noise_cipher_release(&noise->send);
	noise_cipher_release(&noise->recv);
	sodium_memzero(noise, sizeof *noise);
	free(noise);
}

struct noise_cipher *noise_cipher_of(struct noise *noise, bool sending)
{
	return sending ? &noise->send : &noise->recv;
}

/* ---- payloads ---- */

static void signed_text(struct buf *out, const uint8_t key[static NOISE_KEY_LEN])
{
	buf_add_str(out, signature_prefix);
	buf_add(out, bytes_of(key, NOISE_KEY_LEN));
}

static void payload_encode(const struct noise *noise, struct buf *out)
{
	struct buf text = { 0 }, extensions = { 0 };
	uint8_t signature[64];

	signed_text(&text, noise->xx.s_pub);
	identity_sign(noise->identity, buf_bytes(&text), signature);
	pb_put_bytes(out, 1, public_key_proto(identity_public(noise->identity)));
	pb_put_bytes(out, 2, bytes_of(signature, sizeof signature));
	for (size_t i = 0; i < noise->muxer_count; i++)
		pb_put_str(&extensions, 2, noise->muxers[i]);
	if (extensions.len)
		pb_put_bytes(out, 4, buf_bytes(&extensions));
	buf_release(&extensions);
	buf_release(&text);
}

static int extensions_decode(struct payload *payload, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number != 2)
			continue;
		struct bytes name = pb_bytes(&f);

		if (payload->muxer_count < NOISE_MUXERS_MAX)
			payload->muxers[payload->muxer_count] = name;
		payload->muxer_count++;
	}
	return r.bad ? -EBADMSG : 0;
}

static int payload_decode(struct payload *payload, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;
	int err = 0;

	payload->key = payload->signature = (struct bytes){ 0 };
	payload->muxer_count = 0;
	while (!err && pb_next(&r, &f)) {
		if (f.number == 1)
			payload->key = pb_bytes(&f);
		else if (f.number == 2)
			payload->signature = pb_bytes(&f);
		else if (f.number == 4)
			err = extensions_decode(payload, pb_bytes(&f));
	}
	if (r.bad || err)
		return -EBADMSG;
	if (payload->muxer_count > NOISE_MUXERS_MAX)
		payload->muxer_count = 0;
	return 0;
}

static bool payload_offers(const struct payload *payload, const char *muxer)
{
	for (size_t i = 0; i < payload->muxer_count; i++)
		if (bytes_equal(payload->muxers[i], bytes_str(muxer)))
			return true;
	return false;
}

/* The first of the initiator's list that the responder knows too. */
static void choose_muxer(struct noise *noise, const struct payload *payload)
{
	if (noise->xx.initiator) {
		for (size_t i = 0; i < noise->muxer_count && !noise->muxer; i++)
			if (payload_offers(payload, noise->muxers[i]))
				noise->muxer = noise->muxers[i];
		return;
	}
	for (size_t i = 0; i < payload->muxer_count && !noise->muxer; i++)
		for (size_t k = 0; k < noise->muxer_count && !noise->muxer; k++)
			if (bytes_equal(payload->muxers[i], bytes_str(noise->muxers[k])))
				noise->muxer = noise->muxers[k];
}

/* Checks that the other side owns the identity in its payload, and that it is the expected one. */
static int check_identity(struct noise *noise, const struct payload *payload)
{
	struct buf text = { 0 };

	if (public_key_decode(&noise->peer_key, payload->key))
		return -EKEYREJECTED;
	peer_id_of_key(&noise->peer, &noise->peer_key);
	if (peer_id_is_set(&noise->expected) && !peer_id_equal(&noise->expected, &noise->peer))
		return -EKEYREJECTED;
	signed_text(&text, noise->xx.rs);
	int err = public_key_verify(&noise->peer_key, buf_bytes(&text), payload->signature);

	buf_release(&text);
	return err ? -EKEYREJECTED : 0;
}

/* ---- handshake ---- */

static int send_message(struct noise *noise, struct bytes payload, struct buf *out)
{
	size_t at = out->len;

	buf_add_be16(out, 0);
	int err = noise_xx_write(&noise->xx, payload, out);
	size_t len = out->len - at - LEN_BYTES;

	out->at[at] = (uint8_t)(len >> 8);
	out->at[at + 1] = (uint8_t)len;
	return err;
}

static int send_payload(struct noise *noise, struct buf *out)
{
	struct buf payload = { 0 };

	payload_encode(noise, &payload);
	int err = send_message(noise, buf_bytes(&payload), out);

	buf_release(&payload);
	return err;
}

void noise_start(struct noise *noise, struct buf *out)
{
	if (noise->xx.initiator)
		send_message(noise, (struct bytes){ 0 }, out); /* "e" alone cannot fail */
}

static void noise_finish(struct noise *noise)
{
	uint8_t send[NOISE_KEY_LEN], recv[NOISE_KEY_LEN];

	noise_xx_split(&noise->xx, send, recv);
	noise_cipher_init(&noise->send, true, send);
	noise_cipher_init(&noise->recv, false, recv);
	sodium_memzero(send, sizeof send);
	sodium_memzero(recv, sizeof recv);
	/* The handshake's secrets are of no more use. */
	sodium_memzero(noise->xx.s, sizeof noise->xx.s);
	sodium_memzero(noise->xx.e, sizeof noise->xx.e);
	sodium_memzero(noise->xx.key, sizeof noise->xx.key);
	sodium_memzero(noise->xx.chain, sizeof noise->xx.chain);
	noise->done = true;
}

static int on_payload(struct noise *noise, struct bytes in)
{
	struct payload payload;
	int err = payload_decode(&payload, in);

	if (!err)
		err = check_identity(noise, &payload);
	if (!err)
		choose_muxer(noise, &payload);
	return err;
}

static int on_message(struct noise *noise, struct bytes message, struct buf *out)
{
	struct buf payload = { 0 };
	int err = noise_xx_read(&noise->xx, message, &payload);

	if (!err && payload.len > NOISE_PAYLOAD_MAX)
		err = -EBADMSG;
	/* The payload of message 1 is not protected and means nothing. */
	if (!err && noise->xx.message > 1)
		err = on_payload(noise, buf_bytes(&payload));
	if (!err && noise->xx.message < 3)
		err = send_payload(noise, out);
	if (!err && noise->xx.message == 3)
		noise_finish(noise);
	buf_release(&payload);
	return err;
}

int noise_handshake(struct noise *noise, struct bytes in, size_t *used, struct buf *out)
{
	int err = noise->dead ? -EBADMSG : 0;

	*used = 0;
	assert(!noise->done);
	while (!err && !noise->done && in.len - *used >= LEN_BYTES) {
		const uint8_t *at = in.at + *used;
		size_t len = (size_t)at[0] << 8 | at[1];

		if (len > HANDSHAKE_MAX) {
			err = -EBADMSG;
			break;
		}
		if (in.len - *used < LEN_BYTES + len)
			break;
		*used += LEN_BYTES + len;
		err = on_message(noise, bytes_of(at + LEN_BYTES, len), out);
	}
	noise->dead = err != 0;
	return err ? err : noise->done;
}

const struct peer_id *noise_peer(const struct noise *noise)
{
	return &noise->peer;
}

const char *noise_muxer(const struct noise *noise)
{
	return noise->muxer;
}

/* ---- transport ---- */

int noise_seal(struct noise *noise, const struct bytes *parts, size_t count, struct buf *out)
{
	struct noise_cipher *cipher = &noise->send;
	size_t total = 0, at = 0;

	assert(noise->done);
	for (size_t i = 0; i < count; i++)
		total += parts[i].len;
	size_t frames = (total + NOISE_PLAIN_MAX - 1) / NOISE_PLAIN_MAX;

	if (frames > UINT64_MAX - cipher->nonce)
		return -EOVERFLOW;
	uint8_t *to = buf_reserve(out, total + frames * NOISE_OVERHEAD);

	out->len += total + frames * NOISE_OVERHEAD;
	while (total) {
		size_t left = total < NOISE_PLAIN_MAX ? total : NOISE_PLAIN_MAX;

		total -= left;
		*to++ = (uint8_t)((left + NOISE_TAG_LEN) >> 8);
		*to++ = (uint8_t)(left + NOISE_TAG_LEN);
		noise_cipher_begin(cipher);
		while (left) {
			struct bytes piece = bytes_skip(*parts, at);

			if (piece.len > left)
				piece.len = left;
			if (piece.len)
				noise_cipher_add(cipher, to, piece);
			to += piece.len;
			at += piece.len;
			left -= piece.len;
			if (at == parts->len) {
				parts++;
				at = 0;
			}
		}
		noise_cipher_end(cipher, to);
		to += NOISE_TAG_LEN;
	}
	return 0;
}

ssize_t noise_open(struct noise *noise, uint8_t *at, size_t len, struct bytes *plain)
{
	assert(noise->done);
	*plain = (struct bytes){ 0 };
	if (noise->dead)
		return -EBADMSG;
	if (len < LEN_BYTES)
		return 0;
	size_t frame = (size_t)at[0] << 8 | at[1];

	if (frame < NOISE_TAG_LEN) {
		noise->dead = true;
		return -EBADMSG;
	}
	if (len < LEN_BYTES + frame)
		return 0;
	if (noise_cipher_open(&noise->recv, at + LEN_BYTES, frame - NOISE_TAG_LEN)) {
		noise->dead = true;
		return -EBADMSG;
	}
	*plain = bytes_of(at + LEN_BYTES, frame - NOISE_TAG_LEN);
	return (ssize_t)(LEN_BYTES + frame);
}
