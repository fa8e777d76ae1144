/* Dispatch, and what commands share: the repository, the daemon, blocks, waiting, messages. The
 * main thread. */
#include "fs/cli.h"

#include "fs/api/api_names.h"
#include "fs/repo_place.h"
#include "fs/values.h"

#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A signal handler has no argument: the one wait it ends, and how often it came. */
static _Atomic(struct wait *) signal_wait;
static atomic_int signal_count, signal_first;

static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

static void on_signal(int number)
{
	struct wait *wait = signal_wait;

	if (atomic_fetch_add(&signal_count, 1) > 0)
		_exit(EXIT_INTERRUPTED); /* asked twice: at once */
	signal_first = number;
	if (wait)
		wait_cancel(wait);
}

static char *suspect_files[3]; /* made by on_bad_file() */

/* Files of the store are read as memory: a disk that fails comes as SIGBUS, and LMDB follows a
 * damaged page anywhere. */
static void on_bad_file(int number)
{
	static const char text[] = "Error: a file of the repository is damaged, its disk fails, or "
				   "this program is wrong; "
				   "the next command looks at its files first\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);

	/* Which one it was is not asked: both are looked at soon enough. */
	for (size_t i = 0; i < ARRAY_LEN(suspect_files); i++) {
		int fd = open(suspect_files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		(void)fd;
	}
	(void)number;
	(void)written;
	_exit(EXIT_FAILED);
}

/* A sanitizer tells more of its own signal. */
#ifdef __SANITIZE_ADDRESS__
#define SIGNALS_OF_BAD_FILES                                                                       \
	{                                                                                          \
		SIGBUS                                                                             \
	}
#else
#define SIGNALS_OF_BAD_FILES                                                                       \
	{                                                                                          \
		SIGBUS, SIGSEGV                                                                    \
	}
#endif

static void catch_bad_files(const char *repo_path)
{
	static const int signals[] = SIGNALS_OF_BAD_FILES;

	suspect_files[0] = repo_file(repo_path, "store/" STORE_SUSPECT);
	suspect_files[1] = repo_file(repo_path, "records/" DB_SUSPECT);
	suspect_files[2] = repo_file(repo_path, "work/" DB_SUSPECT);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		signal(signals[i], on_bad_file);
}

static void release_bad_files(void)
{
	static const int signals[] = SIGNALS_OF_BAD_FILES;

	for (size_t i = 0; suspect_files[0] && i < ARRAY_LEN(signals); i++)
		signal(signals[i], SIG_DFL);
	for (size_t i = 0; i < ARRAY_LEN(suspect_files); i++) {
		free(suspect_files[i]);
		suspect_files[i] = NULL;
	}
}

bool cli_interrupted(void)
{
	return signal_count > 0;
}

int cli_signal(void)
{
	return signal_first;
}

/* Without SA_RESTART: a read from a terminal or a pipe ends too. */
static void catch_signals(struct wait *wait)
{
	struct sigaction action = { .sa_handler = on_signal };

	signal_wait = wait;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct sigaction before;

		/* nohup(1) has it ignored */
		if (ends[i] != SIGHUP || sigaction(SIGHUP, NULL, &before) ||
		    before.sa_handler != SIG_IGN)
			sigaction(ends[i], &action, NULL);
	}
}

static void release_signals(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct sigaction now;

		if (!sigaction(ends[i], NULL, &now) && now.sa_handler == on_signal)
			signal(ends[i], SIG_DFL);
	}
	signal_wait = NULL;
}

/* Whoever reads less than was printed must be told: an exit code of 0 says that all of it came. An
 * error of an earlier write sticks to the stream, its reason is gone by then. */
static int end_output(struct invocation *in, int code)
{
	bool failed = ferror(stdout);

	errno = 0;
	failed = fflush(stdout) || failed;
	if (!failed || code != EXIT_OK)
		return code;
	return cli_fail(in, 0, "cannot write the output: %s",
			errno ? strerror(errno) : "an earlier part failed");
}

static int command_run(struct invocation *in)
{
	int code, err = wait_init(&in->wait);

	if (err)
		return cli_fail(in, err, "cannot wait for anything");
	catch_signals(&in->wait);
	wait_start(&in->wait, 0);
	code = in->command->run ? in->command->run(in) : cli_run_row(in);
	err = fflush(stdout) ? -errno : ferror(stdout) ? -EIO : 0; /* written in vain before */
	if (err && code == EXIT_OK)
		code = cli_fail_file(in, err, "cannot write the output");
	err = shares_close(in->shares);
	if (err)
		code = cli_fail(in, err, "the last changes of a share are not on disk");
	fetcher_free(in->fetcher);
	control_close(in->control);
	repo_close(in->repo);
	release_bad_files();
	free(in->repo_path);
	release_signals();
	wait_release(&in->wait);
	return code;
}

int cli_run(int argc, char **argv)
{
	struct invocation in = { 0 };
	char *why = NULL;

	if (cli_parse(&in, argc, argv, &why)) {
		fprintf(stderr, "Error: %s\n", why);
		free(why);
		if (in.command)
			fprintf(stderr, "Usage: dagfs %s %s (dagfs %s --help tells more)\n",
				in.command->name, in.command->args, in.command->name);
		return EXIT_USAGE;
	}
	if (in.version && !in.command) {
		printf("dagfs version %s\n", CLI_VERSION);
		return end_output(&in, EXIT_OK);
	}
	if (in.help || !in.command) {
		const char *what = in.command ? in.command->name : in.group;

		help_print(in.help ? stdout : stderr, what);
		return in.help ? end_output(&in, EXIT_OK) : EXIT_USAGE;
	}
	return command_run(&in);
}

/* ---- options ---- */

static size_t option_index(const struct invocation *in, const char *name)
{
	const struct option_spec *options = in->command->options;

	for (size_t i = 0; options && options[i].name; i++)
		if (strcmp(options[i].name, name) == 0)
			return i;
	abort(); /* the command asks for an option that its table lacks */
}

bool cli_given(const struct invocation *in, const char *name)
{
	return in->values[option_index(in, name)] != NULL;
}

const char *cli_text(const struct invocation *in, const char *name)
{
	size_t i = option_index(in, name);

	return in->values[i] ? in->values[i] : in->command->options[i].fallback;
}

bool cli_flag(const struct invocation *in, const char *name)
{
	const char *text = cli_text(in, name);

	return text && strcmp(text, "true") == 0;
}

const char *cli_listed(const struct invocation *in, const char *name, size_t *at)
{
	const struct option_spec *spec = &in->command->options[option_index(in, name)];

	while (*at < in->listed_count) {
		size_t i = (*at)++;

		if (in->listed[i].spec == spec)
			return in->listed[i].value;
	}
	return NULL;
}

int64_t cli_int(const struct invocation *in, const char *name)
{
	const char *text = cli_text(in, name);

	return text ? strtoll(text, NULL, 10) : 0;
}

uint64_t cli_amount(const struct invocation *in, const char *name)
{
	const struct option_spec *spec = &in->command->options[option_index(in, name)];
	const char *text = cli_text(in, name);
	uint64_t amount = 0;

	if (text && spec->kind == OPTION_SIZE)
		parse_size(text, &amount);
	else if (text)
		parse_duration_ms(text, &amount);
	return amount;
}

/* ---- messages ---- */

static void begin_message(const char *fmt, va_list args)
{
	fflush(stdout);
	fputs("Error: ", stderr);
	vfprintf(stderr, fmt, args);
}

static int end_message(struct invocation *in, int err)
{
	if (err == -EHOSTUNREACH && !in->control && !in->offline)
		fputs(" (a running `dagfs daemon` could fetch it)", stderr);
	fputc('\n', stderr);
	return err == -EINTR ? EXIT_INTERRUPTED : EXIT_FAILED;
}

int cli_fail(struct invocation *in, int err, const char *fmt, ...)
{
	char why[WAIT_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	begin_message(fmt, args);
	va_end(args);
	if (err)
		fprintf(stderr, ": %s", wait_err_text(&in->wait, err, why));
	return end_message(in, err);
}

int cli_fail_as(struct invocation *in, int err, const char *message)
{
	fflush(stdout);
	fprintf(stderr, "Error: %s", message);
	return end_message(in, err);
}

int cli_fail_file(struct invocation *in, int err, const char *fmt, ...)
{
	va_list args;

	(void)in;
	va_start(args, fmt);
	begin_message(fmt, args);
	va_end(args);
	fprintf(stderr, ": %s\n", err_file_text(err));
	return err == -EINTR ? EXIT_INTERRUPTED : EXIT_FAILED;
}

int cli_usage(struct invocation *in, const char *fmt, ...)
{
	va_list args;

	fputs("Error: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nUsage: dagfs %s %s (dagfs %s --help tells more)\n", in->command->name,
		in->command->args, in->command->name);
	return EXIT_USAGE;
}

void cli_print_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(value);
}

struct wait *cli_wait_ms(struct invocation *in, uint64_t timeout_ms)
{
	wait_start(&in->wait, timeout_ms);
	if (cli_interrupted())
		wait_cancel(&in->wait);
	return &in->wait;
}

struct wait *cli_wait(struct invocation *in)
{
	return cli_wait_ms(in, in->timeout_ms);
}

struct wait *cli_wait_call(struct invocation *in)
{
	return cli_wait_ms(in, in->timeout_ms ? in->timeout_ms + CLI_GRACE_MS : 0);
}

struct wait *cli_wait_long(struct invocation *in)
{
	return cli_wait_ms(in, 0);
}

/* ---- the repository and its daemon ---- */

int cli_need_path(struct invocation *in)
{
	char *why = NULL, *real;
	int code = EXIT_OK;

	if (in->repo_path)
		return 0;
	in->repo_path = repo_find(in->repo_given, &why);
	if (!in->repo_path)
		code = cli_fail(in, 0, "%s", why);
	else if ((real = realpath(in->repo_path, NULL))) {
		free(in->repo_path);
		in->repo_path = real;
	}
	free(why);
	return code;
}

int cli_need_repo(struct invocation *in)
{
	char *why = NULL;
	int code = cli_need_path(in);

	if (code || in->repo)
		return code;
	catch_bad_files(in->repo_path);
	if (repo_open(in->repo_path, &in->repo, &why))
		code = cli_fail(in, 0, "%s", why);
	free(why);
	return code;
}

bool cli_daemon(struct invocation *in)
{
	if (!in->control_tried && !in->offline) {
		in->control_tried = true;
		in->control_err = control_reach(in->repo_path, cli_wait(in), &in->control);
		if (in->control_err)
			in->control = NULL;
	}
	return in->control != NULL;
}

void cli_drop_daemon(struct invocation *in)
{
	control_close(in->control);
	in->control = NULL;
	in->control_tried = false;
}

int cli_need_daemon(struct invocation *in)
{
	int code = cli_need_path(in);

	if (code || cli_daemon(in))
		return code;
	if (in->offline)
		return cli_fail(in, 0, "dagfs %s needs the daemon: not with --offline",
				in->command->name);
	if (in->control_err != -ENOENT)
		return cli_fail(in, in->control_err, "cannot reach the daemon of %s",
				in->repo_path);
	return cli_fail(in, 0, "no daemon runs for %s: start one with `dagfs daemon`",
			in->repo_path);
}

struct fetcher *cli_fetcher(struct invocation *in)
{
	if (!in->offline && !in->fetcher && cli_daemon(in))
		in->fetcher = fetcher_of_control(in->repo_path);
	return in->fetcher;
}

struct shares *cli_shares(struct invocation *in)
{
	if (!in->shares)
		in->shares = shares_new(
			&(struct shares_config){ .repo = in->repo, .fetcher = cli_fetcher(in) });
	return in->shares;
}

struct blocks *cli_blocks(struct invocation *in)
{
	return blocks_new(in->repo->store, cli_fetcher(in));
}

struct asked {
	api_asked_fn *item;
	void *ctx;
};

static int take_asked(void *ctx, enum control_kind kind, json_t *value)
{
	struct asked *asked = ctx;

	if (kind == CONTROL_ITEM && asked->item)
		asked->item(asked->ctx, value);
	return 0;
}

int cli_ask(struct invocation *in, const char *call, json_t *args, struct wait *wait,
	    api_asked_fn *item, void *ctx, char **why)
{
	struct asked asked = { .item = item, .ctx = ctx };
	uint64_t now_ms = monotonic_ms(), left_ms = 0;

	if (!args || !cli_daemon(in)) {
		json_decref(args);
		return args ? -ENOLINK : -EINVAL;
	}
	if (wait->deadline_ms != UINT64_MAX)
		left_ms = wait->deadline_ms > now_ms ? wait->deadline_ms - now_ms : 1;
	json_object_set_new(args, "timeout", json_integer((json_int_t)left_ms));
	return control_call(in->control, call, args,
			    cli_wait_ms(in, left_ms ? left_ms + CLI_GRACE_MS : 0), take_asked,
			    &asked, why);
}

struct asker {
	struct api_host host;
	struct invocation *in;
};

static int asker_ask(struct api_host *host, const char *call, json_t *args, struct wait *wait,
		     api_asked_fn *item, void *ctx, char **why)
{
	return cli_ask(container_of(host, struct asker, host)->in, call, args, wait, item, ctx,
		       why);
}

int cli_resolve(struct invocation *in, struct blocks *blocks, const char *path, struct cid *out)
{
	char *why = NULL;
	struct asker asker = {
		.host = { .repo = in->repo, .repo_path = in->repo_path, .ask = asker_ask },
		.in = in,
	};
	int err =
		api_path_resolve(&asker.host, blocks, path, cli_wait(in), in->cid_base, out, &why);
	int code = err ? cli_fail_as(in, err, why) : EXIT_OK;

	free(why);
	return code;
}

void cli_provide_changed(struct invocation *in)
{
	char *why = NULL;
	int err;

	if (!cli_daemon(in))
		return;
	err = control_call(in->control, "provide-changed", NULL, cli_wait(in), NULL, NULL, &why);
	if (err)
		log_warn("cli", "the daemon was not told what is provided err=%s", err_text(err));
	free(why);
}

void cli_provided(struct invocation *in, const struct cid *cid)
{
	if (cid && cli_daemon(in) && in->fetcher)
		in->fetcher->ops->have(in->fetcher, cid, 1);
	cli_provide_changed(in);
}
