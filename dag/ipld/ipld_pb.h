/* dag-pb blocks in the IPLD data model: {"Data": bytes, "Links": [{"Hash": link, "Name": text,
 * "Tsize": int}]}, where Data, Name and Tsize may be absent (wire/dag section 1). Pure; any thread.
 */
#ifndef DAG_IPLD_PB_H
#define DAG_IPLD_PB_H

#include "dag/ipld/ipld.h"

/* Strict, as dagpb_decode(). -EBADMSG; -EMSGSIZE. The tree is empty before, and after a failure. */
int ipld_of_dagpb(struct ipld *tree, struct bytes block);
/* Links first, then Data; what is absent is not written. -EINVAL: not that form, or links not in
 * order of their names (out may hold a part then). */
int ipld_to_dagpb(const struct ipld *tree, const struct ipld_node *node, struct buf *out);

#endif
