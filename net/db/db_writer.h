/* The thread behind db_post(): private to db.c. Puts the posted records through db_begin(), many in
 * one commit. Any thread may post and flush. */
#ifndef NET_DB_DB_WRITER_H
#define NET_DB_DB_WRITER_H

#include "net/db/db.h"

struct db_writer;

/* Never NULL; its thread starts with the first post. */
struct db_writer *db_writer_new(struct db *db);
/* Writes what is queued, ends the thread, frees. NULL is ignored. */
void db_writer_free(struct db_writer *writer);

/* As db_post(), or db_post_hint() if hint is set, and db_flush(). */
int db_writer_post(struct db_writer *writer, const char *table, struct bytes key,
		   struct bytes value, bool hint);
int db_writer_flush(struct db_writer *writer);

#endif
