/* version, repo stat, repo gc: what is asked of the repository alone. Collections of all processes
 * take turns by a lock file. Blocking, on the thread that asks. */
#include "fs/api/api_runs.h"

#include "dag/tree.h"
#include "fs/cli_text.h"
#include "fs/repo.h"
#include "fs/repo_place.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define TURN_LOOK_MS 50 /* how often another collection is looked for that may have ended */

/* ---- version ---- */

static const struct option_spec version_options[] = {
	{ "number", 'n', OPTION_FLAG, NULL, "only the number", NULL },
	{ 0 },
};

static void run_version(struct api_call *call)
{
	api_item(call, json_pack("{s:s}", "Version", CLI_VERSION));
	api_end(call, 0, NULL);
}

static void version_text(FILE *out, const json_t *args, const json_t *item)
{
	fprintf(out, "%s%s\n", api_flag(args, "number") ? "" : "dagfs version ",
		api_member(item, "Version"));
}

const struct api_row api_version = {
	.command = { "version", "", 0, 0, "show the version", NULL, version_options, NULL },
	.flags = API_BARE,
	.text = version_text,
	.run = run_version,
};

/* ---- repo stat ---- */

static const struct option_spec repo_stat_options[] = {
	{ "size-only", 's', OPTION_FLAG, NULL, "only RepoSize and StorageMax", NULL },
	{ "human", 'H', OPTION_FLAG, NULL, "sizes for people", NULL },
	{ 0 },
};

static void run_repo_stat(struct api_call *call)
{
	struct repo *repo = api_repo(call);
	struct store_stat stat;
	int err = store_stat(repo->store, &stat);

	if (err) {
		api_fail(call, err, "cannot look into the store");
		return;
	}
	api_item(call,
		 json_pack("{s:I, s:I, s:I, s:o, s:o, s:I, s:I}", "RepoSize",
			   (json_int_t)stat.disk_bytes, "StorageMax", (json_int_t)stat.quota_bytes,
			   "NumObjects", (json_int_t)stat.blocks, "RepoPath",
			   json_string_nocheck(repo->path), "Version",
			   json_sprintf("dagfs-repo@%u", stat.version), "KeptSize",
			   (json_int_t)stat.kept_disk_bytes, "CacheSize",
			   (json_int_t)stat.cache_disk_bytes));
	api_end(call, 0, NULL);
}

static void print_size(FILE *out, const json_t *args, const json_t *item, const char *name)
{
	uint64_t bytes = (uint64_t)api_number(item, name);
	char label[32], text[32];

	snprintf(label, sizeof(label), "%s:", name);
	if (api_flag(args, "human"))
		fprintf(out, "%-11s %s\n", label, progress_size(bytes, text));
	else
		fprintf(out, "%-11s %" PRIu64 "\n", label, bytes);
}

static void repo_stat_text(FILE *out, const json_t *args, const json_t *item)
{
	const char *path = api_member(item, "RepoPath");
	bool all = !api_flag(args, "size-only");
	char safe[PATH_MAX];

	if (all)
		fprintf(out, "%-11s %" JSON_INTEGER_FORMAT "\n",
			"NumObjects:", api_number(item, "NumObjects"));
	print_size(out, args, item, "RepoSize");
	print_size(out, args, item, "StorageMax");
	if (!all)
		return;
	fprintf(out, "%-11s %s\n%-11s %s\n",
		"RepoPath:", cli_safe(safe, sizeof(safe), path, strlen(path)),
		"Version:", api_member(item, "Version"));
	print_size(out, args, item, "KeptSize");
	print_size(out, args, item, "CacheSize");
}

const struct api_row api_repo_stat = {
	.command = { "repo stat", "", 0, 0, "how much is stored",
		     "KeptSize is what was added or pinned, CacheSize what was fetched by "
		     "reading;\n"
		     "StorageMax limits that, 0: no limit.",
		     repo_stat_options, NULL },
	.text = repo_stat_text,
	.run = run_repo_stat,
};

/* ---- repo gc ---- */

static const struct option_spec gc_options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs", NULL },
	{ "silent", 0, OPTION_FLAG, NULL, "print nothing", NULL },
	{ 0 },
};

static int lock_turn(struct api_call *call, int fd)
{
	struct api_host *host = call->host;
	int err = 0;

	while (!err && flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? wait_sleep(host->wait(host, TURN_LOOK_MS)) : -errno;
		if (err == -ETIMEDOUT)
			err = 0;
	}
	return err;
}

/* Collections follow each other, and one that waits can be given up: held until the returned
 * descriptor is closed; -1 after the end of the call. */
static int gc_turn(struct api_call *call)
{
	const char *path = api_repo(call)->path;
	int fd = repo_lock_file(path, REPO_GC_TURN), err;

	if (fd < 0) {
		api_fail_file(call, fd, "cannot open %s/%s", path, REPO_GC_TURN);
		return -1;
	}
	err = lock_turn(call, fd);
	if (err) {
		api_fail_file(call, err, "cannot lock %s/%s", path, REPO_GC_TURN);
		close(fd);
		return -1;
	}
	return fd;
}

static void on_gone(void *ctx, struct bytes multihash, size_t len)
{
	struct api_call *call = ctx;
	char text[CID_TEXT_MAX];

	(void)len;
	if (!api_flag(call->args, "silent"))
		api_item(call, json_pack("{s:{s:s}}", "Key", "/",
					 api_hash_text(call->args, multihash, text)));
}

/* After a loss of records nobody knows all that must stay. False after the end of the call. */
static bool may_collect(struct api_call *call)
{
	struct repo *repo = api_repo(call);
	struct db_salvage salvage;

	if (repo_salvaged(repo, &salvage) && repo_salvage_lost(&salvage))
		api_refuse(call, -EIO,
			   "pins may have been lost: `dagfs repo verify` tells more, then "
			   "look at `dagfs pin ls`");
	else if (repo_shares_salvaged(repo, &salvage) && repo_salvage_lost(&salvage))
		api_refuse(call, -EIO,
			   "records of shares may have been lost: `dagfs repo verify` tells more, "
			   "then look at the shares");
	else
		return true;
	return false;
}

static void run_gc(struct api_call *call)
{
	struct sweep_source sources[REPO_SOURCES_MAX];
	uint64_t removed, freed;
	size_t count;
	int turn, err = repo_sweep_sources(api_repo(call), sources, &count);

	if (err) {
		api_fail(call, err, "cannot read what shares keep");
		return;
	}
	if (!may_collect(call))
		return;
	turn = gc_turn(call);
	if (turn < 0)
		return;
	err = dag_sweep(api_repo(call)->store, sources, count, api_wait_long(call), on_gone, call,
			&removed, &freed);
	close(turn);
	if (err)
		api_fail(call, err, "collection stopped");
	else
		api_end(call, 0, NULL);
}

static void gc_text(FILE *out, const json_t *args, const json_t *item)
{
	fprintf(out, "%s%s\n", api_flag(args, "quiet") ? "" : "removed ",
		api_member(json_object_get(item, "Key"), "/"));
}

const struct api_row api_repo_gc = {
	.command = { "repo gc", "", 0, 0, "remove blocks that no pin and no share keeps",
		     "Nothing waits for it but another one: what an `add`, `pin add` or import "
		     "that is running "
		     "has stored stays.\n"
		     "Open files and mounts go on; what they miss afterwards is fetched again.",
		     gc_options, NULL },
	.text = gc_text,
	.run = run_gc,
};
