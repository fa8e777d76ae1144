/* A thread that walks a tree ahead of somebody who reads it in the order of a walk (depth first), so that the reader
 * finds blocks there instead of asking for one directory after the other. */
#ifndef DAG_SCOUT_H
#define DAG_SCOUT_H

#include "exchange/exchange.h"

#define SCOUT_BYTES_MAX (64u << 20) /* ahead of the reader */

struct dag_scout;

/* NULL when nothing can be fetched, or no thread be had: reading works without. blocks outlives it. Any thread. */
struct dag_scout *dag_scout_start(struct blocks *blocks, const struct cid *root);
/* The reader has read so many bytes more of files. NULL is ignored. */
void dag_scout_follow(struct dag_scout *scout, uint64_t bytes);
/* Ends the thread. NULL is ignored. */
void dag_scout_stop(struct dag_scout *scout);

#endif
