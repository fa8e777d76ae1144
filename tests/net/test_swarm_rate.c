/* Limits of the whole swarm over real sockets: never faster, shared fairly, and small things pass.
 */
#include "tests/net/swarm_lab.h"

#define SINK "/test/sink/1.0.0"
#define READERS 3
#define PER_SECOND (4u << 20)
#define BURST (PER_SECOND / 10 + 256 * 1024) /* what a bucket saves up, and a turn more */

struct sink {
	struct stream *stream;
	size_t bytes;
	bool opened;
};

static void sink_data(void *ctx, struct stream *stream, struct bytes data)
{
	(void)stream;
	((struct sink *)ctx)->bytes += data.len;
}

static void sink_close(void *ctx, struct stream *stream, int err)
{
	(void)stream;
	(void)err;
	((struct sink *)ctx)->stream = NULL;
}

static const struct stream_events sink_events = { .on_data = sink_data, .on_close = sink_close };

static void on_stream(void *ctx, struct stream *stream)
{
	struct sink *sink = ctx;

	sink->opened = true;
	sink->stream = stream;
	stream_accept(stream, &sink_events, sink);
}

static void on_opened(void *ctx, int err, struct stream *stream, const char *protocol)
{
	(void)protocol;
	assert_int_equal(err, 0);
	on_stream(ctx, stream);
}

static void open_and_write(struct lab *lab, struct swarm *from, struct swarm *to, struct sink *near,
			   size_t len)
{
	static const char *const protocols[] = { SINK };
	uint8_t *data = xcalloc(1, len);

	swarm_open_stream(from, swarm_self(to), protocols, 1, lab_deadline(lab, 5000), on_opened,
			  near);
	lab_until(lab, &near->opened);
	stream_write(near->stream, bytes_of(data, len));
	free(data);
}

struct pong {
	bool done;
	int err;
};

static void on_pong(void *ctx, int err, uint64_t rtt_us)
{
	struct pong *pong = ctx;

	(void)rtt_us;
	pong->done = true;
	pong->err = err;
}

static size_t sum_of(const struct sink *sinks)
{
	size_t sum = 0;

	for (int i = 0; i < READERS; i++)
		sum += sinks[i].bytes;
	return sum;
}

/* Control frames go before what waits. */
static void ping(struct lab *lab, struct swarm *from, struct swarm *to)
{
	struct pong pong = { 0 };

	swarm_ping(from, swarm_self(to), lab_deadline(lab, 9000), on_pong, &pong);
	lab_until(lab, &pong.done);
	assert_int_equal(pong.err, 0);
}

/* The far ends have together got at most what the limit lets through since start_ms, and no one
 * much more than another; new connections come up meanwhile. pinged (not NULL) answers; a reader
 * that is slow on purpose is not asked to: the kernels' buffers are before the answer. */
static void watch(struct lab *lab, struct swarm *hub, struct swarm *pinged, const struct sink *far)
{
	uint64_t start_ms = lab_deadline(lab, 0);
	size_t before = sum_of(far), first[READERS];

	for (int i = 0; i < READERS; i++)
		first[i] = far[i].bytes;
	for (int round = 0; round < 4; round++) {
		lab_run(lab, 250);
		if (pinged)
			ping(lab, hub, pinged);
		uint64_t ms = lab_deadline(lab, 0) - start_ms;

		assert_true(sum_of(far) - before <= PER_SECOND * ms / 1000 + BURST);
	}
	for (int i = 0; i < READERS; i++)
		assert_true((far[i].bytes - first[i]) * 2 > (sum_of(far) - before) / READERS);
	assert_int_equal(lab_connect(lab, lab_swarm(lab, 100, NULL, NULL), hub), 0);
}

static void run(const struct swarm_config *config, bool to_hub)
{
	struct lab *lab = lab_new();
	struct swarm *hub = lab_swarm(lab, 1, config, NULL), *others[READERS];
	struct sink near[READERS] = { 0 }, far[READERS] = { 0 };

	for (int i = 0; i < READERS; i++) {
		others[i] = lab_swarm(lab, (uint8_t)(i + 2), NULL, NULL);
		struct swarm *from = to_hub ? others[i] : hub, *to = to_hub ? hub : others[i];

		assert_int_equal(lab_connect(lab, from, to), 0);
		if (to_hub && i > 0)
			swarm_unhandle(hub, SINK);
		assert_int_equal(swarm_handle(to, SINK, 8, on_stream, &far[i]), 0);
		lab_run(lab, 50);
		open_and_write(lab, from, to, &near[i], 16u << 20);
		lab_until(lab, &far[i].opened);
	}
	watch(lab, hub, to_hub ? NULL : others[0], far);
	lab_free(lab);
}

static void writing_is_limited(void **state)
{
	struct swarm_config config = { .up_per_second = PER_SECOND };

	(void)state;
	run(&config, false);
}

static void reading_is_limited(void **state)
{
	struct swarm_config config = { .down_per_second = PER_SECOND };

	(void)state;
	run(&config, true);
}

/* Far below what a handshake needs in a blink: it is slow, and everything works. */
static void slow_limits_work(void **state)
{
	struct swarm_config config = { .up_per_second = 20000, .down_per_second = 20000 };
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, &config, NULL), *b = lab_swarm(lab, 2, &config, NULL);
	struct sink near = { 0 }, far = { 0 };

	(void)state;
	assert_int_equal(swarm_handle(b, SINK, 8, on_stream, &far), 0);
	assert_int_equal(lab_connect(lab, a, b), 0);
	open_and_write(lab, a, b, &near, 8000);
	for (int i = 0; i < 100 && far.bytes < 8000; i++)
		lab_run(lab, 100);
	assert_int_equal(far.bytes, 8000);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writing_is_limited),
		cmocka_unit_test(reading_is_limited),
		cmocka_unit_test(slow_limits_work),
	};

	return cmocka_run_group_tests_name("net/swarm_rate", tests, NULL, NULL);
}
