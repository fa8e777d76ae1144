/* swarm peering: peers that the daemon stays connected to. What the calls take, and their items as
 * text; the daemon answers them on its loop (fs/daemon/daemon_peers.c). */
#include "fs/api/api_runs.h"

#include "net/base/alloc.h"

#include <inttypes.h>

static char *check_add(const json_t *args)
{
	for (size_t i = 0; i < api_word_count(args); i++) {
		struct multiaddr addr;
		struct peer_id peer;

		if (multiaddr_from_text(&addr, api_word(args, i)) ||
		    !multiaddr_split_peer(&addr, &peer))
			return xasprintf("an address that ends with /p2p/PEER is needed, not '%s'",
					 api_word(args, i));
	}
	return NULL;
}

static void add_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "add %s %s\n", api_member(item, "ID"), api_member(item, "Status"));
}

const struct api_row api_swarm_peering_add = {
	.command = { "swarm peering add", "ADDRESS...", 1, -1,
		     "stay connected to peers: /ip4/A.B.C.D/tcp/PORT/p2p/ID, or /p2p/ID",
		     "They are dialled now, at each start and after each loss, until `swarm "
		     "peering "
		     "rm`. The\n"
		     "addresses replace those that were given before.",
		     NULL, NULL },
	.flags = API_TELLS_ALL,
	.check = check_add,
	.text = add_text,
	.run_daemon = daemon_run_peering_add,
};

static const struct option_spec ls_options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL, "why each is kept and how it stands too", NULL },
	{ 0 },
};

static void print_state(FILE *out, const json_t *peer)
{
	fprintf(out, " %s", api_member(peer, "Why"));
	if (json_is_true(json_object_get(peer, "Connected")))
		fprintf(out, " connected");
	else
		fprintf(out,
			" lost attempts=%" JSON_INTEGER_FORMAT " next=%" JSON_INTEGER_FORMAT "s",
			api_number(peer, "Attempts"), api_number(peer, "NextSeconds"));
}

static void ls_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *addr;
	size_t i;

	fprintf(out, "%s", api_member(item, "ID"));
	if (api_flag(args, "verbose"))
		print_state(out, item);
	putc('\n', out);
	json_array_foreach(json_object_get(item, "Addrs"), i, addr)
		fprintf(out, "\t%s\n", json_string_value(addr));
}

const struct api_row api_swarm_peering_ls = {
	.command = { "swarm peering ls", "", 0, 0,
		     "list the peers that the daemon stays connected to",
		     "Those of Peering.Peers, of `swarm peering add`, and those that somebody "
		     "connected to with\n"
		     "`swarm connect`.",
		     ls_options, NULL },
	.head = "{\"Peers\":[",
	.tail = "]}",
	.text = ls_text,
	.run_daemon = daemon_run_peering_ls,
};

static void rm_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "remove %s %s\n", api_member(item, "ID"), api_member(item, "Status"));
}

const struct api_row api_swarm_peering_rm = {
	.command = { "swarm peering rm", "PEER...", 1, -1, "stay connected to peers no longer",
		     "Their connections stay open until somebody closes them. Those of "
		     "Peering.Peers "
		     "come back\n"
		     "with the next start of the daemon.",
		     NULL, NULL },
	.words = API_PEERS,
	.flags = API_TELLS_ALL,
	.text = rm_text,
	.run_daemon = daemon_run_peering_rm,
};
