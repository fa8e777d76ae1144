/* Peers that stay: those of the configuration, of `swarm peering`, and those that a person
 * connected to. net/peering dials them; here are its start and the calls about it. Loop thread. */
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <stdlib.h>
#include <string.h>

#define OFFLINE "the daemon runs with --offline"

/* The addresses of an entry of Peering.Peers, without their /p2p; those of another peer are left
 * out. The caller frees them. */
static struct multiaddr *config_addrs(const json_t *list, const struct peer_id *peer, size_t *count)
{
	struct multiaddr *addrs = xcalloc(json_array_size(list) + 1, sizeof(*addrs));
	const json_t *item;
	size_t i, found = 0;

	json_array_foreach(list, i, item) {
		struct peer_id tail;

		if (multiaddr_from_text(&addrs[found], json_string_value(item)))
			continue;
		if (!multiaddr_split_peer(&addrs[found], &tail) || peer_id_equal(&tail, peer))
			found += addrs[found].len > 0;
	}
	*count = found;
	return addrs;
}

static void add_configured(struct daemon *daemon)
{
	const json_t *list = config_get(daemon->repo->config, "Peering.Peers"), *item;
	size_t i;

	json_array_foreach(list, i, item) {
		const char *text = json_string_value(json_object_get(item, "ID"));
		struct multiaddr *addrs;
		struct peer_id peer;
		size_t count;
		int err;

		if (peer_id_from_text(&peer, text))
			continue; /* was checked */
		addrs = config_addrs(json_object_get(item, "Addrs"), &peer, &count);
		err = peering_add(daemon->peering, &peer, addrs, count, PEERING_CONFIG);
		/* One list for all machines of a team has each of them, too. */
		if (err && err != -EINVAL)
			log_warn("daemon", "not kept: Peering.Peers peer=%s err=%s", text,
				 err_text(err));
		free(addrs);
	}
}

void daemon_peers_start(struct daemon *daemon)
{
	daemon->peering = peering_new(daemon->swarm, daemon->repo->db);
	add_configured(daemon);
	peering_start(daemon->peering);
}

void daemon_peers_stop(struct daemon *daemon)
{
	peering_free(daemon->peering);
	daemon->peering = NULL;
}

void daemon_peer_asked(struct daemon *daemon, const struct peer_id *peer,
		       const struct multiaddr *addr)
{
	if (daemon->peering)
		peering_add(daemon->peering, peer, addr, addr->len ? 1 : 0, PEERING_ASKED);
}

/* ---- calls ---- */

static bool need_peering(struct api_call *call)
{
	struct daemon *daemon = call->host;

	if (!daemon->peering)
		api_end(call, -ENOTSUP, OFFLINE);
	return daemon->peering != NULL;
}

static void item_done(struct api_call *call, const struct peer_id *peer)
{
	char text[PEER_ID_TEXT_MAX];

	api_item(call,
		 json_pack("{s:s, s:s}", "ID", peer_id_text(peer, text), "Status", "success"));
}

/* The peer and the address in the word at i, which was checked. */
static struct peer_id word_peer(const json_t *args, size_t i, struct multiaddr *addr)
{
	struct peer_id peer = { 0 };

	if (multiaddr_from_text(addr, api_word(args, i)) == 0)
		multiaddr_split_peer(addr, &peer);
	return peer;
}

/* All words that name the peer of the word at `first`; NULL: an earlier word did. */
static struct multiaddr *addrs_of_peer(const json_t *args, size_t first, struct peer_id *peer,
				       size_t *count)
{
	size_t words = api_word_count(args);
	struct multiaddr *addrs = xcalloc(words, sizeof(*addrs));

	*count = 0;
	*peer = word_peer(args, first, &addrs[0]);
	for (size_t i = 0; i < words; i++) {
		struct peer_id other = word_peer(args, i, &addrs[*count]);

		if (!peer_id_equal(&other, peer))
			continue;
		if (i < first) {
			free(addrs);
			return NULL;
		}
		*count += addrs[*count].len > 0;
	}
	return addrs;
}

static const char *add_why(int err)
{
	return err == -EINVAL	? "this is the peer id of this node itself"
	       : err == -EAGAIN ? "too many peers are kept already: `swarm peering rm` some"
				: err_text(err);
}

void daemon_run_peering_add(struct api_call *call)
{
	struct daemon *daemon = call->host;

	if (!need_peering(call))
		return;
	for (size_t i = 0; i < api_word_count(call->args); i++) {
		struct peer_id peer;
		size_t count;
		struct multiaddr *addrs = addrs_of_peer(call->args, i, &peer, &count);
		int err;

		if (!addrs)
			continue;
		err = peering_add(daemon->peering, &peer, addrs, count, PEERING_ADDED);
		free(addrs);
		if (err) {
			api_end(call, err, add_why(err));
			return;
		}
		item_done(call, &peer);
	}
	api_end(call, 0, NULL);
}

static void item_kept(void *ctx, const struct peering_peer *peer)
{
	char text[PEER_ID_TEXT_MAX];
	const char *why = peer->why & PEERING_CONFIG  ? "config"
			  : peer->why & PEERING_ADDED ? "added"
						      : "connect";

	api_item(ctx,
		 json_pack("{s:s, s:o, s:s, s:b, s:i, s:I}", "ID", peer_id_text(&peer->id, text),
			   "Addrs", daemon_addrs_json(peer->addrs, peer->addr_count, NULL), "Why",
			   why, "Connected", (int)peer->connected, "Attempts", (int)peer->attempts,
			   "NextSeconds", (json_int_t)((peer->next_ms + 999) / 1000)));
}

void daemon_run_peering_ls(struct api_call *call)
{
	struct daemon *daemon = call->host;

	if (daemon->peering)
		peering_each(daemon->peering, item_kept, call);
	api_end(call, 0, NULL);
}

/* As with Kubo, it is no error that a peer is not there. */
void daemon_run_peering_rm(struct api_call *call)
{
	struct daemon *daemon = call->host;

	if (!need_peering(call))
		return;
	for (size_t i = 0; i < api_word_count(call->args); i++) {
		struct peer_id peer = api_peer(call->args, i);

		peering_remove(daemon->peering, &peer,
			       PEERING_CONFIG | PEERING_ADDED | PEERING_ASKED);
		item_done(call, &peer);
	}
	api_end(call, 0, NULL);
}

/* A peer that `swarm connect` keeps is let go, also while it is away. */
void daemon_run_disconnect(struct api_call *call)
{
	struct daemon *daemon = call->host;

	for (size_t i = 0; i < api_word_count(call->args); i++) {
		struct peer_id id = api_peer(call->args, i);
		bool kept = daemon->peering && peering_remove(daemon->peering, &id, PEERING_ASKED);

		if (swarm_disconnect(daemon->swarm, &id) && !kept) {
			api_end(call, -ENOTCONN, "that peer is not connected");
			return;
		}
		api_item(call, json_sprintf("disconnect %s success",
					    api_peer_text(api_word(call->args, i))));
	}
	api_end(call, 0, NULL);
}
