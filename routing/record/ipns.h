/* Name records (wire/routing section 2): what the owner of a key says that its name points to.
 *
 * Only the signed document counts. The protobuf around it is read strictly (known fields, each
 * once), and what it repeats must say the same. Records with the first kind of signature alone are
 * refused. Pure; any thread. */
#ifndef ROUTING_RECORD_IPNS_H
#define ROUTING_RECORD_IPNS_H

#include "net/wire/key.h"
#include "routing/record/eol.h"
#include "routing/routing.h"

#define IPNS_RECORD_MAX 10240
#define IPNS_PREFIX "/ipns/" /* of a key; the binary peer id follows */
#define IPNS_SIGNED_PREFIX "ipns-signature:"
#define IPNS_END_OF_LIFE 0	   /* the one type of validity */
#define IPNS_COMMIT_FIELD "_dagfs" /* of the document: a share's commit, as a binary CID */

/* All bytes borrow from the record. */
struct ipns_record {
	struct bytes value; /* a path, as text; not checked */
	struct eol eol;
	uint64_t sequence, ttl_ns; /* at most INT64_MAX each */
	struct bytes signature, document;
	struct bytes public_key; /* protobuf; empty: it is in the name */
	struct bytes commit;	 /* IPNS_COMMIT_FIELD, not checked; empty: none */
	bool has_v1;		 /* the envelope repeats the document for old readers */
};

/* Everything that needs neither key nor clock. -EBADMSG, -EMSGSIZE over IPNS_RECORD_MAX. */
int ipns_decode(struct ipns_record *record, struct bytes in);
/* 0, or -EKEYREJECTED when the name's key has not signed it; -EBADMSG when the key does not parse.
 */
int ipns_verify(const struct ipns_record *record, const struct peer_id *name);

/* As the rules below: > 0 when a is better. Of records that do not decode none is. */
int ipns_compare(struct bytes a, struct bytes b);

/* Rules of "ipns": expired is later than the end of life; better is the higher sequence, then the
 * later end, then the larger bytes. */
extern const struct record_rules ipns_rules;

#endif
