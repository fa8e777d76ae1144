/* Commits as bytes: one map of fixed keys, in the order of DAG-CBOR, signed over itself without the
 * signature. Whatever is decoded is what commit_make() writes. Pure; any thread. */
#include "dag/share/commit.h"

#include "dag/ipld/ipld.h"
#include "dag/share/fields.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_VERSION 1
#define FIELDS 15
#define SIGN_PREFIX "dagfs-commit:"

void commit_release(struct commit *commit)
{
	free(commit->with);
	seen_release(&commit->seen);
	*commit = (struct commit){ 0 };
}

int writer_key(const struct public_key *key, uint8_t out[static WRITER_KEY_LEN])
{
	if (key->type != KEY_ED25519 || key->len - key->data_at != WRITER_KEY_LEN)
		return -ENOTSUP;
	memcpy(out, key->proto + key->data_at, WRITER_KEY_LEN);
	return 0;
}

void commit_cid(struct bytes block, struct cid *cid)
{
	/* Neither can fail: both codes are our own. */
	(void)cid_of_data(cid, 1, CODEC_DAG_CBOR, HASH_SHA2_256, block);
}

/* ---- writing ---- */

static void put_cid_bytes(struct buf *out, const struct cid *cid)
{
	if (cid_is_set(cid))
		field_put_bytes(out, cid_bytes(cid));
	else
		field_put_null(out);
}

/* The map, with the signature or, to be signed, without. */
static void commit_encode(const struct commit *commit, bool with_sig, struct buf *out)
{
	field_put_map(out, with_sig ? FIELDS : FIELDS - 1);
	field_put_key(out, "v");
	field_put_uint(out, COMMIT_VERSION);
	field_put_key(out, "at");
	field_put_uint(out, commit->at);
	field_put_key(out, "by");
	field_put_bytes(out, bytes_of(commit->by, sizeof(commit->by)));
	field_put_key(out, "no");
	field_put_uint(out, commit->no);
	field_put_key(out, "pen");
	field_put_pen(out, commit->pen);
	if (with_sig) {
		field_put_key(out, "sig");
		field_put_bytes(out, bytes_of(commit->sig, sizeof(commit->sig)));
	}
	field_put_key(out, "note");
	field_put_text(out, bytes_str(commit->note));
	field_put_key(out, "prev");
	put_cid_bytes(out, &commit->prev);
	field_put_key(out, "seen");
	seen_encode(&commit->seen, out);
	field_put_key(out, "size");
	field_put_uint(out, commit->size);
	field_put_key(out, "tree");
	field_put_link(out, &commit->tree);
	field_put_key(out, "with");
	field_put_list(out, commit->with_count);
	for (size_t i = 0; i < commit->with_count; i++)
		field_put_bytes(out, cid_bytes(&commit->with[i]));
	field_put_key(out, "files");
	field_put_uint(out, commit->files);
	field_put_key(out, "state");
	field_put_link(out, &commit->state);
	field_put_key(out, "members");
	field_put_link(out, &commit->members);
}

/* What both the maker and the decoder ask of a commit. */
static int commit_check(const struct commit *commit)
{
	const struct seen_pen *pen = seen_find(&commit->seen, commit->pen);

	if (!commit->at || !commit->no || !cid_is_set(&commit->tree) ||
	    !field_is_node_cid(&commit->state) || commit->with_count > COMMIT_WITH_MAX)
		return -EINVAL;
	if (!ipld_utf8(bytes_str(commit->note)))
		return -EINVAL;
	for (size_t i = 1; i < commit->with_count; i++)
		if (bytes_cmp(cid_bytes(&commit->with[i - 1]), cid_bytes(&commit->with[i])) >= 0)
			return -EINVAL;
	if (!pen || memcmp(pen->pen.key, commit->by, sizeof(commit->by)) != 0 ||
	    !seen_contains(&commit->seen, commit->pen, commit->at))
		return -EINVAL;
	return 0;
}

static void signed_bytes(const struct commit *commit, struct buf *out)
{
	buf_add_str(out, SIGN_PREFIX);
	commit_encode(commit, false, out);
}

int commit_make(struct commit *commit, const struct private_key *writer, struct buf *out)
{
	struct buf message = { 0 }, sig = { 0 }, block = { 0 };
	int err = writer_key(private_key_public(writer), commit->by);

	if (!err)
		err = commit_check(commit);
	if (err)
		return err;
	signed_bytes(commit, &message);
	err = private_key_sign(writer, buf_bytes(&message), &sig);
	if (!err && sig.len != COMMIT_SIG_LEN)
		err = -ENOTSUP;
	if (!err) {
		memcpy(commit->sig, sig.at, COMMIT_SIG_LEN);
		commit_encode(commit, true, &block);
		err = block.len > COMMIT_MAX ? -EMSGSIZE : 0;
	}
	if (!err)
		buf_add(out, buf_bytes(&block));
	buf_release(&message);
	buf_release(&sig);
	buf_release(&block);
	return err;
}

/* ---- reading ---- */

static void take_fixed(struct cursor *c, uint8_t *out, size_t len)
{
	struct bytes bytes = field_bytes(c);

	if (bytes.len != len)
		c->bad = true;
	else
		memcpy(out, bytes.at, len);
}

/* A CID in bytes that names a commit. */
static void take_cid_bytes(struct cursor *c, struct cid *cid)
{
	if (cid_from_bytes(cid, field_bytes(c)) || !field_is_node_cid(cid))
		c->bad = true;
}

static void take_with(struct cursor *c, struct commit *commit)
{
	size_t count = field_list(c);

	if (count > COMMIT_WITH_MAX)
		c->bad = true;
	if (c->bad || !count)
		return;
	commit->with = xcalloc(count, sizeof(*commit->with));
	commit->with_count = count;
	for (size_t i = 0; i < count; i++)
		take_cid_bytes(c, &commit->with[i]);
}

static void take_note(struct cursor *c, struct commit *commit)
{
	struct bytes note = field_text(c);

	if (note.len > COMMIT_NOTE_MAX || (note.len && memchr(note.at, 0, note.len)))
		c->bad = true;
	else if (note.len)
		memcpy(commit->note, note.at, note.len);
}

/* What follows "v". */
static int take_fields(struct cursor *c, struct commit *commit)
{
	int err;

	field_key(c, "at");
	commit->at = field_uint(c);
	field_key(c, "by");
	take_fixed(c, commit->by, sizeof(commit->by));
	field_key(c, "no");
	commit->no = field_uint(c);
	field_key(c, "pen");
	commit->pen = field_pen(c);
	field_key(c, "sig");
	take_fixed(c, commit->sig, sizeof(commit->sig));
	field_key(c, "note");
	take_note(c, commit);
	field_key(c, "prev");
	if (!field_null(c))
		take_cid_bytes(c, &commit->prev);
	field_key(c, "seen");
	err = seen_decode(&commit->seen, c);
	if (err == -EMSGSIZE)
		return err;
	field_key(c, "size");
	commit->size = field_uint(c);
	field_key(c, "tree");
	field_link(c, &commit->tree);
	field_key(c, "with");
	take_with(c, commit);
	field_key(c, "files");
	commit->files = field_uint(c);
	field_key(c, "state");
	field_node_link(c, &commit->state);
	field_key(c, "members");
	if (!field_null(c))
		field_node_link(c, &commit->members);
	return c->bad || cursor_left(c) || commit_check(commit) ? -EBADMSG : 0;
}

int commit_decode(struct commit *commit, struct bytes block)
{
	struct cursor c = cursor_over(block);
	int err = 0;

	*commit = (struct commit){ 0 };
	if (block.len > COMMIT_MAX)
		return -EMSGSIZE;
	size_t fields = field_map(&c);

	field_key(&c, "v");
	uint64_t version = field_uint(&c);

	if (c.bad)
		err = -EBADMSG;
	else if (version != COMMIT_VERSION)
		err = -ENOTSUP;
	else if (fields != FIELDS)
		err = -EBADMSG;
	if (!err)
		err = take_fields(&c, commit);
	if (err)
		commit_release(commit);
	return err;
}

int commit_verify(const struct commit *commit)
{
	/* The protobuf of an Ed25519 key: type 1, then 32 bytes. */
	static const uint8_t head[] = { 0x08, 0x01, 0x12, WRITER_KEY_LEN };
	uint8_t proto[sizeof(head) + WRITER_KEY_LEN];
	struct public_key key;
	struct buf message = { 0 };

	memcpy(proto, head, sizeof(head));
	memcpy(proto + sizeof(head), commit->by, WRITER_KEY_LEN);
	int err = public_key_decode(&key, bytes_of(proto, sizeof(proto)));

	if (err)
		return -EKEYREJECTED;
	signed_bytes(commit, &message);
	err = public_key_verify(&key, buf_bytes(&message),
				bytes_of(commit->sig, sizeof(commit->sig)));
	buf_release(&message);
	return err;
}
