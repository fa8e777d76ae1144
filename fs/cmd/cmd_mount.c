/* mount, umount, daemon and shutdown: what stays of them for the process that is called. It starts
 * a daemon if none runs, forks, and waits until the mount answers. The main thread. */
#include "fs/daemon/daemon.h"

#include "fs/cmd/mount_saved.h"
#include "fs/mount.h"
#include "fs/values.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DAEMON_WAIT_MS 30000 /* for one that starts or ends */
#define STARTS_MAX 16	     /* daemons that came and went before a mount was made */
#define SHUTDOWN_MS 10000
#define SHUTDOWN_LOOK_MS 20
#define UMOUNT_MS 30000

/* ---- daemon, shutdown ---- */

static const struct option_spec daemon_options[] = {
	{ "with-mounts", 0, OPTION_FLAG, NULL, "end when the last mount goes (used by mount)",
	  NULL },
	{ "ready-fd", 0, OPTION_INT, "FD", "write a byte there when ready (used by mount)", NULL },
	{ 0 },
};

/* Ours are closed by exec, those of the caller are not: one of ours would be written into. */
static bool is_handed_over(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

/* To who started it and waits at the other end. */
static void tell_reason(int ready_fd, int err, const char *why)
{
	char *text = xasprintf("%d %s", -err, why);
	size_t len = strlen(text);
	ssize_t n = ready_fd < 0 ? 0
				 : write(ready_fd, text,
					 len < DAEMON_REASON_MAX ? len : DAEMON_REASON_MAX);

	(void)n; /* it may have gone: then there is only the log */
	free(text);
}

static int run_daemon(struct invocation *in)
{
	struct daemon_options options = { .ready_fd = -1 };
	char *why = NULL;
	int err, code = cli_need_path(in);

	if (code)
		return code;
	options.repo_path = in->repo_path;
	options.offline = in->offline;
	options.json = in->json;
	options.with_mounts = cli_flag(in, "with-mounts");
	if (cli_given(in, "ready-fd")) {
		options.ready_fd = (int)cli_int(in, "ready-fd");
		if (!is_handed_over(options.ready_fd))
			return cli_usage(in, "--ready-fd must be a descriptor that is open");
	}
	options.wait = &in->wait;
	wait_start(&in->wait, DAEMON_WAIT_MS);
	signal(SIGPIPE, SIG_IGN);
	err = daemon_run(&options, &why);
	if (err) {
		code = cli_fail(in, why ? 0 : err, "%s", why ? why : "the daemon failed");
		tell_reason(options.ready_fd, err, why ? why : err_text(err));
	}
	free(why);
	return code;
}

const struct command cmd_daemon = {
	"daemon",
	"",
	0,
	0,
	"connect to the network, in the foreground",
	"Prints its addresses and \"Daemon is ready\". Ends with SIGTERM, Ctrl-C or `dagfs "
	"shutdown`.",
	daemon_options,
	run_daemon,
};

/* It has answered; it is gone when its lock is free. */
static int await_end(struct invocation *in)
{
	uint64_t until_ms = monotonic_ms() + SHUTDOWN_MS;
	struct timespec nap = { .tv_nsec = SHUTDOWN_LOOK_MS * 1000000 };
	int pid;

	while (control_owned(in->repo_path, &pid)) {
		if (cli_interrupted())
			return EXIT_INTERRUPTED;
		if (monotonic_ms() >= until_ms)
			return cli_fail(in, -ETIMEDOUT, "the daemon still runs");
		nanosleep(&nap, NULL);
	}
	return EXIT_OK;
}

static int run_shutdown(struct invocation *in)
{
	int pid, err, code = cli_need_path(in);
	char *why = NULL;

	/* One that ends already has no socket. */
	if (!code && (in->offline || !control_owned(in->repo_path, &pid)))
		code = cli_need_daemon(in);
	if (code || !cli_daemon(in))
		return code ? code : await_end(in);
	err = control_call(in->control, "shutdown", NULL, cli_wait_call(in), NULL, NULL, &why);
	if (err && !control_gone(in->control))
		code = cli_fail(in, why ? 0 : err, "%s", why ? why : "shutdown");
	free(why);
	return code ? code : await_end(in);
}

const struct command cmd_shutdown = {
	"shutdown", "", 0, 0, "end the daemon, and wait until it is gone", NULL, NULL, run_shutdown,
};

/* ---- mount ---- */

static const struct option_spec mount_options[] = {
	{ "foreground", 'f', OPTION_FLAG, NULL,
	  "stay until it is unmounted; Ctrl-C and SIGTERM unmount", NULL },
	{ "options", 'o', OPTION_TEXT, "LIST", "mount options, separated by commas", NULL },
	{ "save", 0, OPTION_FLAG, NULL, "mount it again at each start of the daemon", NULL },
	{ "unsave", 0, OPTION_FLAG, NULL, "do not mount it again; what is mounted stays", NULL },
	{ "list", 'l', OPTION_FLAG, NULL, "list the saved mounts, and how each stands", NULL },
	{ "running", 0, OPTION_FLAG, NULL, "fail when no daemon runs (used by the daemon)", NULL },
	{ 0 },
};

/* Our own options leave the list; the rest goes on to the mount. 0 or an exit code. */
static int take_options(struct invocation *in, json_t *args)
{
	const char *given = cli_text(in, "options");
	char *list = xstrdup(given ? given : ""), *rest = list, *option;
	struct buf others = { 0 };
	uint64_t ms = in->timeout_ms;
	int code = EXIT_OK;

	if (!in->globals[2]) /* --timeout was not given: the configuration's */
		ms = config_duration_ms(in->repo->config, "Mounts.Timeout");
	while (!code && (option = strsep(&rest, ","))) {
		if (strncmp(option, "timeout=", 8) == 0) {
			if (parse_duration_ms(option + 8, &ms))
				code = cli_usage(in, "timeout= must be a time like 30s");
		} else if (strcmp(option, "allow_other") == 0) {
			json_object_set_new(args, "allow_other", json_true());
		} else if (*option) {
			buf_printf(&others, "%s%s", others.len ? "," : "", option);
		}
	}
	json_object_set_new(args, "timeout", json_integer((json_int_t)ms));
	if (others.len)
		json_object_set_new(args, "options", json_stringn((char *)others.at, others.len));
	buf_release(&others);
	free(list);
	return code;
}

/* A domain may stand alone: it is no CID, nor a path. */
static char *source_path(const char *source)
{
	struct dag_path parsed;
	const char *why;

	if (strchr(source, '.') && net_is_domain(source) && dag_path_parse(source, &parsed, &why))
		return xasprintf("/ipns/%s", source);
	return xstrdup(source);
}

/* A share of this repository, by its short name or its key: its tree is shown, and changes. 0: it
 * is; 1: it is none. */
static int take_share(struct invocation *in, const char *source, json_t *args)
{
	const char *name = strncmp(source, "/ipns/", 6) ? source : source + 6;
	struct share_record record;
	int err = strchr(name, '/') ? -ENOENT : shares_find(in->repo, name, &record);

	if (err)
		return 1;
	json_object_set_new(args, "share", json_integer(record.id));
	json_object_set_new(args, "source", json_string(source));
	return 0;
}

/* What is below a key's name is followed. */
static void take_name(const char *source, json_t *args)
{
	struct peer_id name;
	char clean[DAG_PATH_MAX + 8], *rest;

	if (strncmp(source, "ipns://", 7) == 0)
		source += 7;
	else if (strncmp(source, "/ipns/", 6) == 0)
		source += 6;
	else
		return;
	if (dag_path_clean(source, clean))
		return;
	rest = clean[0] ? strchr(clean + 1, '/') : NULL;
	char *text = xasprintf(
		"%.*s", (int)(rest ? rest - clean - 1 : (ptrdiff_t)strlen(clean) - 1), clean + 1);

	if (peer_id_from_text(&name, text) == 0) {
		json_object_set_new(args, "name", json_string(text));
		if (rest)
			json_object_set_new(args, "rest", json_string(rest));
	}
	free(text);
}

/* SOURCE to the CID of a tree, through the daemon's network. */
static int take_source(struct invocation *in, const char *source, json_t *args)
{
	struct blocks *blocks;
	struct dag_stat stat;
	char text[CID_TEXT_MAX];
	struct cid root;
	char *path;
	int err, code;

	blocks = cli_blocks(in);
	path = source_path(source);
	code = cli_resolve(in, blocks, path, &root);
	free(path);
	/* Here Ctrl-C ends the wait for it; the daemon would be kept from ending. */
	if (!code && !in->offline) {
		err = dag_stat(blocks, &root, cli_wait(in), &stat);
		if (err)
			code = cli_fail(in, err, "cannot get %s", source);
	}
	blocks_free(blocks);
	if (code)
		return code;
	if (!in->offline && stat.type == DAG_DIRECTORY)
		take_name(source, args);
	json_object_set_new(args, "root", json_string(cid_text(&root, text)));
	json_object_set_new(args, "source", json_string(source));
	return EXIT_OK;
}

/* Started here, so that nothing is left behind when it is not used. Others may do the same just
 * now, and one may be ending since its last mount went: both are waited for. */
static int need_mount_daemon(struct invocation *in, bool *started)
{
	for (int i = 0; i < STARTS_MAX; i++) {
		char *why = NULL;
		int err, code = EXIT_OK;

		wait_start(&in->wait, DAEMON_WAIT_MS);
		err = cli_interrupted() ? -EINTR
					: control_reach(in->repo_path, &in->wait, &in->control);
		in->control_tried = true;
		if (err == -ENOENT && cli_flag(in, "running"))
			return cli_fail(in, 0, "no daemon runs for %s", in->repo_path);
		if (err != -ENOENT)
			return err ? cli_fail(in, err, "cannot reach the daemon of %s",
					      in->repo_path)
				   : EXIT_OK;
		err = daemon_spawn(in->repo_path, in->offline, &why);
		if (err && err != -EADDRINUSE)
			code = cli_fail(in, err == -EINTR ? err : 0, "%s", why);
		*started = *started || !err;
		free(why);
		if (code)
			return code;
	}
	return cli_fail(in, 0, "the daemon of %s ends again and again: see daemon.log there",
			in->repo_path);
}

/* -ENOENT: the daemon has nothing there; -EPIPE: it has gone; other errors are told. */
static int umount_call(struct invocation *in, const char *mountpoint, bool force)
{
	json_t *args = json_pack("{s:s, s:b}", "mountpoint", mountpoint, "force", (int)force);
	char *why = NULL;
	int err;

	wait_start(&in->wait, UMOUNT_MS);
	err = control_call(in->control, "umount", args, &in->wait, NULL, NULL, &why);
	if (err && control_gone(in->control))
		err = -EPIPE;
	else if (err && err != -ENOENT)
		cli_fail(in, why ? 0 : err, "cannot unmount %s%s%s", mountpoint, why ? ": " : "",
			 why ? why : "");
	free(why);
	return err;
}

/* A daemon that ends takes its mounts away itself; that is waited for, also when a signal has come.
 * As umount_call(). */
static int umount_after_end(struct invocation *in, const char *path, bool force)
{
	int err = -EPIPE;

	for (int i = 0; err == -EPIPE && i < STARTS_MAX; i++) {
		cli_drop_daemon(in);
		wait_start(&in->wait, UMOUNT_MS);
		err = control_reach(in->repo_path, &in->wait, &in->control);
		in->control_tried = true;
		if (err == -ENOENT)
			return mount_is_at(path) ? -ENOENT : 0;
		if (err)
			cli_fail(in, err, "cannot reach the daemon of %s", in->repo_path);
		else
			err = umount_call(in, path, force);
	}
	return err;
}

/* In front: until somebody unmounts it, or a signal does. SIGTERM is how services are ended: that
 * is no failure. */
static int stay(struct invocation *in, const char *mountpoint)
{
	char *why = NULL;
	int err = control_call(in->control, "mount-wait",
			       json_pack("{s:s}", "mountpoint", mountpoint), cli_wait_long(in),
			       NULL, NULL, &why);
	bool gone = err && control_gone(in->control);

	if (err == -EINTR)
		err = umount_call(in, mountpoint, true);
	else if (err && !gone)
		cli_fail(in, why ? 0 : err, "%s", why ? why : "waiting for the mount");
	if (gone || err == -EPIPE)
		err = umount_after_end(in, mountpoint, true);
	if (err == -ENOENT) /* no daemon has it */
		err = mount_is_at(mountpoint) ? cli_fail(in, 0,
							 "the daemon is gone, and left a dead "
							 "mount: `dagfs umount %s`",
							 mountpoint)
					      : 0;
	free(why);
	if (err)
		return EXIT_FAILED;
	return cli_interrupted() && cli_signal() != SIGTERM ? EXIT_INTERRUPTED : EXIT_OK;
}

/* When the daemon ends meanwhile, the next one mounts it. */
static int call_mount(struct invocation *in, json_t *args, bool *started)
{
	for (int i = 0;; i++) {
		char *why = NULL;
		int code = EXIT_OK, err = control_call(in->control, "mount", json_incref(args),
						       cli_wait_call(in), NULL, NULL, &why);
		bool again = err && control_gone(in->control) && i < STARTS_MAX;

		if (err && !again)
			code = cli_fail(in, why ? 0 : err, "%s", why ? why : "mount");
		free(why);
		if (!again)
			return err == -EINTR ? EXIT_INTERRUPTED : code;
		cli_drop_daemon(in);
		code = need_mount_daemon(in, started);
		if (code)
			return code;
	}
}

/* 0 with the mountpoint's whole path (malloc'd), or an exit code. */
static int find_point(struct invocation *in, char **out)
{
	const char *point = in->argv[in->argc - 1], *why;
	int err = (*out = realpath(point, NULL)) ? 0 : -errno;
	struct dag_path parsed;

	/* A dead mount answers nothing, not even its name: taken as it was given. */
	if (err == -ENOTCONN && point[0] == '/') {
		*out = xstrdup(point);
		err = 0;
	}
	if (err && in->argc == 1 && dag_path_parse(point, &parsed, &why) == 0)
		return cli_usage(in, "the mountpoint is forgotten: where is %s to be mounted?",
				 point);
	return err ? cli_fail(in, err, "mountpoint %s", point) : EXIT_OK;
}

static int mount_it(struct invocation *in, const char *point, bool *started)
{
	const char *source = in->argc == 2 ? in->argv[0] : NULL;
	json_t *args = json_pack("{s:s, s:b}", "mountpoint", point, "offline", (int)in->offline);
	int code = args ? cli_need_repo(in) : cli_fail(in, 0, "the mountpoint's name is no UTF-8");

	if (!code)
		code = take_options(in, args);
	if (!code && source && take_share(in, source, args))
		code = take_source(in, source, args);
	if (!code)
		code = call_mount(in, args, started);
	if (!code && cli_flag(in, "save"))
		code = mount_save(in, point);
	if (!code && cli_flag(in, "foreground"))
		code = stay(in, point);
	json_decref(args);
	return code;
}

static int run_mount(struct invocation *in)
{
	bool started = false;
	char *why = NULL, *point = NULL;
	int code;

	if (cli_flag(in, "list"))
		return mount_list_saved(in);
	if (cli_flag(in, "unsave"))
		return mount_unsave(in);
	if (!in->argc)
		return cli_flag(in, "save")
			       ? cli_usage(in, "mount --save takes what is to be mounted")
			       : cli_run_call(in, api_row("mounts"), json_object());
	code = cli_need_path(in);
	if (!code)
		code = find_point(in, &point);
	if (!code)
		code = need_mount_daemon(in, &started);
	if (!code)
		code = mount_it(in, point, &started);
	if (code && started && in->control) {
		wait_start(&in->wait, UMOUNT_MS);
		control_call(in->control, "shutdown-idle", NULL, &in->wait, NULL, NULL, &why);
		free(why);
	}
	free(point);
	return code;
}

const struct command cmd_mount = {
	"mount",
	"[SOURCE] MOUNTPOINT",
	0,
	2,
	"show a tree as files and directories",
	"SOURCE is a share of this repository, which can be written (-o ro: only read), a path in "
	"the network,\nor a domain; where a path begins with a name, what that leads to now stays "
	"mounted.\n"
	"Without it every tree is found below "
	"MOUNTPOINT/ipfs/CID. Starts a\n"
	"daemon in the background when none runs, which ends with its last mount. Without "
	"arguments the\n"
	"mounts are listed. With --offline nothing is fetched.\n"
	"\n"
	"With --save the daemon mounts it at each start, and tries again and again as long as "
	"SOURCE is not\n"
	"found; --list tells which are saved and how each stands; --unsave MOUNTPOINT ends it.\n"
	"\n"
	"Mount options: timeout=30s waits so long for a block, allow_other and allow_root let "
	"others "
	"in,\n"
	"nonempty covers a directory that has entries, suid shows stored set-user-id and "
	"set-group-id bits,\n"
	"max_read=BYTES limits one read, guard lets nobody write into MOUNTPOINT while nothing is "
	"mounted there\n"
	"(it stays so: chmod 755 and, where root mounted, chattr -i take it back); noexec and the "
	"like are the\n"
	"kernel's. In /etc/fstab the type is dagfs: mount.dagfs takes repo=DIR, setuid=USER and "
	"offline, too.",
	mount_options,
	run_mount,
};

/* ---- umount ---- */

static const struct option_spec umount_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "even when files are open", NULL },
	{ 0 },
};

/* A mount that no daemon knows: its process died. */
static int umount_by_hand(struct invocation *in, const char *mountpoint)
{
	const char *flag = cli_flag(in, "force") ? "-uqz" : "-uq";
	int status, pid = fork();

	if (pid == 0) {
		execlp("fusermount3", "fusermount3", flag, "--", mountpoint, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return cli_fail(in, -errno, "cannot run fusermount3");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return cli_fail(in, 0, "cannot run fusermount3: is fuse3 installed?");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return EXIT_OK;
	return cli_fail(in, 0, "cannot unmount %s: nothing is mounted there, or it is in use",
			mountpoint);
}

static int umount_one(struct invocation *in, const char *point)
{
	char *real = realpath(point, NULL);
	const char *path = real ? real : point;
	int err = -ENOENT, code = EXIT_OK;

	if (cli_daemon(in))
		err = umount_call(in, path, cli_flag(in, "force"));
	else if (in->control_err == -EINTR)
		err = -EINTR;
	if (err == -EPIPE)
		err = umount_after_end(in, path, cli_flag(in, "force"));
	if (err == -ENOENT)
		code = umount_by_hand(in, path);
	else if (err)
		code = err == -EINTR ? EXIT_INTERRUPTED : EXIT_FAILED;
	free(real);
	return code;
}

static int run_umount(struct invocation *in)
{
	int code = cli_need_path(in);

	for (int i = 0; i < in->argc && !code; i++)
		code = umount_one(in, in->argv[i]);
	return code;
}

const struct command cmd_umount = {
	"umount", "MOUNTPOINT...", 1, -1, "end mounts", NULL, umount_options, run_umount,
};
