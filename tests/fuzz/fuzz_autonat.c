/* The input is what a peer sends: every decoder as one message, then both sides of a request as a
 * stream in two pieces. */
#include "net/nat/autonat/autonat_probe.h"
#include "net/nat/autonat/autonat_serve.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

static void decode(struct bytes in)
{
	struct autonat_v1_msg v1;
	struct autonat_msg msg;
	struct multiaddr from, addrs[AUTONAT_V1_ADDRS_MAX];
	uint64_t nonce;

	if (autonat_msg_decode(&msg, in) == 0)
		assert(msg.addr_count <= AUTONAT_ADDRS_MAX);
	autonat_msg_decode_back(&nonce, in);
	multiaddr_from_text(&from, "/ip4/8.8.8.8/tcp/1");
	if (autonat_msg_decode_v1(&v1, in) == 0) {
		size_t count = autonat_serve_v1_addrs(&v1, &from, false, addrs);

		for (size_t i = 0; i < count; i++)
			assert(multiaddr_same_ip(&addrs[i], &from));
	}
}

static void serve(struct bytes in, size_t cut)
{
	struct autonat_limit limit = { 0 };
	struct random random = random_seeded(1);
	struct autonat_serve serve = { .random = &random, .data_limit = &limit };
	struct buf out = { 0 };

	multiaddr_from_text(&serve.from, "/ip4/8.8.8.8/tcp/1");
	if (autonat_serve_feed(&serve, bytes_of(in.at, cut), 1, &out) == 0)
		autonat_serve_feed(&serve, bytes_skip(in, cut), 2, &out);
	/* Nobody is dialled whom the world cannot reach, and others than the asker for pay only. */
	if (serve.state == SERVE_DIAL) {
		assert(multiaddr_scope(&serve.addr) == SCOPE_PUBLIC);
		assert(multiaddr_same_ip(&serve.addr, &serve.from) || in.len > AUTONAT_DATA_MIN);
	}
	assert(out.len <= 64);
	autonat_serve_release(&serve);
	buf_release(&out);
}

static void ask(struct bytes in, size_t cut)
{
	struct autonat_probe probe = { .count = 2, .bound = { true, false } };
	struct buf out = { 0 };

	multiaddr_from_text(&probe.addrs[0], "/ip4/8.8.8.8/tcp/1");
	multiaddr_from_text(&probe.addrs[1], "/ip4/8.8.4.4/tcp/1");
	autonat_probe_start(&probe, 7, &out);
	buf_clear(&out);
	if (autonat_probe_feed(&probe, bytes_of(in.at, cut), &out) == 0)
		autonat_probe_feed(&probe, bytes_skip(in, cut), &out);
	assert(probe.index < probe.count && probe.state != PROBE_GOOD);
	assert(out.len <= AUTONAT_DATA_MAX + 1024);
	autonat_probe_release(&probe);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	size_t cut = len ? at[0] % len : 0;
	struct bytes in = bytes_of(at, len);

	decode(in);
	if (len > 0)
		decode(bytes_skip(in, 1)); /* without a frame's length of one byte */
	serve(in, cut);
	ask(in, cut);
	return 0;
}
