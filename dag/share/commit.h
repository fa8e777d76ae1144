/* A commit: one version of a share, signed by its writer. Canonical DAG-CBOR, at most COMMIT_MAX
 * bytes; CIDv1 of sha2-256. Pure; any thread.
 *
 *	{ "v":1, "at":stamp, "by":32 B, "no":u64, "pen":8 B, "sig":64 B, "note":text,
 *	  "prev":CID bytes|null, "seen":seen.h, "size":u64, "tree":link, "with":[CID bytes],
 *	  "files":u64, "state":link, "members":link|null }
 *	sig: Ed25519 over "dagfs-commit:" | the same map without "sig"
 */
#ifndef DAG_SHARE_COMMIT_H
#define DAG_SHARE_COMMIT_H

#include "dag/share/seen.h"
#include "net/wire/cid.h"
#include "net/wire/private_key.h"

#define COMMIT_MAX 65536
#define COMMIT_NOTE_MAX 1024
#define COMMIT_WITH_MAX 64
#define COMMIT_SIG_LEN 64

/* Zero-initialised is empty; commit_release() frees what it owns. */
struct commit {
	uint64_t at;		    /* stamp: all dots of this commit; not 0 */
	uint8_t by[WRITER_KEY_LEN]; /* the writer's key */
	uint64_t pen;
	uint64_t no;			/* counts along the chain, from 1 */
	struct cid tree;		/* plain UnixFS */
	struct cid state;		/* root of the manifest: CIDv1, dag-cbor, sha2-256 */
	struct cid members;		/* not set: none */
	struct cid prev;		/* not set: the first */
	struct cid *with;		/* heads that were joined; owned; ascend by bytes */
	size_t with_count;		/* at most COMMIT_WITH_MAX */
	struct seen seen;		/* holds (pen, at), under the key `by`; owned */
	uint64_t files, size;		/* of the whole version */
	char note[COMMIT_NOTE_MAX + 1]; /* UTF-8 without NUL */
	uint8_t sig[COMMIT_SIG_LEN];
};

void commit_release(struct commit *commit); /* empty and valid again */

/* The whole of block. The signature is not checked. -EBADMSG; -EMSGSIZE; -ENOTSUP another "v".
 * commit is overwritten, and empty after a failure. */
int commit_decode(struct commit *commit, struct bytes block);
/* 0, or -EKEYREJECTED when sig is not by's. */
int commit_verify(const struct commit *commit);
/* Sets by from writer (Ed25519, else -ENOTSUP), signs, and appends the block to out. by and sig of
 * commit are written. -EINVAL: what commit_decode() would not take (its `seen` lacks (pen, at),
 * a link that is not set); -EMSGSIZE; -ENOMEM. */
int commit_make(struct commit *commit, const struct private_key *writer, struct buf *out);
/* Names a commit's block. */
void commit_cid(struct bytes block, struct cid *cid);
/* The raw key of an Ed25519 key. -ENOTSUP for another type. */
int writer_key(const struct public_key *key, uint8_t out[static WRITER_KEY_LEN]);

#endif
