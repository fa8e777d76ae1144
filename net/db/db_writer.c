/* The thread behind db_post(). Callers append copies to a queue under a lock and go on; the
 * thread writes what has gathered in one transaction, because a durable commit costs the same for
 * one record as for many. It starts with the first post. */
#include "net/db/db_writer.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "net/base/thread.h"
#include "net/base/wait.h"

#include <stdlib.h>
#include <string.h>

/* The longest time for which one commit gathers posts that keep coming. */
#define DB_WRITER_BATCH_MS 50

/* One allocation: the struct, then table name with its NUL, key, value. */
struct post {
	struct post *next;
	const char *table;
	struct bytes key;
	struct bytes value; /* at is NULL: delete */
	bool hint;
};

struct db_writer {
	struct db *db;
	pthread_t thread;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t more;  /* for the thread: a post, or stop */
	pthread_cond_t done;  /* for flushers: written has grown */
	bool started, stop;
	struct post *first, **last;
	size_t queued, queued_bytes;
	uint64_t posted, written; /* since ever */
	int err;		  /* the first since the last flush */
	bool told;		  /* the log says that writing fails */
};

struct db_writer *db_writer_new(struct db *db)
{
	struct db_writer *writer = xnew(struct db_writer);

	writer->db = db;
	writer->last = &writer->first;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->more, NULL);
	pthread_cond_init(&writer->done, NULL);
	return writer;
}

static struct post *take_all(struct db_writer *writer)
{
	struct post *post = writer->first;

	writer->first = NULL;
	writer->last = &writer->first;
	writer->queued = 0;
	writer->queued_bytes = 0;
	return post;
}

/* Puts and frees the list; after an error it only frees. Returns how many there were, and adds
 * to hints how many of them were hints. */
static uint64_t writer_apply(struct db_txn *txn, struct post *post, uint64_t *hints, int *err)
{
	uint64_t count = 0;

	while (post) {
		struct post *next = post->next;

		if (!*err && post->value.at)
			*err = db_put(txn, post->table, post->key, post->value);
		else if (!*err)
			*err = db_del(txn, post->table, post->key);
		if (*err == -ENOENT)
			*err = 0; /* deleted already: what was asked for */
		*hints += post->hint;
		free(post);
		post = next;
		count++;
	}
	return count;
}

/* One transaction: post and what comes while it is being written. Returns how many, and how many of
 * them are hints. */
static uint64_t write_batch(struct db_writer *writer, struct post *post, uint64_t *hints, int *err)
{
	uint64_t end_ms = monotonic_ms() + DB_WRITER_BATCH_MS;
	uint64_t count = 0;
	struct db_txn *txn = NULL;

	*hints = 0;
	*err = db_begin(writer->db, true, &txn);
	while (post) {
		count += writer_apply(txn, post, hints, err);
		post = NULL;
		if (*err || monotonic_ms() >= end_ms)
			break;
		pthread_mutex_lock(&writer->lock);
		post = take_all(writer);
		pthread_mutex_unlock(&writer->lock);
	}
	if (*err)
		db_abort(txn);
	else
		*err = db_commit(txn);
	return count;
}

/* One line when writing begins to fail, not one a batch: a full disk fails for hours. Hints are
 * lost without a word. */
static void log_batch(struct db_writer *writer, uint64_t lost, int err)
{
	if (err && lost > 0 && !writer->told)
		log_error("db", "records lost count=%llu err=\"%s\"", (unsigned long long)lost,
			  err_text(err));
	writer->told = err && (writer->told || lost > 0);
}

/* The thread: takes all that is queued, writes it as one transaction, tells those that flush. */
static void *writer_run(void *arg)
{
	struct db_writer *writer = arg;

	pthread_mutex_lock(&writer->lock);
	for (;;) {
		while (!writer->first && !writer->stop)
			pthread_cond_wait(&writer->more, &writer->lock);
		struct post *post = take_all(writer);
		uint64_t hints;
		int err;

		if (!post)
			break;
		pthread_mutex_unlock(&writer->lock);
		uint64_t count = write_batch(writer, post, &hints, &err);

		log_batch(writer, count - hints, err);
		pthread_mutex_lock(&writer->lock);
		if (!writer->err)
			writer->err = err;
		writer->written += count;
		pthread_cond_broadcast(&writer->done);
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}

/* The lock is held. */
static int writer_start(struct db_writer *writer)
{
	int err = thread_start(&writer->thread, writer_run, writer);

	writer->started = !err;
	return err;
}

static struct post *post_new(const char *table, struct bytes key, struct bytes value)
{
	size_t table_len = strlen(table) + 1;
	struct post *post = malloc(sizeof *post + table_len + key.len + value.len);

	if (!post)
		return NULL;
	uint8_t *at = (uint8_t *)(post + 1);

	post->next = NULL;
	post->table = memcpy(at, table, table_len);
	at += table_len;
	post->key = bytes_of(memcpy(at, key.at, key.len), key.len);
	at += key.len;
	post->value = bytes_of(value.at ? at : NULL, value.len);
	if (value.len)
		memcpy(at, value.at, value.len);
	return post;
}

int db_writer_post(struct db_writer *writer, const char *table, struct bytes key,
		   struct bytes value, bool hint)
{
	struct post *post = post_new(table, key, value);
	int err = 0;

	if (!post)
		return -ENOMEM;
	post->hint = hint;
	pthread_mutex_lock(&writer->lock);
	if (writer->queued >= DB_POSTED_MAX ||
	    writer->queued_bytes + key.len + value.len > DB_POSTED_BYTES_MAX)
		err = -EAGAIN;
	else if (!writer->started)
		err = writer_start(writer);
	if (!err) {
		*writer->last = post;
		writer->last = &post->next;
		writer->queued++;
		writer->queued_bytes += key.len + value.len;
		writer->posted++;
		pthread_cond_signal(&writer->more);
	}
	pthread_mutex_unlock(&writer->lock);
	if (err)
		free(post);
	return err;
}

int db_writer_flush(struct db_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	uint64_t goal = writer->posted;

	while (writer->written < goal)
		pthread_cond_wait(&writer->done, &writer->lock);
	int err = writer->err;

	writer->err = 0;
	pthread_mutex_unlock(&writer->lock);
	return err;
}

void db_writer_free(struct db_writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	bool started = writer->started;

	writer->stop = true;
	pthread_cond_signal(&writer->more);
	pthread_mutex_unlock(&writer->lock);
	if (started)
		pthread_join(writer->thread, NULL);
	pthread_cond_destroy(&writer->done);
	pthread_cond_destroy(&writer->more);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}
