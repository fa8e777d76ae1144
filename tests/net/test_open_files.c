/* No more open files: whoever connects waits, an address that could not be dialled is not to blame,
 * and sockets_max keeps some for others. */
#include "net/swarm/swarm.h"
#include "tests/net/raw_listener.h"
#include "tests/net/swarm_lab.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

/* Sets the soft limit so that no descriptor is free; the limit before. */
static struct rlimit starve(void)
{
	struct rlimit before, none;
	int fd = open("/dev/null", O_RDONLY);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)fd; /* the lowest that is free: all below are in use */
	close(fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	return before;
}

static void note(void *ctx, int err)
{
	lab_on_done(ctx, err);
}

static int dial_known(struct lab *lab, struct swarm *from, struct swarm *to)
{
	struct lab_outcome outcome = { 0 };

	swarm_connect(from, swarm_self(to), NULL, 0, lab_deadline(lab, 5000), note, &outcome);
	lab_until(lab, &outcome.done);
	return outcome.err;
}

static void dial_failed_for_lack_of_descriptors_does_not_back_off(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL), *b = lab_swarm(lab, 2, NULL, NULL);
	struct multiaddr addr = lab_addr(b);
	struct rlimit before;

	(void)state;
	swarm_add_addr(a, swarm_self(b), &addr, 60000);
	before = starve();
	assert_int_equal(dial_known(lab, a, b), -EAGAIN);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(dial_known(lab, a, b), 0);
	lab_free(lab);
}

static int connect_fd(int fd, const struct multiaddr *addr)
{
	struct sockaddr_storage to;

	assert_int_equal(multiaddr_to_sockaddr(addr, &to), 0);
	return connect(fd, (struct sockaddr *)&to, sizeof(struct sockaddr_in));
}

static void waiting_connections_are_accepted_when_descriptors_return(void **state)
{
	struct lab *lab = lab_new();
	struct swarm *a = lab_swarm(lab, 1, NULL, NULL);
	struct multiaddr addr = lab_addr(a);
	int early = socket(AF_INET, SOCK_STREAM, 0), late = socket(AF_INET, SOCK_STREAM, 0);
	struct rlimit before = starve();
	size_t most = 0;

	(void)state;
	assert_int_equal(connect_fd(early, &addr), 0);
	lab_run(lab, 200);
	assert_int_equal(a->pending_count, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(connect_fd(late, &addr), 0);
	for (unsigned i = 0; i < 1000 && most == 0; i++) {
		lab_run(lab, 5);
		most = a->pending_count;
	}
	assert_int_equal(most, 1);
	close(early);
	close(late);
	lab_free(lab);
}

static void no_more_sockets_are_used_than_allowed(void **state)
{
	struct swarm_config config = { .sockets_max = 8 };
	struct lab *lab = lab_new();
	struct swarm *hub = lab_swarm(lab, 1, &config, NULL), *leaf;
	struct multiaddr addr = lab_addr(hub);
	struct lab_outcome outcomes[10] = { 0 };

	(void)state;
	assert_int_equal(hub->config.connections_max, 7);
	for (uint8_t i = 0; i < 10; i++) {
		leaf = lab_swarm(lab, (uint8_t)(10 + i), NULL, NULL);
		swarm_connect(leaf, swarm_self(hub), &addr, 1, lab_deadline(lab, 9000), note,
			      &outcomes[i]);
	}
	for (unsigned i = 0; i < 60; i++) {
		lab_run(lab, 10);
		assert_true(hub->conn_count + hub->pending_count <= 7);
	}
	assert_int_equal(hub->conn_count, 7);
	/* Nor does it dial. */
	assert_int_equal(lab_connect(lab, hub, lab_swarm(lab, 30, NULL, NULL)), -EAGAIN);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dial_failed_for_lack_of_descriptors_does_not_back_off),
		cmocka_unit_test(waiting_connections_are_accepted_when_descriptors_return),
		cmocka_unit_test(no_more_sockets_are_used_than_allowed),
	};

	return cmocka_run_group_tests_name("net/open_files", tests, NULL, NULL);
}
