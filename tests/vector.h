/* What all tests share: vectors from files, bytes from hex and back. A test that cannot get its
 * vector fails: these never return NULL. */
#ifndef TESTS_VECTOR_H
#define TESTS_VECTOR_H

#include "net/base/bytes.h"

#include <jansson.h>

/* tests/vectors/<name>, parsed. The directory comes from $DAGFS_VECTORS, else tests/vectors under
 * the working directory. Release with json_decref(). */
json_t *vector_json(const char *name);
/* The same, as bytes; added to out. */
void vector_load(struct buf *out, const char *name);

/* Adds the bytes that hex tells; spaces between bytes are skipped. Fails the test on anything else.
 */
void hex_decode(struct buf *out, const char *hex);
/* Lower-case hex. Free with free(). */
char *hex_text(struct bytes bytes);

/* json's member key, which must be a string; borrowed. */
const char *vector_text(const json_t *json, const char *key);
/* Adds the bytes of json's member key, a string of hex. */
void vector_hex(struct buf *out, const json_t *json, const char *key);

#define assert_bytes_equal(a, b) assert_bytes_equal_at(a, b, __FILE__, __LINE__)
void assert_bytes_equal_at(struct bytes a, struct bytes b, const char *file, int line);

#endif
