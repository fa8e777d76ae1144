/* The command line as a table: parsing, help, man page and completions all come from it. A command
 * runs on the main thread of its own process, in plain blocking code, and may be interrupted
 * through in->wait. */
#ifndef FS_CLI_H
#define FS_CLI_H

#include "dag/dag.h"
#include "fs/api/api.h"
#include "fs/cli_text.h"
#include "fs/control.h"
#include "fs/repo.h"
#include "fs/shares.h"

#include <stdio.h>

#define CLI_OPTIONS_MAX 48
#define CLI_LISTED_MAX 256 /* values of OPTION_LISTs on one command line */
#define CLI_GLOBALS_MAX 8
#define CLI_WORDS_MAX 3 /* words of a command's name */
#define CLI_TIMEOUT "30s"
#define CLI_GRACE_MS                                                                               \
	2000 /* longer than a call itself waits: for the daemon to tell that it gave up */

/* Of one write: for a large one the kernel takes large pieces of memory, which in a virtual machine
 * cost most to touch (see CACHE_BATCH_BYTES of the store). */
#define CLI_WRITE_BYTES (256u << 10)

/* Exit codes, documented in --help. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* One parsed command line, and what commands share. Zero-initialised is valid. */
struct invocation {
	const struct command *command; /* NULL: none was named */
	const char *group;	       /* first word, when it names only a group ("pin") */
	int argc;
	char **argv;			      /* positional; within main()'s argv */
	const char *values[CLI_OPTIONS_MAX];  /* by index in command->options; NULL: not given */
	const char *globals[CLI_GLOBALS_MAX]; /* by index in cli_globals */
	struct {
		const struct option_spec *spec;
		const char *value;
	} listed[CLI_LISTED_MAX]; /* of OPTION_LISTs, in the order given */
	size_t listed_count;
	bool help, version;
	/* from the global options */
	const char *repo_given;
	bool offline;
	uint64_t timeout_ms; /* longest wait for one block or answer; 0: none */
	bool json;	     /* --enc=json */
	char cid_base;	     /* 0: default */
	/* opened on demand by the functions below, closed by the dispatcher */
	char *repo_path;
	struct repo *repo;
	struct control *control;
	bool control_tried;
	int control_err; /* why there is no control: -ENOENT when no daemon runs */
	struct fetcher *fetcher;
	struct shares *shares;
	struct wait wait; /* cancelled by SIGINT, SIGTERM and SIGHUP */
};

extern const struct command *const commands[]; /* ended by NULL; help's order */
extern const struct option_spec cli_globals[]; /* ended by a NULL name */

/* ---- main, parsing, help ---- */

/* main()'s whole body. */
int cli_run(int argc, char **argv);
/* Fills in (zeroed before) from the words after the program's name; argv is reordered and borrowed.
 * 0, or -EINVAL with a message in *why (malloc'd). Values of options are checked by kind. */
int cli_parse(struct invocation *in, int argc, char **argv, char **why);
/* The command with that name, NULL when there is none. */
const struct command *cli_command(const char *name);
/* Is it the first word, or words, of commands: "pin"? */
bool cli_is_group(const char *words);
/* What to tell of words that name no command, with those that may have been meant (malloc'd). */
char *cli_unknown_command(const char *given);

/* Help of the whole program (what NULL), of a group or of a command. EXIT_OK; EXIT_USAGE, with
 * nothing printed, when there is no such command. */
int help_print(FILE *out, const char *what);
void help_man(FILE *out);	 /* the man page, dagfs(1) */
void help_man_config(FILE *out); /* dagfs-config(5) */
void help_completion(FILE *out); /* for bash */

/* ---- for commands ---- */

bool cli_given(const struct invocation *in, const char *name);
bool cli_flag(const struct invocation *in, const char *name);
const char *cli_text(const struct invocation *in,
		     const char *name); /* given, else fallback, else NULL */
/* LIST: the values in the order given, then NULL; *at begins as 0. */
const char *cli_listed(const struct invocation *in, const char *name, size_t *at);
int64_t cli_int(const struct invocation *in, const char *name); /* INT */
uint64_t cli_amount(const struct invocation *in,
		    const char *name); /* SIZE in bytes, DURATION in ms */

/* "Error: " message on stderr; returns EXIT_FAILED (EXIT_INTERRUPTED when err is -EINTR). err 0: no
 * errno text is added. */
int cli_fail(struct invocation *in, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for a file outside the repository, or the output: err in the system's own words ("No
 * space left on device"), for those of cli_fail() tell of the store. */
int cli_fail_file(struct invocation *in, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with the whole message; err only tells what more is to be said, and the exit code. */
int cli_fail_as(struct invocation *in, int err, const char *message);
/* A command line that parses but makes no sense: message, EXIT_USAGE. */
int cli_usage(struct invocation *in, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Begin the next wait: in->wait with the command's timeout; an interruption that came before is
 * kept. Returns &in->wait. */
struct wait *cli_wait(struct invocation *in);
/* The same with some time more, for the daemon to tell that it gave up after just that timeout. */
struct wait *cli_wait_call(struct invocation *in);
/* The same with any time, 0 for none. */
struct wait *cli_wait_ms(struct invocation *in, uint64_t timeout_ms);
/* The same without a deadline: for long work on what is stored. */
struct wait *cli_wait_long(struct invocation *in);
/* Was Ctrl-C pressed? */
bool cli_interrupted(void);
/* The signal that it was, 0 for none. */
int cli_signal(void);

/* 0, or an exit code after telling why. The first finds only the path, the second opens the parts.
 */
int cli_need_path(struct invocation *in);
int cli_need_repo(struct invocation *in);
/* The daemon when one runs and --offline is not given: true. One that starts or ends is waited for,
 * as long as --timeout says. */
bool cli_daemon(struct invocation *in);
/* The one that was found has gone: the next cli_daemon() looks again. */
void cli_drop_daemon(struct invocation *in);
int cli_need_daemon(struct invocation *in);
/* A command that is a row of the table of calls: the row is run with the options and words given,
 * and its items are printed. An exit code. */
int cli_run_row(struct invocation *in);
/* The same with arguments made by the command itself (taken). */
int cli_run_call(struct invocation *in, const struct api_row *row, json_t *args);
/* What gets blocks through the daemon, NULL when none runs or with --offline. Closed by the
 * dispatcher. */
struct fetcher *cli_fetcher(struct invocation *in);
/* Store plus, when a daemon runs, its network. Needs the repo. blocks_free() before the command
 * returns. */
struct blocks *cli_blocks(struct invocation *in);
/* The shares of the repository, for a process without a daemon. Needs the repo. Closed by the
 * dispatcher. */
struct shares *cli_shares(struct invocation *in);
/* Has the daemon run a call: as the ask() of struct api_host. */
int cli_ask(struct invocation *in, const char *call, json_t *args, struct wait *wait,
	    api_asked_fn *item, void *ctx, char **why);
/* A path argument to a CID; tells which part is missing. 0 or an exit code. */
int cli_resolve(struct invocation *in, struct blocks *blocks, const char *path, struct cid *out);
/* One line of JSON on stdout; takes value. */
void cli_print_json(json_t *value);
/* It is recorded: the daemon, when one runs, is told. cid NULL: one is announced no more. */
void cli_provided(struct invocation *in, const struct cid *cid);
/* The table "provide" has changed: the daemon, when one runs, looks at it. */
void cli_provide_changed(struct invocation *in);

/* 0, -EINTR, -errno. */
int cli_write_all(int fd, struct bytes data);

/* ---- progress on stderr, only when it is a terminal ---- */
struct progress;
/* NULL (which all below accept) when stderr is no terminal. total 0: unknown. what is borrowed. */
struct progress *progress_start(const char *what, uint64_t total_bytes);
void progress_set(struct progress *progress, uint64_t done_bytes, uint64_t blocks);
void progress_total(struct progress *progress, uint64_t total_bytes); /* known only now */
void progress_hide(struct progress *progress); /* clears the line until the next change */
void progress_end(struct progress *progress);  /* clears the line */
/* "~1m20s left" at this many bytes a second; NULL if nothing moves, or it would take 100 days. */
const char *progress_left(uint64_t left_bytes, uint64_t rate, char out[static 32]);

/* ---- the commands, one table entry each (cmd_*.c); the others are rows of calls (fs/api/) ---- */
extern const struct command cmd_init;
extern const struct command cmd_mount, cmd_umount, cmd_daemon, cmd_shutdown;
extern const struct command cmd_help, cmd_completion;

#endif
