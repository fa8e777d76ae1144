/* The formats of a share (SHARES: section 3, 5): signed commits, the manifests that hold a state,
 * what a state has seen, who may write, and what is shown where several wrote. Blocks and bytes
 * alone: no network, no mount, no database of its own.
 *
 * Any thread but the loop's. Called by dag/tree and fs; calls exchange (struct blocks).
 *
 * -EBADMSG: bytes that no encoder of ours writes; -EMSGSIZE: over a limit; -EKEYREJECTED: a
 * signature, key or right that is not there; -ENOTSUP: a version of the format that is not known.
 *
 * Rooms behind this door:
 *   dag/share/commit.h    a version: made, signed, checked   dag/share/seen.h     stamps known
 *   dag/share/manifest.h  an entry, in memory and as bytes   dag/share/radix.h    a directory of
 *                                                            them, in blocks
 */
#ifndef DAG_SHARE_H
#define DAG_SHARE_H

#include "dag/share/commit.h"
#include "dag/share/manifest.h"
#include "dag/share/radix.h"
#include "dag/share/seen.h"

#endif
