/* Bitswap messages that lack what most have (tests/README.md, row 2): every field is optional. */
#include "exchange/bitswap/msg.h"
#include "exchange/bitswap/server.h"
#include "net/wire/pb.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void no_wake(void *ctx)
{
	(void)ctx;
}

static int no_size(void *ctx, const struct cid *cid, size_t *size)
{
	(void)ctx;
	(void)cid;
	(void)size;
	return -ENOENT;
}

/* Checked, and served: nobody may crash, and nothing be wanted. */
static void take(struct bytes message, int want)
{
	static const struct bitswap_server_ops ops = { .wake = no_wake, .size = no_size };
	struct bitswap_server server;
	struct bitswap_summary summary;
	int err = bitswap_msg_check(message, &summary);

	assert_int_equal(err, want);
	if (err)
		return;
	bitswap_server_init(&server, 16, &ops, NULL);
	struct bitswap_server_peer *peer = bitswap_server_add(&server, NULL);

	bitswap_server_message(peer, message, &summary);
	assert_int_equal(peer->wants.count, 0);
	bitswap_server_remove(peer);
	bitswap_server_release(&server);
}

static void every_field_is_optional(void **state)
{
	struct buf message = { 0 }, inner = { 0 };

	(void)state;
	take(buf_bytes(&message), 0);
	pb_put_u64(&message, 5, 7); /* pendingBytes alone */
	take(buf_bytes(&message), 0);
	buf_clear(&message);
	pb_put_bytes(&message, 1, bytes_of(NULL, 0)); /* a wantlist without entries */
	take(buf_bytes(&message), 0);
	buf_clear(&message);
	pb_put_u64(&inner, 2, 1); /* full, without entries */
	pb_put_bytes(&message, 1, buf_bytes(&inner));
	take(buf_bytes(&message), 0);
	pb_put_bytes(&message, 99, bytes_str("from the future"));
	take(buf_bytes(&message), 0);
	buf_release(&message);
	buf_release(&inner);
}

/* An entry, a presence without a CID name nothing: refused, not read as something. */
static void what_names_nothing_is_refused(void **state)
{
	struct buf message = { 0 }, list = { 0 };

	(void)state;
	pb_put_bytes(&list, 1, bytes_of(NULL, 0)); /* an empty entry */
	pb_put_bytes(&message, 1, buf_bytes(&list));
	take(buf_bytes(&message), -EBADMSG);
	buf_clear(&message);
	pb_put_bytes(&message, 4, bytes_of(NULL, 0)); /* an empty presence */
	take(buf_bytes(&message), -EBADMSG);
	buf_release(&message);
	buf_release(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_optional),
		cmocka_unit_test(what_names_nothing_is_refused),
	};

	return cmocka_run_group_tests_name("exchange/advisories", tests, NULL, NULL);
}
