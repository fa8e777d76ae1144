/* The network from the configuration: swarm, routers, exchange. Everything is made in the order
 * of the layers and closed in the reverse one. Loop thread. */
#include "fs/daemon/daemon_followed.h"
#include "fs/daemon/daemon_private.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"
#include "routing/names.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 1024 /* the swarm's own, if 0 is configured */

/* ---- the swarm ---- */

static uint64_t duration(const struct daemon *daemon, const char *key)
{
	return config_duration_ms(daemon->repo->config, key);
}

static size_t size(const struct daemon *daemon, const char *key)
{
	return (size_t)config_size(daemon->repo->config, key);
}

static unsigned daemon_net_count(const struct daemon *daemon, const char *key)
{
	return (unsigned)config_int(daemon->repo->config, key);
}

/* A list of addresses of the configuration, checked before; *count of them. The caller frees it. */
static struct multiaddr *addrs_of(const struct daemon *daemon, const char *key, size_t *count)
{
	json_t *list = config_get(daemon->repo->config, key), *item;
	struct multiaddr *addrs = xcalloc(json_array_size(list) + 1, sizeof(*addrs));
	size_t i, found = 0;

	json_array_foreach(list, i, item)
		if (multiaddr_from_text(&addrs[found], json_string_value(item)) == 0)
			found++;
	*count = found;
	return addrs;
}

/* How connections are secured, in the order that the configuration prefers. -EINVAL with *why if it
 * leaves nothing; -EIO. */
static int make_securities(struct daemon *daemon, struct security *out[static SECURITIES_MAX],
			   size_t *made, char **why)
{
	const struct config *config = daemon->repo->config;
	unsigned noise = config_priority(config, "Swarm.Transports.Security.Noise");
	unsigned tls = config_priority(config, "Swarm.Transports.Security.TLS");
	struct security *by_tls = tls ? security_tls_new(daemon->repo->identity) : NULL;
	struct security *by_noise =
		noise ? security_noise_new(daemon->repo->identity, &daemon->random) : NULL;

	*made = 0;
	if (by_tls && (!by_noise || tls < noise))
		out[(*made)++] = by_tls;
	if (by_noise)
		out[(*made)++] = by_noise;
	if (by_tls && by_noise && tls >= noise)
		out[(*made)++] = by_tls;
	if (tls && !by_tls)
		log_warn("daemon", "no TLS: OpenSSL cannot make a certificate");
	if (*made > 0)
		return 0;
	*why = xstrdup(
		tls ? "no certificate can be made, and Swarm.Transports.Security.Noise is false"
		    : "nothing secures connections: Swarm.Transports.Security.Noise and "
		      "Swarm.Transports.Security.TLS are both false");
	return tls ? -EIO : -EINVAL;
}

static int start_swarm(struct daemon *daemon, char **why)
{
	unsigned connections = daemon_net_count(daemon, "Swarm.ConnectionsMax");
	size_t instead, too, never, secured;
	struct security *securities[SECURITIES_MAX];
	int err = make_securities(daemon, securities, &secured, why);

	if (err)
		return err;
	struct multiaddr *announce = addrs_of(daemon, "Addresses.Announce", &instead);
	struct multiaddr *append = addrs_of(daemon, "Addresses.AppendAnnounce", &too);
	struct multiaddr *no = addrs_of(daemon, "Addresses.NoAnnounce", &never);
	struct swarm_config config = {
		.agent = CLI_AGENT,
		.connections_max = connections,
		.sockets_max = daemon_sockets_max(connections ? connections : CONNECTIONS_MAX),
		.low_water = daemon_net_count(daemon, "Swarm.ConnMgr.LowWater"),
		.high_water = daemon_net_count(daemon, "Swarm.ConnMgr.HighWater"),
		.grace_ms = duration(daemon, "Swarm.ConnMgr.GracePeriod"),
		.connect_timeout_ms = duration(daemon, "Swarm.ConnectTimeout"),
		.dial_timeout_ms = duration(daemon, "Swarm.DialTimeout"),
		.keepalive_ms = duration(daemon, "Swarm.KeepAlive"),
		.stream_window_max = size(daemon, "Swarm.StreamWindow"),
		.connection_window_max = size(daemon, "Swarm.ConnectionWindow"),
		.send_buffer_max = size(daemon, "Swarm.SendBuffer"),
		.up_per_second = size(daemon, "Swarm.Bandwidth.Up"),
		.down_per_second = size(daemon, "Swarm.Bandwidth.Down"),
		.securities = securities,
		.security_count = secured,
		.announce = announce,
		.announce_count = instead,
		.append_announce = append,
		.append_announce_count = too,
		.no_announce = no,
		.no_announce_count = never,
		.announce_loopback =
			config_bool(daemon->repo->config, "Routing.LoopbackAddressesOnLanDHT"),
	};

	daemon->swarm = swarm_new(daemon->loop, &daemon->random, daemon->repo->identity,
				  daemon->repo->db, &config);
	free(announce);
	free(append);
	free(no);
	return 0;
}

static char *cannot_listen(const char *addr, int err)
{
	if (err == -EADDRINUSE)
		return xasprintf("cannot listen on %s: another program, perhaps a daemon of "
				 "another repository, has that port; "
				 "free it, or choose another in Addresses.Swarm (`dagfs config "
				 "Addresses.Swarm`)",
				 addr);
	return xasprintf("cannot listen on %s, which Addresses.Swarm names: %s", addr,
			 err_text(err));
}

/* At least one of the addresses must do. */
static int listen_all(struct daemon *daemon, char **why)
{
	json_t *list = config_get(daemon->repo->config, "Addresses.Swarm"), *item;
	unsigned good = 0;
	size_t i;

	json_array_foreach(list, i, item) {
		struct multiaddr addr;
		int err = multiaddr_from_text(&addr, json_string_value(item));

		if (!err)
			err = swarm_listen(daemon->swarm, &addr);
		if (!err) {
			good++;
			continue;
		}
		log_warn("daemon", "cannot listen addr=%s err=%s", json_string_value(item),
			 err_text(err));
		if (!*why)
			*why = cannot_listen(json_string_value(item), err);
	}
	if (json_array_size(list) && !good)
		return -EADDRNOTAVAIL;
	free(*why);
	*why = NULL;
	return 0;
}

/* ---- routing ---- */

static size_t bootstrap_addrs(const struct daemon *daemon, struct multiaddr *addrs)
{
	json_t *list = config_get(daemon->repo->config, "Bootstrap"), *item;
	size_t i, found = 0;

	json_array_foreach(list, i, item)
		if (found < DAEMON_BOOTSTRAP_MAX &&
		    multiaddr_from_text(&addrs[found], json_string_value(item)) == 0)
			found++;
	return found;
}

/* Whether we answer in the public network: on our own judgement unless told. */
static enum kad_mode wan_mode(const char *type)
{
	if (strcmp(type, "dhtclient") == 0)
		return KAD_CLIENT;
	return strcmp(type, "dhtserver") == 0 ? KAD_SERVER : KAD_AUTO;
}

static struct announcer *announce_over(struct daemon *daemon, struct router *router,
				       const char *name)
{
	struct announcer_config config = {
		.name = name,
		.interval_ms = duration(daemon, "Reprovider.Interval"),
	};

	return announcer_new(router, daemon->loop, daemon->repo->db, &config);
}

/* Names that are followed here change at once where their owner tells us himself. */
static void on_value_told(void *ctx, struct bytes key, struct bytes value)
{
	struct daemon *daemon = ctx;

	if (daemon->names)
		names_heard(daemon->names, key, value);
}

/* Who follows a name can tell others, also when its owner has gone. */
static bool on_value_asked(void *ctx, struct bytes key, struct buf *value)
{
	struct daemon *daemon = ctx;

	return daemon->names && names_known(daemon->names, key, value);
}

static void start_routing(struct daemon *daemon)
{
	const char *type = config_str(daemon->repo->config, "Routing.Type");
	struct multiaddr *addrs = xcalloc(DAEMON_BOOTSTRAP_MAX, sizeof(*addrs));
	size_t found = bootstrap_addrs(daemon, addrs), parts = 0;
	struct composed_part list[2] = { 0 };
	struct kad_config config = {
		.protocol = "/ipfs/kad/1.0.0",
		.mode = wan_mode(type),
		.bootstrap = addrs,
		.bootstrap_count = found,
		.value_told = on_value_told,
		.value_known = on_value_asked,
		.value_ctx = daemon,
	};

	if (strcmp(type, "none") == 0)
		goto out;
	if (found || strcmp(type, "auto")) {
		daemon->wan = kad_new(daemon->swarm, daemon->repo->db, &config);
		daemon->wan_announcer = announce_over(daemon, daemon->wan, "wan");
		list[parts++].router = daemon->wan;
	}
	config.protocol = "/ipfs/lan/kad/1.0.0";
	config.lan = true;
	config.keep_loopback =
		config_bool(daemon->repo->config, "Routing.LoopbackAddressesOnLanDHT");
	/* Neighbours can always reach us. If the user wants a client, it is one for them, too. */
	config.mode = config.mode == KAD_CLIENT ? KAD_CLIENT : KAD_SERVER;
	config.bootstrap_count = 0;
	for (size_t i = 0; i < found; i++)
		if (multiaddr_scope(&addrs[i]) == SCOPE_PRIVATE ||
		    multiaddr_scope(&addrs[i]) == SCOPE_LOOPBACK)
			addrs[config.bootstrap_count++] = addrs[i];
	daemon->lan = kad_new(daemon->swarm, daemon->repo->db, &config);
	daemon->lan_announcer = announce_over(daemon, daemon->lan, "lan");
	list[parts++].router = daemon->lan;
	daemon->router = composed_new(daemon->loop, list, parts);
	routing_attach_finder(daemon->router, daemon->swarm);
out:
	free(addrs);
}

void daemon_provide_changed(struct daemon *daemon)
{
	daemon_followed_changed(daemon); /* what is followed changes with what is pinned */
	if (daemon->wan_announcer)
		announcer_changed(daemon->wan_announcer);
	if (daemon->lan_announcer)
		announcer_changed(daemon->lan_announcer);
}

/* ---- reachability ---- */

/* We ask whether we serve or not. */
static void start_autonat(struct daemon *daemon)
{
	const char *mode = config_str(daemon->repo->config, "AutoNAT.ServiceMode");
	struct autonat_config config = { .serve = strcmp(mode, "enabled") == 0 };

	daemon->autonat = autonat_new(daemon->swarm, &config);
}

/* ---- all of it ---- */

int daemon_net_start(struct daemon *daemon, char **why)
{
	struct exchange_config config = {
		.provider_delay_ms = duration(daemon, "Bitswap.ProviderDelay"),
		.rebroadcast_ms = duration(daemon, "Bitswap.Rebroadcast"),
		.serve_message_max = size(daemon, "Bitswap.MessageMax"),
		.serve_outstanding_max = size(daemon, "Bitswap.OutstandingMax"),
		.in_flight_max = size(daemon, "Bitswap.InFlightMax"),
		.wants_per_peer_max = daemon_net_count(daemon, "Bitswap.WantsPerPeerMax"),
	};
	int err = start_swarm(daemon, why);

	if (err)
		return err;
	if (!daemon->options->offline) {
		err = listen_all(daemon, why);
		if (err)
			return err;
		start_routing(daemon);
		start_autonat(daemon);
		daemon_peers_start(daemon);
	}
	daemon->exchange =
		exchange_new(daemon->swarm, daemon->router, daemon->repo->store, &config);
	daemon->fetcher = fetcher_of_exchange(daemon->exchange, daemon->loop);
	daemon_names_start(daemon);
	return 0;
}

static void stop_swarm(void *ctx)
{
	struct daemon *daemon = ctx;

	if (daemon->swarm)
		swarm_close(daemon->swarm, daemon->net_stopped, daemon);
	else /* it could not start */
		daemon->net_stopped(daemon);
}

static void on_router_closed(void *ctx)
{
	struct daemon *daemon = ctx;
	struct autonat *autonat = daemon->autonat;

	daemon->autonat = NULL;
	if (autonat)
		autonat_close(autonat, stop_swarm, daemon);
	else
		stop_swarm(daemon);
}

void daemon_net_stop(struct daemon *daemon, void (*done)(void *ctx))
{
	daemon_names_stop(daemon);
	daemon_peers_stop(daemon);
	fetcher_free(daemon->fetcher);
	if (daemon->exchange)
		exchange_free(daemon->exchange);
	struct router *router = daemon->router;

	announcer_free(daemon->wan_announcer);
	announcer_free(daemon->lan_announcer);
	daemon->wan_announcer = daemon->lan_announcer = NULL;
	daemon->router = daemon->wan = daemon->lan = NULL;
	daemon->fetcher = NULL;
	daemon->exchange = NULL;
	daemon->net_stopped = done;
	router_close(router, on_router_closed, daemon);
}

json_t *daemon_addrs(const struct daemon *daemon, bool listening, bool with_id)
{
	struct multiaddr *addrs = xcalloc(DAEMON_LISTEN_MAX, sizeof(*addrs));
	size_t max = listening ? DAEMON_LISTEN_MAX : DAEMON_ANNOUNCE_MAX;
	size_t found = listening ? swarm_interface_addrs(daemon->swarm, addrs, max)
				 : swarm_listen_addrs(daemon->swarm, addrs, max);
	json_t *list = json_array();
	char text[MULTIADDR_TEXT_MAX];

	for (size_t i = 0; i < found && i < max; i++) {
		if (with_id)
			multiaddr_add_peer(&addrs[i], swarm_self(daemon->swarm));
		json_array_append_new(list, json_string(multiaddr_text(&addrs[i], text)));
	}
	free(addrs);
	return list;
}
