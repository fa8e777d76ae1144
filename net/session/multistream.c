/* multistream-select 1.0, both sides, as a state machine over lines. Lengths and the number of
 * proposals are bounded. Pure. */
/* One line on the wire: uv(len) | text | '\n', len counting the newline, at most
 *MULTISTREAM_LINE_MAX.
 *
 *	dialler:  header name1 ->     <- header, name1 (settled) or na;  name2 -> ...
 *	listener: header ->           <- header name;  name (settled) or na -> ...
 */
#include "net/session/multistream.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/varint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MAX 2 /* bytes of uv(MULTISTREAM_LINE_MAX) */

static const char header_line[] = "/multistream/1.0.0";
static const char na_line[] = "na";

struct multistream {
	bool dialer;
	bool greeted; /* the other side's header has been read */
	const char *settled;

	const char *const *protocols; /* dialler: what we propose, and which one is on the wire */
	size_t count, current;

	const char *(*select)(void *ctx, struct bytes name); /* listener */
	void *ctx;
	unsigned proposals;

	uint8_t line[PREFIX_MAX + MULTISTREAM_LINE_MAX]; /* the line so far, with its prefix */
	size_t line_len;
};

static void put_line(struct buf *out, struct bytes text)
{
	assert(text.len < MULTISTREAM_LINE_MAX);
	buf_add_uvarint(out, text.len + 1);
	buf_add(out, text);
	buf_add_u8(out, '\n');
}

struct multistream *multistream_dialer(const char *const *protocols, size_t count)
{
	struct multistream *ms = xnew(struct multistream);

	assert(count > 0);
	ms->dialer = true;
	ms->protocols = protocols;
	ms->count = count;
	return ms;
}

struct multistream *multistream_listener(const char *(*select)(void *ctx, struct bytes name),
					 void *ctx)
{
	struct multistream *ms = xnew(struct multistream);

	ms->select = select;
	ms->ctx = ctx;
	return ms;
}

void multistream_free(struct multistream *ms)
{
	free(ms);
}

void multistream_start(struct multistream *ms, struct buf *out)
{
	put_line(out, bytes_str(header_line));
	if (ms->dialer)
		put_line(out, bytes_str(ms->protocols[0]));
}

/* The answer to our proposal. */
static int on_answer(struct multistream *ms, struct bytes text, struct buf *out)
{
	if (bytes_equal(text, bytes_str(ms->protocols[ms->current]))) {
		ms->settled = ms->protocols[ms->current];
		return 1;
	}
	if (!bytes_equal(text, bytes_str(na_line)))
		return -EPROTO;
	if (++ms->current == ms->count)
		return -EPROTONOSUPPORT;
	put_line(out, bytes_str(ms->protocols[ms->current]));
	return 0;
}

static int on_proposal(struct multistream *ms, struct bytes text, struct buf *out)
{
	if (++ms->proposals > MULTISTREAM_PROPOSALS_MAX)
		return -EPROTONOSUPPORT;
	ms->settled = ms->select(ms->ctx, text);
	put_line(out, ms->settled ? text : bytes_str(na_line));
	return ms->settled ? 1 : 0;
}

static int on_line(struct multistream *ms, struct bytes text, struct buf *out)
{
	if (!ms->greeted) {
		ms->greeted = true;
		return bytes_equal(text, bytes_str(header_line)) ? 0 : -EPROTO;
	}
	return ms->dialer ? on_answer(ms, text, out) : on_proposal(ms, text, out);
}

/* The length of the line being collected with its prefix, 0 while the prefix is not whole,
 * -EBADMSG. */
static ssize_t line_len(const struct multistream *ms)
{
	uint64_t len;
	ssize_t used = uvarint_decode(&len, bytes_of(ms->line, ms->line_len));

	if (used < 0 || (used == 0 && ms->line_len >= PREFIX_MAX))
		return -EBADMSG;
	if (used == 0)
		return 0;
	if (len == 0 || len > MULTISTREAM_LINE_MAX)
		return -EBADMSG;
	return used + (ssize_t)len;
}

int multistream_recv(struct multistream *ms, struct bytes in, size_t *used, struct buf *out)
{
	*used = 0;
	assert(!ms->settled);
	while (*used < in.len) {
		/* Byte by byte: what follows the last line is not ours, and lines are short. */
		ms->line[ms->line_len++] = in.at[(*used)++];
		ssize_t len = line_len(ms);

		if (len < 0)
			return (int)len;
		if (len == 0 || (size_t)len > ms->line_len)
			continue;
		if (ms->line[len - 1] != '\n')
			return -EBADMSG;
		size_t prefix = ms->line[0] & 0x80 ? 2 : 1;
		int err = on_line(ms, bytes_of(ms->line + prefix, (size_t)len - prefix - 1), out);

		ms->line_len = 0;
		if (err)
			return err;
	}
	return 0;
}

const char *multistream_protocol(const struct multistream *ms)
{
	return ms->settled;
}
