/* The functions behind the rows, by the files that have them. */
#ifndef FS_API_API_RUNS_H
#define FS_API_API_RUNS_H

#include "fs/api/api.h"

/* api_net.c, api_stats.c, api_store.c, api_verify.c */
extern const struct api_row api_id, api_swarm_connect, api_swarm_disconnect, api_swarm_peers,
	api_swarm_addrs, api_ping;
/* api_peering.c */
extern const struct api_row api_swarm_peering_add, api_swarm_peering_ls, api_swarm_peering_rm;
extern const struct api_row api_routing_findprovs, api_routing_findpeer, api_routing_provide;
extern const struct api_row api_bitswap_stat, api_bitswap_wantlist, api_bitswap_ledger, api_stats,
	api_log_level;
extern const struct api_row api_version, api_repo_stat, api_repo_gc, api_repo_verify;
/* api_pin.c, api_pin_ls.c, api_pin_verify.c */
extern const struct api_row api_pin_add, api_pin_update, api_pin_rm, api_pin_ls, api_pin_verify;
/* api_add.c, api_config.c */
extern const struct api_row api_add, api_config;
/* api_cat.c, api_ls.c, api_block.c, api_dag.c, api_dag_stat.c, api_car.c */
extern const struct api_row api_cat, api_get, api_ls;
extern const struct api_row api_block_get, api_block_put, api_block_stat, api_block_rm;
extern const struct api_row api_dag_get, api_dag_put, api_dag_stat, api_dag_export, api_dag_import;
/* api_key.c */
extern const struct api_row api_key_gen, api_key_list, api_key_rename, api_key_rm, api_key_import,
	api_key_export;
/* api_resolve.c, api_name.c, api_name_record.c */
extern const struct api_row api_resolve_path;
extern const struct api_row api_name_publish, api_name_resolve_row, api_name_inspect, api_name_get,
	api_name_put;
/* api_share.c, api_share_work.c */
extern const struct api_row api_share_create, api_share_ls, api_share_info, api_share_status,
	api_share_sync, api_share_set, api_share_rm;
/* api_history.c */
extern const struct api_row api_log, api_diff, api_restore;
/* api_files.c, api_files_names.c, api_files_show.c, api_files_data.c, api_files_write.c */
extern const struct api_row api_files_cp, api_files_mkdir, api_files_stat, api_files_rm,
	api_files_ls, api_files_read, api_files_write, api_files_mv, api_files_flush,
	api_files_chcid, api_files_touch, api_files_chmod, api_files_put;
/* api_inner.c */
extern const struct api_row api_mount, api_umount, api_mount_wait, api_mounts, api_saved_mounts;
extern const struct api_row api_name_find, api_name_tell, api_name_give, api_provide_changed,
	api_shutdown, api_shutdown_idle;

/* fs/daemon/daemon_calls.c: answered at once */
api_run_fn daemon_run_id, daemon_run_peers, daemon_run_addrs;
api_run_fn daemon_run_bitswap_stat, daemon_run_wantlist, daemon_run_ledger, daemon_run_stats;
api_run_fn daemon_run_log_level, daemon_run_provide_changed, daemon_run_shutdown,
	daemon_run_shutdown_idle;
/* fs/daemon/daemon_ops.c: wait for the network */
api_run_fn daemon_run_connect, daemon_run_ping, daemon_run_findprovs, daemon_run_findpeer,
	daemon_run_provide;
/* fs/daemon/daemon_names.c */
api_run_fn daemon_run_name_find, daemon_run_name_tell, daemon_run_name_give;
/* fs/daemon/daemon_peers.c */
api_run_fn daemon_run_disconnect, daemon_run_peering_add, daemon_run_peering_ls,
	daemon_run_peering_rm;
/* fs/daemon/daemon_mounts.c */
api_run_fn daemon_run_mount, daemon_run_umount, daemon_run_mount_wait, daemon_run_mounts;
/* fs/daemon/daemon_jobs.c: the row's run, on a thread of the daemon: for calls that work on the
 * trees that it has open. */
api_run_fn daemon_run_job;
/* fs/daemon/daemon_saved.c */
api_run_fn daemon_run_saved_mounts;

#endif
