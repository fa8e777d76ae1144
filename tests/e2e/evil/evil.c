/* evil VERB ADDRESS/p2p/ID [NUMBER...]: does it, prints "done key=value ...", holds its connections
 * until its input ends, and prints "held asked=N". */
#include "tests/e2e/evil/evil.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIFE_SECONDS 600

const char *const evil_protocols[] = { ID_PROTOCOL, PUSH_PROTOCOL, PING_PROTOCOL, BITSWAP_PROTOCOL,
				       NULL };

static const struct {
	const char *name;
	evil_fn *fn;
} verbs[] = {
	{ "halfopen", evil_halfopen }, { "silent", evil_silent }, { "streams", evil_streams },
	{ "window", evil_window },     { "bigsyn", evil_bigsyn }, { "pings", evil_pings },
	{ "churn", evil_churn },       { "halves", evil_halves }, { "flip", evil_flip },
	{ "lengths", evil_lengths },   { "names", evil_names },	  { "forge", evil_forge },
	{ "identify", evil_identify }, { "puts", evil_puts },	  { "provides", evil_provides },
	{ "kadflood", evil_kadflood }, { "kadlie", evil_kadlie }, { "varints", evil_varints },
	{ "garbage", evil_garbage },   { "wants", evil_wants },	  { "unwanted", evil_unwanted },
	{ "deaf", evil_deaf },	       { "loris", evil_loris },	  { "liar", evil_liar },
	{ "tease", evil_tease },       { "dier", evil_dier },
};

unsigned long evil_number(char **words, size_t at, unsigned long otherwise)
{
	for (size_t i = 0; i < at; i++)
		if (!words[i])
			return otherwise;
	return words[at] ? strtoul(words[at], NULL, 10) : otherwise;
}

struct link *crew_dial(struct crew *crew, const struct manners *manners)
{
	struct link *link = link_dial(&crew->target, manners);

	if (link)
		list_add_tail(&crew->links, &link->node);
	return link;
}

void crew_pump(struct crew *crew, int ms)
{
	list_for_each(link, &crew->links, struct link, node)
		link_pump(link, 0);
	poll(NULL, 0, ms);
}

static bool let_go(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	char byte;

	return poll(&in, 1, 0) > 0 && read(0, &byte, 1) <= 0;
}

static void crew_free(struct crew *crew)
{
	list_for_each_safe(link, &crew->links, struct link, node)
		link_free(link);
	for (size_t i = 0; i < crew->fd_count; i++)
		close(crew->fds[i]);
	free(crew->fds);
}

static int set_target(struct target *target, const char *text)
{
	struct multiaddr addr;

	if (multiaddr_from_text(&addr, text) != 0 || !multiaddr_split_peer(&addr, &target->peer))
		return -EINVAL;
	return multiaddr_to_sockaddr(&addr, &target->addr);
}

static void do_verb(struct crew *crew, evil_fn *fn, char **words)
{
	printf("done");
	fn(crew, words);
	printf("\n");
	fflush(stdout);
	while (!let_go()) {
		crew_pump(crew, 5);
		if (crew->tick)
			crew->tick(crew);
	}
	printf("held asked=%lu\n", crew->asked);
	crew_free(crew);
}

int main(int argc, char **argv)
{
	struct crew crew = { 0 };

	list_init(&crew.links);
	signal(SIGPIPE, SIG_IGN);
	alarm(LIFE_SECONDS);
	if (argc < 3 || set_target(&crew.target, argv[2]) != 0) {
		fprintf(stderr, "evil VERB ADDRESS/p2p/ID [NUMBER...]\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(verbs[i].name, argv[1]) == 0) {
			do_verb(&crew, verbs[i].fn, argv + 3);
			return 0;
		}
	fprintf(stderr, "no such verb: %s\n", argv[1]);
	return 2;
}
