/* Name records are made here: the same bytes as boxo makes (wire/routing section 2), and always the
 * same for the same content and key. Pure; any thread. */
#ifndef ROUTING_RECORD_IPNS_WRITE_H
#define ROUTING_RECORD_IPNS_WRITE_H

#include "net/wire/private_key.h"
#include "routing/record/eol.h"

struct ipns_content {
	struct bytes value; /* a path as text */
	struct eol eol;
	uint64_t sequence, ttl_ns; /* at most INT64_MAX each */
	struct bytes commit;	   /* the signed field "_dagfs"; empty: none */
	bool without_v1;	   /* only the second signature, and only the document */
};

/* Appends the record of key's name. The public key is put into it if the name does not hold it. 0;
 * -EINVAL a number or the end of life (years 0000 to 9999) is out of range; -EMSGSIZE beyond
 * IPNS_RECORD_MAX; -ENOMEM. After an error out is as it was. */
int ipns_write(const struct ipns_content *content, const struct private_key *key, struct buf *out);

#endif
