/* The command line as a table: parsing, help, man page and completions all come from it. */
#ifndef FS_CLI_H
#define FS_CLI_H

#include "fs/control.h"
#include "fs/repo.h"

#define CLI_OPTIONS_MAX 24
#define CLI_ARGS_MAX 64

/* Exit codes, documented in --help. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_INT, OPTION_SIZE, OPTION_DURATION };

struct option_spec {
	const char *name; /* long, without dashes */
	char letter;	  /* 0: none */
	enum option_kind kind;
	const char *value; /* how the value is called in help; NULL for flags */
	const char *help;
	const char *fallback; /* text of the default, shown in help; NULL: none */
};

struct command;
struct invocation;
/* Returns an exit code. Errors are told with cli_fail(). */
typedef int command_fn(struct invocation *in);

struct command {
	const char *name; /* words: "pin add" */
	const char *args; /* "CID..." for help */
	int args_min, args_max; /* -1: any number */
	const char *summary;	/* one line */
	const char *text;	/* further lines of help; may be NULL */
	const struct option_spec *options; /* ended by a NULL name; may be NULL */
	command_fn *run;
};

/* One parsed command line, and what commands share. */
struct invocation {
	const struct command *command;
	int argc;
	char **argv; /* positional */
	const char *values[CLI_OPTIONS_MAX]; /* by index in command->options; NULL: not given */
	/* global options */
	const char *repo_given;
	bool offline, quiet;
	uint64_t timeout_ms; /* 0: none */
	bool json;	     /* --enc=json */
	char cid_base;	     /* 0: default */
	/* opened on demand by the functions below, closed by the dispatcher */
	char *repo_path;
	struct repo *repo;
	struct control *control;
	struct fetcher *fetcher;
	struct wait wait; /* cancelled by SIGINT and SIGTERM */
};

extern const struct command *const commands[]; /* ended by NULL */

/* main()'s whole body. */
int cli_run(int argc, char **argv);

bool cli_flag(const struct invocation *in, const char *name);
const char *cli_text(const struct invocation *in, const char *name); /* given, else fallback, else NULL */
int64_t cli_int(const struct invocation *in, const char *name);
/* "Error: " message on stderr; returns EXIT_FAILED (EXIT_INTERRUPTED when err is -EINTR). err 0: no errno text is added. */
int cli_fail(struct invocation *in, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* 0, or an exit code after telling why. */
int cli_need_repo(struct invocation *in);
/* The daemon when one runs and --offline is not given: true. */
bool cli_daemon(struct invocation *in);
int cli_need_daemon(struct invocation *in);
/* Store plus, when a daemon runs, its network. Needs the repo. */
void cli_blocks(struct invocation *in, struct blocks *blocks);
/* A CID as the user wants to see it (--cid-base). */
const char *cli_cid(const struct invocation *in, const struct cid *cid, char out[static CID_TEXT_MAX]);
/* Text for a terminal: control characters escaped. Static buffer per call site is the caller's. */
const char *cli_safe(char *out, size_t size, const char *text, size_t len);

/* ---- progress on stderr, only when it is a terminal ---- */
struct progress;
struct progress *progress_start(const char *what, uint64_t total_bytes); /* total 0: unknown */
void progress_add(struct progress *progress, uint64_t bytes);
void progress_set(struct progress *progress, uint64_t done_bytes, uint64_t blocks);
void progress_end(struct progress *progress); /* clears the line; NULL is ignored */

#endif
