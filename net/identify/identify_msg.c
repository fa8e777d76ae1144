/* The codec of identify messages and of signed peer records. Pure; any thread. */
/* Identify    1 publicKey  2 listenAddrs*  3 protocols*  4 observedAddr  5 protocolVersion
 *             6 agentVersion  8 signedPeerRecord (envelope)
 * PeerRecord  1 peer id  2 seq  3 addresses* { 1 multiaddr } */
#include "net/identify/identify_msg.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/frame.h"
#include "net/wire/pb.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ONE_MESSAGE_MAX 2048 /* above, the record goes into a message of its own */

static const char record_domain[] = "libp2p-peer-record";
static const uint8_t record_type[] = { 3, 1 };

/* ---- signed records ---- */

void identify_record_seal(struct buf *out, const struct identity *identity, uint64_t seq,
			  const struct multiaddr *addrs, size_t count)
{
	struct peer_id self;
	struct buf record = { 0 };

	peer_id_of_identity(&self, identity);
	pb_put_bytes(&record, 1, peer_id_bytes(&self));
	pb_put_u64(&record, 2, seq);
	for (size_t i = 0; i < count; i++) {
		struct bytes addr = multiaddr_bytes(&addrs[i]);

		pb_put_head(&record, 3, pb_len_bytes(1, addr.len));
		pb_put_bytes(&record, 1, addr);
	}
	envelope_seal(out, identity, record_domain, bytes_of(record_type, sizeof record_type),
		      buf_bytes(&record));
	buf_release(&record);
}

/* Adds one address unless it is bad, known or one too many. */
static void add_addr(struct multiaddr *addrs, size_t max, size_t *count, struct bytes in)
{
	struct multiaddr *addr = &addrs[*count];
	struct peer_id id;

	if (*count == max || multiaddr_from_bytes(addr, in))
		return;
	multiaddr_split_peer(addr, &id);
	if (!addr->len)
		return;
	for (size_t i = 0; i < *count; i++)
		if (multiaddr_equal(&addrs[i], addr))
			return;
	(*count)++;
}

static bool record_addr(struct bytes in, struct multiaddr *addrs, size_t max, size_t *count)
{
	struct pb_reader r = pb_over(in);
	struct pb_field f;

	while (pb_next(&r, &f))
		if (f.number == 1)
			add_addr(addrs, max, count, pb_bytes(&f));
	return !r.bad;
}

int identify_record_open(struct bytes envelope, const struct peer_id *peer, uint64_t *seq,
			 struct multiaddr *addrs, size_t max, size_t *count)
{
	struct bytes payload, told = { 0 };
	struct pb_field f;

	*seq = 0;
	*count = 0;
	int err = envelope_open_by(envelope, record_domain,
				   bytes_of(record_type, sizeof record_type), peer, &payload);

	if (err)
		return err;
	struct pb_reader r = pb_over(payload);

	while (pb_next(&r, &f)) {
		if (f.number == 1)
			told = pb_bytes(&f);
		else if (f.number == 2)
			*seq = pb_u64(&f);
		else if (f.number == 3 && !record_addr(pb_bytes(&f), addrs, max, count))
			return -EBADMSG;
	}
	if (r.bad)
		return -EBADMSG;
	return bytes_equal(told, peer_id_bytes(peer)) ? 0 : -EKEYREJECTED;
}

/* ---- ours ---- */

static void encode_plain(const struct identify_self *self, size_t addr_count, struct buf *out)
{
	pb_put_bytes(out, 1, public_key_proto(identity_public(self->identity)));
	for (size_t i = 0; i < addr_count; i++)
		pb_put_bytes(out, 2, multiaddr_bytes(&self->addrs[i]));
	for (size_t i = 0; i < self->protocol_count; i++)
		pb_put_str(out, 3, self->protocols[i]);
	if (self->observed && self->observed->len)
		pb_put_bytes(out, 4, multiaddr_bytes(self->observed));
	pb_put_str(out, 5, self->protocol_version);
	pb_put_str(out, 6, self->agent);
}

int identify_msg_encode(const struct identify_self *self, struct buf *out)
{
	struct buf plain = { 0 }, record = { 0 };
	size_t count = self->addr_count;
	int err = 0;

	for (;; count--) {
		struct buf envelope = { 0 };

		buf_clear(&plain);
		buf_clear(&record);
		encode_plain(self, count, &plain);
		identify_record_seal(&envelope, self->identity, self->seq, self->addrs, count);
		pb_put_bytes(&record, 8, buf_bytes(&envelope));
		buf_release(&envelope);
		if (plain.len + record.len <= IDENTIFY_OWN_MAX)
			break;
		if (count == 0) {
			err = -EMSGSIZE;
			goto out;
		}
	}
	if (plain.len + record.len <= ONE_MESSAGE_MAX) {
		buf_add(&plain, buf_bytes(&record));
		frame_add(out, buf_bytes(&plain));
	} else {
		frame_add(out, buf_bytes(&plain));
		frame_add(out, buf_bytes(&record));
	}
out:
	buf_release(&plain);
	buf_release(&record);
	return err;
}

/* ---- theirs ---- */

static void set_text(char out[static IDENTIFY_AGENT_MAX + 1], struct bytes text)
{
	size_t len = text.len < IDENTIFY_AGENT_MAX ? text.len : IDENTIFY_AGENT_MAX;

	if (len)
		memcpy(out, text.at, len);
	out[len] = '\0';
}

static void add_protocol(struct identify_msg *msg, struct bytes name)
{
	if (!name.len || name.len > IDENTIFY_PROTOCOL_LEN_MAX ||
	    msg->protocol_count == IDENTIFY_PROTOCOLS_MAX || memchr(name.at, '\0', name.len))
		return;
	for (size_t i = 0; i < msg->protocol_count; i++)
		if (bytes_equal(bytes_str(msg->protocols[i]), name))
			return;
	char *copy = xcalloc(1, name.len + 1);

	memcpy(copy, name.at, name.len);
	msg->protocols[msg->protocol_count++] = copy;
}

static void add_listen_addr(struct identify_msg *msg, struct bytes in)
{
	if (msg->addr_count == IDENTIFY_ADDRS_MAX)
		return;
	/* One more than there are: peers tell a handful, and an address is 1 KiB. */
	msg->addrs = xrealloc(msg->addrs, (msg->addr_count + 1) * sizeof *msg->addrs);
	add_addr(msg->addrs, IDENTIFY_ADDRS_MAX, &msg->addr_count, in);
}

/* One field of a message into msg. Lists stop growing at their limit; unknown fields are
 * ignored. */
static void merge_field(struct identify_msg *msg, struct pb_field *f)
{
	switch (f->number) {
	case 1:
		msg->has_key = public_key_decode(&msg->key, pb_bytes(f)) == 0;
		break;
	case 2:
		add_listen_addr(msg, pb_bytes(f));
		break;
	case 3:
		add_protocol(msg, pb_bytes(f));
		break;
	case 4:
		if (multiaddr_from_bytes(&msg->observed, pb_bytes(f)))
			msg->observed = (struct multiaddr){ 0 };
		break;
	case 5:
		set_text(msg->protocol_version, pb_bytes(f));
		break;
	case 6:
		set_text(msg->agent, pb_bytes(f));
		break;
	case 8:
		buf_clear(&msg->record);
		buf_add(&msg->record, pb_bytes(f));
		break;
	default: /* newer than we are */
		break;
	}
}

int identify_msg_merge(struct identify_msg *msg, struct bytes message)
{
	struct pb_reader r = pb_over(message);
	struct pb_field f;

	if (message.len > IDENTIFY_MESSAGE_MAX)
		return -EMSGSIZE;
	if (msg->messages == IDENTIFY_MESSAGES_MAX)
		return -EAGAIN;
	msg->messages++;
	while (pb_next(&r, &f))
		merge_field(msg, &f);
	return r.bad ? -EBADMSG : 0;
}

static void take_record(struct identify_msg *msg, const struct peer_id *peer)
{
	struct multiaddr *addrs = xcalloc(IDENTIFY_ADDRS_MAX, sizeof *addrs);
	size_t count;

	msg->certified = !identify_record_open(buf_bytes(&msg->record), peer, &msg->record_seq,
					       addrs, IDENTIFY_ADDRS_MAX, &count);
	if (msg->certified) {
		free(msg->addrs);
		msg->addrs = xrealloc(addrs, count * sizeof *addrs);
		msg->addr_count = count;
	} else {
		free(addrs);
		msg->record_seq = 0;
		buf_release(&msg->record);
	}
}

static bool of_use(const struct multiaddr *addr, enum multiaddr_scope from)
{
	enum multiaddr_scope scope = multiaddr_scope(addr);

	if (scope == SCOPE_NONE || from == SCOPE_LOOPBACK)
		return true;
	return from == SCOPE_PRIVATE ? scope != SCOPE_LOOPBACK : scope == SCOPE_PUBLIC;
}

void identify_msg_finish(struct identify_msg *msg, const struct peer_id *peer,
			 const struct multiaddr *from)
{
	enum multiaddr_scope scope = multiaddr_scope(from);
	struct peer_id told;
	size_t kept = 0;

	if (msg->has_key) {
		peer_id_of_key(&told, &msg->key);
		msg->has_key = peer_id_equal(&told, peer);
	}
	if (msg->record.len)
		take_record(msg, peer);
	for (size_t i = 0; i < msg->addr_count; i++)
		if (of_use(&msg->addrs[i], scope))
			msg->addrs[kept++] = msg->addrs[i];
	msg->addr_count = kept;
}

bool identify_msg_speaks(const struct identify_msg *msg, const char *protocol)
{
	for (size_t i = 0; i < msg->protocol_count; i++)
		if (!strcmp(msg->protocols[i], protocol))
			return true;
	return false;
}

void identify_msg_release(struct identify_msg *msg)
{
	for (size_t i = 0; i < msg->protocol_count; i++)
		free(msg->protocols[i]);
	free(msg->addrs);
	buf_release(&msg->record);
	*msg = (struct identify_msg){ 0 };
}
