/* Reads CAR archives, versions 1 and 2, from a stream in pieces of any size. Lengths are judged
 * before anything is reserved for them, and each section is given to the caller when it is
 * complete. One thread for each reader. */
/* Reading a stream:
 *
 *   CARv1   uv(len) | header {"roots": [...], "version": 1} | sections
 *   section uv(len) | CID | block                                        (len covers CID and block)
 *   CARv2   pragma 0a a1 67 "version" 02 | 16 characteristics | u64 data offset | u64 data size |
 *           u64 index offset (0: none) | ... CARv1 at data offset ... | ... index ...
 * (little-endian)
 *
 *   LENGTH -> HEADER -> LENGTH -> SECTION -> LENGTH ...
 *                \-> V2 -> SKIP -> LENGTH -> HEADER -> ...  -> TAIL at the end of the data */
#include "dag/car.h"

#include "dag/ipld/cbor.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/wire/varint.h"

#include <stdlib.h>
#include <string.h>

#define V2_HEADER_LEN 40
#define V2_CHARACTERISTICS_LEN 16
#define V2_DATA_AT_MIN (11 + V2_HEADER_LEN)
#define ALLOC_FIRST 65536u /* a promised length is believed so far */

enum state { LENGTH, HEADER, V2, SKIP, SECTION, TAIL };

struct car_reader {
	const struct car_events *events;
	void *ctx;
	enum state state;
	uint64_t offset;  /* of the next byte */
	uint64_t part_at; /* where the length, header or section under way began */
	uint8_t length[UVARINT_MAX_LEN];
	size_t length_len;
	struct buf part;
	size_t want;			      /* bytes of part when whole */
	bool v2, begun;			      /* begun: the header with the roots was read */
	uint64_t data_at, data_end, index_at; /* v2 */
	const char *why;
};

struct car_reader *car_reader_new(const struct car_events *events, void *ctx)
{
	struct car_reader *reader = xnew(struct car_reader);

	reader->events = events;
	reader->ctx = ctx;
	reader->data_end = UINT64_MAX;
	return reader;
}

void car_reader_free(struct car_reader *reader)
{
	if (!reader)
		return;
	buf_release(&reader->part);
	free(reader);
}

const char *car_why(const struct car_reader *reader, uint64_t *offset)
{
	*offset = reader->part_at;
	return reader->why ? reader->why : "malformed archive";
}

static int car_refuse(struct car_reader *reader, int err, const char *why)
{
	reader->why = why;
	return err;
}

static void car_begin(struct car_reader *reader, enum state state, size_t want)
{
	reader->state = state;
	reader->want = want;
	reader->length_len = 0;
}

/* ---- headers ---- */

static int read_roots(struct car_reader *reader, const struct ipld *tree, unsigned version)
{
	const struct ipld_node *list = ipld_get(tree, tree->nodes, bytes_str("roots")), *at;
	struct cid *roots;
	int err = 0;

	if (!list || list->kind != IPLD_LIST)
		return car_refuse(reader, -EBADMSG, "header has no list of roots");
	if (list->count > CAR_ROOTS_MAX)
		return car_refuse(reader, -EMSGSIZE, "too many roots");
	roots = xcalloc(list->count ? list->count : 1, sizeof(*roots));
	at = list + 1;
	for (uint32_t i = 0; i < list->count && !err; i++, at += at->span)
		if (ipld_link(tree, at, &roots[i]))
			err = car_refuse(reader, -EBADMSG, "a root is no CID");
	if (!err) {
		reader->begun = true;
		car_begin(reader, LENGTH, 0);
		err = reader->events->header(reader->ctx, version, roots, list->count);
	}
	free(roots);
	return err;
}

/* The header of a CARv1 is complete, or the pragma of a CARv2. */
static int on_header(struct car_reader *reader)
{
	const struct ipld_node *version;
	struct ipld tree = { 0 };
	int err;

	if (cbor_decode(&tree, buf_bytes(&reader->part), 0))
		return car_refuse(reader, -EBADMSG, "header is no DAG-CBOR: not a CAR");
	version = ipld_get(&tree, tree.nodes, bytes_str("version"));
	if (!version || version->kind != IPLD_INT || version->negative)
		err = car_refuse(reader, -EBADMSG, "header has no version: not a CAR");
	else if (version->number == 1)
		err = read_roots(reader, &tree, reader->v2 ? 2 : 1);
	else if (version->number != 2 || reader->v2 ||
		 reader->offset != V2_DATA_AT_MIN - V2_HEADER_LEN)
		err = car_refuse(reader, -EBADMSG, "unknown version of CAR");
	else {
		reader->v2 = true;
		car_begin(reader, V2, V2_HEADER_LEN);
		err = 0;
	}
	ipld_release(&tree);
	return err;
}

/* The parts stand in order, and none reaches into another. */
static int on_v2_header(struct car_reader *reader)
{
	struct cursor c = cursor_over(buf_bytes(&reader->part));
	uint64_t size;

	cursor_take(&c, V2_CHARACTERISTICS_LEN);
	reader->data_at = cursor_le64(&c);
	size = cursor_le64(&c);
	reader->index_at = cursor_le64(&c);
	if (reader->data_at < V2_DATA_AT_MIN || reader->data_at > INT64_MAX || !size ||
	    size > INT64_MAX - reader->data_at)
		return car_refuse(reader, -EBADMSG,
				  "CARv2 header tells an impossible place of its data");
	reader->data_end = reader->data_at + size;
	if (reader->index_at &&
	    (reader->index_at < reader->data_end || reader->index_at > INT64_MAX))
		return car_refuse(reader, -EBADMSG, "CARv2 index lies within its data");
	car_begin(reader, reader->offset < reader->data_at ? SKIP : LENGTH, 0);
	return 0;
}

/* ---- sections ---- */

static void release_section(struct block *block)
{
	free(block->owner);
}

static int on_section(struct car_reader *reader)
{
	struct block *block;
	struct cid cid;
	ssize_t used = cid_decode(&cid, buf_bytes(&reader->part));

	if (used <= 0)
		return car_refuse(reader, -EBADMSG, "section does not begin with a CID");
	if (reader->part.len - (size_t)used > BLOCK_MAX)
		return car_refuse(reader, -EMSGSIZE, "block is too large");
	car_begin(reader, LENGTH, 0);
	block = block_slice(&cid, bytes_skip(buf_bytes(&reader->part), (size_t)used),
			    reader->part.at, release_section);
	reader->part = (struct buf){ 0 };
	return reader->events->block(reader->ctx, block, reader->part_at);
}

/* The length of what comes next is known. */
static int on_length(struct car_reader *reader, uint64_t len)
{
	if (len == 0)
		return car_refuse(reader, -EBADMSG, "section of no length");
	if (len > (reader->begun ? CAR_SECTION_MAX : CAR_HEADER_MAX))
		return car_refuse(reader, -EMSGSIZE,
				  reader->begun ? "section is too large"
						: "header is too large: not a CAR");
	if (len > reader->data_end - reader->offset)
		return car_refuse(reader, -EBADMSG, "section goes beyond the data of the CARv2");
	car_begin(reader, reader->begun ? SECTION : HEADER, (size_t)len);
	return 0;
}

/* Collects a varint length byte by byte and judges it before anything is reserved for it. */
static int feed_length(struct car_reader *reader, struct bytes *in)
{
	uint64_t len;
	ssize_t used;

	if (!reader->length_len)
		reader->part_at = reader->offset;
	if (reader->offset == reader->data_end) {
		if (reader->length_len || !reader->begun)
			return car_refuse(reader, -EBADMSG,
					  "data of the CARv2 end within a length");
		reader->state = TAIL;
		return 0;
	}
	reader->length[reader->length_len++] = in->at[0];
	reader->offset++;
	*in = bytes_skip(*in, 1);
	used = uvarint_decode(&len, bytes_of(reader->length, reader->length_len));
	if (used < 0 || (used == 0 && reader->length_len == UVARINT_MAX_LEN))
		return car_refuse(reader, -EBADMSG, "malformed length");
	return used ? on_length(reader, len) : 0;
}

/* Collects a part of known length; memory grows with what has come, not with what is promised. */
static int feed_part(struct car_reader *reader, struct bytes *in)
{
	struct buf *part = &reader->part;
	size_t take = reader->want - part->len;
	int err;

	if (part->len == part->cap || !part->cap) {
		size_t room = part->len < ALLOC_FIRST ? ALLOC_FIRST : reader->want;

		buf_reserve(part, (room < reader->want ? room : reader->want) - part->len);
	}
	if (take > part->cap - part->len)
		take = part->cap - part->len;
	if (take > in->len)
		take = in->len;
	memcpy(part->at + part->len, in->at, take);
	part->len += take;
	reader->offset += take;
	*in = bytes_skip(*in, take);
	if (part->len < reader->want)
		return 0;
	err = reader->state == HEADER ? on_header(reader)
	      : reader->state == V2   ? on_v2_header(reader)
				      : on_section(reader);
	buf_clear(part);
	return err;
}

static void skip(struct car_reader *reader, struct bytes *in)
{
	uint64_t left = reader->state == SKIP ? reader->data_at - reader->offset : UINT64_MAX;
	size_t len = left < in->len ? (size_t)left : in->len;

	reader->offset += len;
	*in = bytes_skip(*in, len);
	if (reader->state == SKIP && reader->offset == reader->data_at)
		car_begin(reader, LENGTH, 0);
}

int car_feed(struct car_reader *reader, struct bytes in)
{
	int err = 0;

	while (in.len && !err) {
		switch (reader->state) {
		case LENGTH:
			err = feed_length(reader, &in);
			break;
		case SKIP:
		case TAIL:
			skip(reader, &in);
			break;
		default:
			err = feed_part(reader, &in);
		}
	}
	return err;
}

int car_end(struct car_reader *reader)
{
	bool at_end =
		reader->state == TAIL || (reader->state == LENGTH && !reader->length_len &&
					  (!reader->v2 || reader->offset == reader->data_end));

	if (reader->state == LENGTH && !reader->length_len)
		reader->part_at = reader->offset;
	if (!reader->begun)
		return car_refuse(reader, -EBADMSG,
				  reader->offset ? "archive ends within its header"
						 : "archive is empty");
	if (!at_end)
		return car_refuse(reader, -EBADMSG, "archive ends within a section");
	if (reader->index_at && reader->offset <= reader->index_at)
		return car_refuse(reader, -EBADMSG, "archive ends before its index");
	return 0;
}
