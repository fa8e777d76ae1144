/* A thread that walks a tree ahead of a reader that goes through it depth first, so that blocks are
 * there when the reader needs them. */
#ifndef DAG_SCOUT_H
#define DAG_SCOUT_H

#include "exchange/exchange.h"

#define SCOUT_BYTES_MAX (64u << 20) /* ahead of the reader */

struct dag_scout;

/* Starts one. NULL: nothing can be fetched, or there is no thread; reading works without. blocks
 * outlives it. Any thread. */
struct dag_scout *dag_scout_start(struct blocks *blocks, const struct cid *root);
/* Tells that the reader has read this many more bytes of files. NULL is ignored. */
void dag_scout_follow(struct dag_scout *scout, uint64_t bytes);
/* Ends the thread. NULL is ignored. */
void dag_scout_stop(struct dag_scout *scout);

#endif
