/* Which calls there are. */
#include "fs/api/api_runs.h"

const struct api_row *const api_rows[] = {
	&api_id,
	&api_swarm_connect,
	&api_swarm_disconnect,
	&api_swarm_peers,
	&api_swarm_addrs,
	&api_ping,
	&api_routing_findprovs,
	&api_routing_findpeer,
	&api_routing_provide,
	&api_bitswap_stat,
	&api_bitswap_wantlist,
	&api_bitswap_ledger,
	&api_stats,
	&api_log_level,
	&api_mount,
	&api_umount,
	&api_mount_wait,
	&api_mounts,
	&api_provide_changed,
	&api_shutdown,
	&api_shutdown_idle,
	NULL,
};
