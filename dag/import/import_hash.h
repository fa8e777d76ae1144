/* Threads that hash leaves beside the reading: jobs are given in order, finish in any, and are
 * collected in order. Give, take and free on one thread. */
#ifndef DAG_IMPORT_HASH_H
#define DAG_IMPORT_HASH_H

#include "dag/import/import_leaf.h"

#define HASH_BYTES_MAX (16u << 20) /* in jobs not yet collected */
#define HASH_JOBS_MAX 8192
#define HASH_INLINE_MAX 32768 /* smaller ones cost less than handing them over */

struct import_entry;

enum job_kind { JOB_LEAF, JOB_DONE /* entry has all its parts */ };

struct job {
	struct job *next;      /* in order given */
	struct job *next_work; /* waiting for a thread */
	enum job_kind kind;
	struct import_entry *entry;
	struct leaf *leaf; /* owned */
	struct bytes data; /* the block, within leaf */
	uint64_t codec;
	unsigned version;
	struct cid cid; /* the result */
	int err;
	atomic_bool ready;
};

struct hash_pool;

/* Threads start with the first large job: config->threads of them. Borrows config. */
struct hash_pool *hash_pool_new(const struct import_config *config);
/* Waits for the jobs that run; drops all that were not taken. */
void hash_pool_free(struct hash_pool *pool);

/* Takes job (from xnew). */
void hash_give(struct hash_pool *pool, struct job *job);
/* The oldest job when it is ready, else NULL; with must_wait it waits for it (NULL: none left). The
 * caller frees it. */
struct job *hash_take(struct hash_pool *pool, bool must_wait);
/* Too much is under way: take with must_wait before giving more. */
bool hash_full(const struct hash_pool *pool);
void job_free(struct job *job);

#endif
