/* Calls between dagfs's own processes: no command has their names, or the command does more than
 * the call. */
#include "fs/api/api_runs.h"

#include "fs/saved_mounts.h"
#include "net/base/alloc.h"

#include <stdlib.h>

static const struct option_spec mount_options[] = {
	{ "mountpoint", 0, OPTION_TEXT, "DIR", "its whole path", NULL },
	{ "root", 0, OPTION_TEXT, "CID", "the tree; without it every tree is found below ipfs/",
	  NULL },
	{ "share", 0, OPTION_INT, "ID", "the share whose tree is shown instead; 0: none", "0" },
	{ "name", 0, OPTION_TEXT, "ID", "the name that root was found by: it is followed", NULL },
	{ "rest", 0, OPTION_TEXT, "PATH", "of the path below the name", NULL },
	{ "source", 0, OPTION_TEXT, "TEXT", "what the mount table tells", NULL },
	{ "options", 0, OPTION_TEXT, "LIST", "options for the kernel", NULL },
	{ "allow_other", 0, OPTION_FLAG, NULL, "other users may read", "false" },
	{ "offline", 0, OPTION_FLAG, NULL, "only what is stored", "false" },
	{ 0 },
};

/* Ends when the mount answers; "timeout" is the mount's own. */
const struct api_row api_mount = {
	.command = { .name = "mount",
		     .args = "",
		     .summary = "mount a tree",
		     .options = mount_options },
	.run_daemon = daemon_run_mount,
};

static const struct option_spec umount_options[] = {
	{ "mountpoint", 0, OPTION_TEXT, "DIR", "its whole path", NULL },
	{ "force", 0, OPTION_FLAG, NULL, "also when it is in use", "false" },
	{ 0 },
};

const struct api_row api_umount = {
	.command = { .name = "umount",
		     .args = "",
		     .summary = "unmount a tree",
		     .options = umount_options },
	.run_daemon = daemon_run_umount,
};

static const struct option_spec wait_options[] = {
	{ "mountpoint", 0, OPTION_TEXT, "DIR", "its whole path", NULL },
	{ 0 },
};

const struct api_row api_mount_wait = {
	.command = { .name = "mount-wait",
		     .args = "",
		     .summary = "wait for the end of a mount",
		     .options = wait_options },
	.run_daemon = daemon_run_mount_wait,
};

static void mount_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s on %s\n", json_string_value(json_object_get(item, "Source")),
		json_string_value(json_object_get(item, "Mountpoint")));
}

/* Without a daemon nothing is mounted. */
static void run_mounts(struct api_call *call)
{
	api_end(call, 0, NULL);
}

const struct api_row api_mounts = {
	.command = { .name = "mounts", .args = "", .summary = "list mounts" },
	.flags = API_BARE,
	.head = "{\"Mounts\":[",
	.tail = "]}",
	.text = mount_text,
	.run = run_mounts,
	.run_daemon = daemon_run_mounts,
};

static void saved_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *options = api_member(item, "Options"), *reason = api_member(item, "Reason");
	bool offline = json_is_true(json_object_get(item, "Offline"));

	(void)args;
	fprintf(out, "%s on %s%s%s%s: %s", api_member(item, "Source"),
		api_member(item, "Mountpoint"), *options ? " -o " : "", options,
		offline ? " --offline" : "", api_member(item, "State"));
	if (*reason)
		fprintf(out,
			", tried %" JSON_INTEGER_FORMAT " times, next in %" JSON_INTEGER_FORMAT
			"s: %s",
			api_number(item, "Attempts"), api_number(item, "NextSeconds"), reason);
	putc('\n', out);
}

/* Without a daemon none is mounted. */
static void run_saved_mounts(struct api_call *call)
{
	const struct api_host *host = call->host;
	struct saved_mounts list;
	char *why = NULL;
	int err = saved_mounts_read(host->repo_path, &list, &why);

	for (size_t i = 0; i < list.count; i++) {
		const struct saved_mount *mount = &list.at[i];

		api_item(call, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s}", "Mountpoint",
					 mount->mountpoint, "Source",
					 mount->source ? mount->source : "dagfs", "Options",
					 mount->options, "Offline", (int)mount->offline, "State",
					 "unmounted", "Reason", ""));
	}
	saved_mounts_release(&list);
	api_end(call, err, why);
	free(why);
}

/* `mount --list`. */
const struct api_row api_saved_mounts = {
	.command = { .name = "mounts-saved", .args = "", .summary = "list saved mounts" },
	.flags = API_UNOPENED,
	.head = "{\"Mounts\":[",
	.tail = "]}",
	.text = saved_text,
	.run = run_saved_mounts,
	.run_daemon = daemon_run_saved_mounts,
};

static const struct option_spec find_options[] = {
	{ "no-cache", 0, OPTION_FLAG, NULL, "remembered records do not count", "false" },
	{ "records", 0, OPTION_INT, "COUNT", "that are enough; -1: all", "0" },
	{ "search-time", 0, OPTION_DURATION, "TIME", "the longest search; 0: the timeout", "0" },
	{ "stream", 0, OPTION_FLAG, NULL, "each better one, as it is found", "false" },
	{ 0 },
};

/* {"Value", "Record"}: the path in the best record that is known of a name, if it is text; the
 * record in base64. */
const struct api_row api_name_find = {
	.command = { .name = "name-find",
		     .args = "NAME",
		     .args_min = 1,
		     .args_max = 1,
		     .summary = "the record of a name",
		     .options = find_options },
	.words = API_PEERS,
	.flags = API_STREAMS,
	.run_daemon = daemon_run_name_find,
};

/* {"Told"}: the network took the record of our own name, which is stored. -ENOTSUP: there is none.
 */
const struct api_row api_name_tell = {
	.command = { .name = "name-tell",
		     .args = "NAME",
		     .args_min = 1,
		     .args_max = 1,
		     .summary = "tell the network of an own name" },
	.words = API_PEERS,
	.run_daemon = daemon_run_name_tell,
};

static const struct option_spec put_options[] = {
	{ "record", 0, OPTION_TEXT, "BASE64", "the record", NULL },
	{ 0 },
};

static char *check_put(const json_t *args)
{
	return api_text(args, "record") ? NULL : xstrdup("there is no record");
}

/* {"Told"}: how many took somebody's record. */
const struct api_row api_name_give = {
	.command = { .name = "name-give",
		     .args = "NAME",
		     .args_min = 1,
		     .args_max = 1,
		     .summary = "tell the network of a name",
		     .options = put_options },
	.words = API_PEERS,
	.check = check_put,
	.run_daemon = daemon_run_name_give,
};

const struct api_row api_provide_changed = {
	.command = { .name = "provide-changed",
		     .args = "",
		     .summary = "look again at what is to be announced" },
	.run_daemon = daemon_run_provide_changed,
};

const struct api_row api_shutdown = {
	.command = { .name = "shutdown", .args = "", .summary = "end the daemon" },
	.run_daemon = daemon_run_shutdown,
};

const struct api_row api_shutdown_idle = {
	.command = { .name = "shutdown-idle",
		     .args = "",
		     .summary = "end a daemon that nobody needs" },
	.run_daemon = daemon_run_shutdown_idle,
};
