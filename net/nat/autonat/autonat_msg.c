/* The codec of AutoNAT messages, versions 2 and 1. Pure; any thread. */
/* v2, field: Message    1 request, 2 response, 3 want data, 4 data (one of them)
 *            request    1 addr*, 2 nonce (fixed64)
 *            response   1 status, 2 index, 3 dial status
 *            want data  1 index, 2 bytes
 *            data       1 data
 *            back       1 nonce (fixed64)
 * v1, field: Message    1 type (0 dial, 1 response), 2 dial, 3 response
 *            dial       1 peer { 1 id, 2 addr* }
 *            response   1 status, 2 text, 3 addr
 *
 * v2 is proto3 (zero is not written), v1 proto2 (it is). */
#include "net/nat/autonat/autonat_msg.h"

#include "net/base/alloc.h"
#include "net/wire/frame.h"
#include "net/wire/pb.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- reading v2 ---- */

static int read_request(struct autonat_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number == 1) {
			struct bytes addr = pb_bytes(&f);

			if (msg->addr_count < AUTONAT_ADDRS_MAX)
				msg->addrs[msg->addr_count++] = addr;
		} else if (f.number == 2) {
			if (f.type != PB_FIXED64)
				return -EBADMSG;
			msg->nonce = f.value;
		}
	}
	return r.bad ? -EBADMSG : 0;
}

static int read_response(struct autonat_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number == 1)
			msg->status = (uint32_t)pb_u64(&f);
		else if (f.number == 2)
			msg->index = (uint32_t)pb_u64(&f);
		else if (f.number == 3)
			msg->dial_status = (uint32_t)pb_u64(&f);
	}
	return r.bad ? -EBADMSG : 0;
}

static int read_want_data(struct autonat_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number == 1)
			msg->index = (uint32_t)pb_u64(&f);
		else if (f.number == 2)
			msg->want = pb_u64(&f);
	}
	return r.bad ? -EBADMSG : 0;
}

static int read_data(struct autonat_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f))
		if (f.number == 1)
			msg->data_len = pb_bytes(&f).len;
	return r.bad ? -EBADMSG : 0;
}

int autonat_msg_decode(struct autonat_msg *msg, struct bytes message)
{
	static int (*const read[])(struct autonat_msg * msg, struct bytes in) = {
		[AUTONAT_REQUEST] = read_request,
		[AUTONAT_RESPONSE] = read_response,
		[AUTONAT_WANT_DATA] = read_want_data,
		[AUTONAT_DATA] = read_data,
	};
	struct pb_reader r = pb_over(message);
	struct pb_field f;

	*msg = (struct autonat_msg){ 0 };
	if (message.len > AUTONAT_MESSAGE_MAX)
		return -EMSGSIZE;
	while (pb_next(&r, &f)) {
		if (f.number >= ARRAY_LEN(read))
			continue;
		/* One of them: the last counts. */
		*msg = (struct autonat_msg){ .kind = (enum autonat_kind)f.number };
		struct bytes part = pb_bytes(&f);

		if (!r.bad && read[f.number](msg, part) != 0)
			return -EBADMSG;
	}
	return r.bad ? -EBADMSG : 0;
}

int autonat_msg_decode_back(uint64_t *nonce, struct bytes message)
{
	struct pb_reader r = pb_over(message);
	struct pb_field f;

	*nonce = 0;
	if (message.len > AUTONAT_BACK_MAX)
		return -EMSGSIZE;
	while (pb_next(&r, &f)) {
		if (f.number != 1)
			continue;
		if (f.type != PB_FIXED64)
			return -EBADMSG;
		*nonce = f.value;
	}
	return r.bad ? -EBADMSG : 0;
}

/* ---- writing v2 ---- */

static void put_u64(struct buf *out, uint32_t number, uint64_t value)
{
	if (value)
		pb_put_u64(out, number, value);
}

static void put_fixed64(struct buf *out, uint32_t number, uint64_t value)
{
	if (!value)
		return;
	buf_add_u8(out, (uint8_t)(number << 3 | PB_FIXED64));
	buf_add_le64(out, value);
}

/* Frames part as field number of a message; releases it. */
static void put_message(struct buf *out, uint32_t number, struct buf *part)
{
	struct buf message = { 0 };

	pb_put_bytes(&message, number, buf_bytes(part));
	frame_add(out, buf_bytes(&message));
	buf_release(&message);
	buf_release(part);
}

void autonat_msg_put_request(struct buf *out, const struct multiaddr *addrs, size_t count,
			     uint64_t nonce)
{
	struct buf part = { 0 };

	assert(count <= AUTONAT_ADDRS_MAX);
	for (size_t i = 0; i < count; i++)
		pb_put_bytes(&part, 1, multiaddr_bytes(&addrs[i]));
	put_fixed64(&part, 2, nonce);
	put_message(out, AUTONAT_REQUEST, &part);
}

void autonat_msg_put_response(struct buf *out, enum autonat_status status, uint32_t index,
			      enum autonat_dial dial_status)
{
	struct buf part = { 0 };

	put_u64(&part, 1, status);
	put_u64(&part, 2, index);
	put_u64(&part, 3, dial_status);
	put_message(out, AUTONAT_RESPONSE, &part);
}

void autonat_msg_put_want_data(struct buf *out, uint32_t index, uint64_t want)
{
	struct buf part = { 0 };

	put_u64(&part, 1, index);
	put_u64(&part, 2, want);
	put_message(out, AUTONAT_WANT_DATA, &part);
}

void autonat_msg_put_data(struct buf *out, size_t len)
{
	static const uint8_t zeros[AUTONAT_PIECE_MAX];

	assert(len <= AUTONAT_DATA_MAX);
	while (len > 0) {
		size_t piece = len < AUTONAT_PIECE_MAX ? len : AUTONAT_PIECE_MAX;
		struct buf part = { 0 };

		pb_put_bytes(&part, 1, bytes_of(zeros, piece));
		put_message(out, AUTONAT_DATA, &part);
		len -= piece;
	}
}

void autonat_msg_put_back(struct buf *out, uint64_t nonce)
{
	struct buf message = { 0 };

	put_fixed64(&message, 1, nonce);
	frame_add(out, buf_bytes(&message));
	buf_release(&message);
}

void autonat_msg_put_back_answer(struct buf *out)
{
	frame_add(out, bytes_of(NULL, 0)); /* its one field, OK, is zero */
}

/* ---- v1 ---- */

static int read_peer(struct autonat_v1_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number == 1) {
			msg->id = pb_bytes(&f);
		} else if (f.number == 2) {
			struct bytes addr = pb_bytes(&f);

			if (msg->addr_count < AUTONAT_V1_ADDRS_MAX)
				msg->addrs[msg->addr_count++] = addr;
		}
	}
	return r.bad ? -EBADMSG : 0;
}

static int read_v1_dial(struct autonat_v1_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number != 1)
			continue;
		struct bytes peer = pb_bytes(&f);

		if (r.bad || read_peer(msg, peer) != 0)
			return -EBADMSG;
	}
	return r.bad ? -EBADMSG : 0;
}

static int read_v1_response(struct autonat_v1_msg *msg, struct bytes in)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f)) {
		if (f.number == 1)
			msg->status = (uint32_t)pb_u64(&f);
		else if (f.number == 3)
			msg->addr = pb_bytes(&f);
	}
	return r.bad ? -EBADMSG : 0;
}

int autonat_msg_decode_v1(struct autonat_v1_msg *msg, struct bytes message)
{
	struct pb_reader r = pb_over(message);
	struct bytes dial = { 0 }, response = { 0 };
	bool has_dial = false, has_response = false;
	uint64_t type = 2;
	struct pb_field f;

	*msg = (struct autonat_v1_msg){ 0 };
	if (message.len > AUTONAT_V1_MESSAGE_MAX)
		return -EMSGSIZE;
	while (pb_next(&r, &f)) {
		if (f.number == 1) {
			type = pb_u64(&f);
		} else if (f.number == 2) {
			dial = pb_bytes(&f);
			has_dial = true;
		} else if (f.number == 3) {
			response = pb_bytes(&f);
			has_response = true;
		}
	}
	if (r.bad)
		return -EBADMSG;
	if (type == 0 && has_dial) {
		msg->dial = true;
		return read_v1_dial(msg, dial);
	}
	return type == 1 && has_response ? read_v1_response(msg, response) : -EBADMSG;
}

static void put_v1(struct buf *out, uint64_t type, uint32_t number, struct buf *part)
{
	struct buf message = { 0 };

	pb_put_u64(&message, 1, type);
	pb_put_bytes(&message, number, buf_bytes(part));
	frame_add(out, buf_bytes(&message));
	buf_release(&message);
	buf_release(part);
}

void autonat_msg_put_v1_dial(struct buf *out, const struct peer_id *self,
			     const struct multiaddr *addrs, size_t count)
{
	struct buf peer = { 0 }, part = { 0 };

	assert(count <= AUTONAT_V1_ADDRS_MAX);
	pb_put_bytes(&peer, 1, peer_id_bytes(self));
	for (size_t i = 0; i < count; i++)
		pb_put_bytes(&peer, 2, multiaddr_bytes(&addrs[i]));
	pb_put_bytes(&part, 1, buf_bytes(&peer));
	buf_release(&peer);
	put_v1(out, 0, 2, &part);
}

void autonat_msg_put_v1_response(struct buf *out, enum autonat_v1_status status,
				 const struct multiaddr *addr)
{
	struct buf part = { 0 };

	pb_put_u64(&part, 1, status);
	if (addr)
		pb_put_bytes(&part, 3, multiaddr_bytes(addr));
	put_v1(out, 1, 3, &part);
}
