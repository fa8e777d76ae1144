/* What tests of the codecs share: one value from hex or text to hex or text. */
#ifndef TESTS_DAG_IPLD_CHECK_H
#define TESTS_DAG_IPLD_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dag/ipld/cbor.h"
#include "dag/ipld/dagjson.h"
#include "dag/ipld/ipld.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "tests/vector.h"

#include <stdio.h>
#include <stdlib.h>

/* Decodes hex as DAG-CBOR. */
static inline int check_cbor(const char *hex, unsigned flags)
{
	struct ipld tree = { 0 };
	struct buf in = { 0 };
	int err;

	hex_decode(&in, hex);
	err = cbor_decode(&tree, buf_bytes(&in), flags);
	if (err)
		assert_int_equal(tree.count, 0);
	ipld_release(&tree);
	buf_release(&in);
	return err;
}

/* The canonical text of what text says; NULL when it is refused. free(). */
static inline char *check_json(const char *text, unsigned flags)
{
	struct ipld tree = { 0 };
	struct buf out = { 0 };
	char *made = NULL;

	if (dagjson_decode(&tree, bytes_str(text), flags))
		return NULL;
	if (dagjson_encode(&tree, tree.nodes, flags, &out) == 0)
		made = buf_take_text(&out);
	buf_release(&out);
	ipld_release(&tree);
	return made;
}

#endif
