/* What dagfs can be asked for: a table of calls. A call is one function with typed arguments that
 * yields items and ends, with an error or without. The command line (fs/cli_face.c), the control
 * socket (fs/control/) and tests are faces of the table: each brings arguments and takes items.
 *
 *	face -- name, args --> api_check() -- api_run() --> row->run(call)
 *	face <-- sink->item ... sink->end ------------------- api_item() ... api_end()
 *
 * Arguments are a JSON object: "arg" is an array of the words, every other member an option by its
 * long name, of the JSON type that its kind has: FLAG a boolean, TEXT a string, INT, SIZE (bytes)
 * and DURATION (ms) an integer, LIST an array of strings. Any call also takes "timeout" (ms, the
 * longest wait for one answer; 0: none) and "cid-base" (the letter of a multibase).
 *
 * What a call yields, until it ends, is of four kinds:
 *	items	  JSON, with the names of Kubo's RPC where it has the call. Texts in them (names of
 *		  files and pins) may be any bytes when the call runs here: a face makes them fit.
 *	bytes	  of a file or an archive, in their order, piece by piece: api_bytes().
 *	troubles  one of several things failed, and the call goes on.
 *	progress  how far it is: api_progress().
 * What a call reads (files to be stored) comes from the face too, as descriptors: api_input(). */
#ifndef FS_API_API_H
#define FS_API_API_H

#include "dag/dag.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define CLI_VERSION "0.1.0"
#define CLI_AGENT "dagfs/" CLI_VERSION

struct repo;
struct invocation;
struct api_call;
struct shares;

/* ---- what a call is named, and what it takes ---- */

/* OPTION_LIST is text that may be given again and again. */
enum option_kind {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_INT,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_LIST
};

struct option_spec {
	const char *name; /* long, without dashes */
	char letter;	  /* 0: none */
	enum option_kind kind;
	const char *value; /* how the value is called in help; NULL for flags */
	const char *help;
	const char *fallback; /* text of the default, shown in help; NULL: none */
};

/* Returns an exit code. Errors are told with cli_fail(). */
typedef int command_fn(struct invocation *in);

struct command {
	const char *name;		   /* words: "pin add" */
	const char *args;		   /* "CID..." for help */
	int args_min, args_max;		   /* args_max -1: any number */
	const char *summary;		   /* one line */
	const char *text;		   /* further lines of help; may be NULL */
	const struct option_spec *options; /* ended by a NULL name; may be NULL */
	command_fn *run;		   /* NULL: the command is a row of the table of calls */
};

/* What every word of a call is, checked before it runs. */
enum api_words {
	API_TEXT,
	API_PEERS, /* a peer id, also as /p2p/ID or at the end of an address */
	API_CIDS,  /* a CID, also as /ipfs/CID */
};

enum {
	API_STREAMS = 1,   /* items are for reading while others are still to come */
	API_BARE = 2,	   /* run works without a repository */
	API_TELLS_ALL = 4, /* a list that breaks off with an error is whole all the same: what was
			      done until then */
	API_WHOLE = 8, /* as JSON, the list is shown only when the call ended without an error */
	API_UNOPENED = 32, /* run has the path of a repository alone, which may be damaged */
	API_LONG = 64,	   /* takes as long as it takes: "timeout" is of single waits within it */
	API_BYTES = 16,	   /* yields bytes; with API_STREAMS each piece goes out at once */
};

/* Starts the call. It ends, with api_end(), before this returns or later. */
typedef void api_run_fn(struct api_call *call);

struct api_row {
	struct command command; /* its name is the call's */
	enum api_words words;
	unsigned flags;
	/* NULL, or what is wrong with arguments of the right types: malloc'd. */
	char *(*check)(const json_t *args);
	/* How items become one JSON object: head, items with commas between them, tail. NULL: each
	 * item stands alone, as it does with an option "stream". key: that member of each item
	 * names the rest of it. */
	const char *head, *tail, *key;
	/* NULL, or the name of an array: an item without any other member goes on with the array
	 * of the item before. */
	const char *grows;
	const char *text_option; /* wants text, also where JSON is asked for; NULL: none does */
	/* The item as text; NULL: the call has none. A member of an item whose name begins with '_'
	 * is for this alone: no face shows it as JSON, nor an item that has no others. */
	void (*text)(FILE *out, const json_t *args, const json_t *item);
	/* In the process that asks, blocking: call->host is a struct api_host. -ENOLINK: only a
	 * daemon can answer that. NULL: so it is always. */
	api_run_fn *run;
	/* In the daemon, on its loop, without blocking: call->host is the struct daemon. Goes
	 * before run when a daemon runs. NULL: the call needs none. */
	api_run_fn *run_daemon;
};

extern const struct api_row *const api_rows[]; /* ended by NULL */

/* The row named so; words are parted by blanks or by slashes. NULL: none. Any thread. */
const struct api_row *api_row(const char *name);
/* The row of a command whose run is NULL. */
const struct api_row *api_row_of(const struct command *command);

/* ---- arguments: pure, any thread ---- */

/* A value given as text, as JSON of its kind. NULL: it is none. New; LIST takes one of its texts.
 */
json_t *api_value(const struct option_spec *spec, const char *text);
/* Are all arguments known and of their types, is nothing missing? Fills in what was not given.
 * -EINVAL: wrong usage; -EBADMSG: a word is not what its row says. *why (malloc'd) has the reason.
 */
int api_check(const struct api_row *row, json_t *args, char **why);
/* For after that: the word at i (NULL: not given), and options by name. Borrowed. */
const char *api_word(const json_t *args, size_t i);
size_t api_word_count(const json_t *args);
bool api_flag(const json_t *args, const char *name);
const char *api_text(const json_t *args, const char *name); /* NULL: not given, without a default */
json_int_t api_int(const json_t *args, const char *name);
/* A member of an item, for its text: "" or 0 when there is none. */
const char *api_member(const json_t *value, const char *name);
json_int_t api_number(const json_t *value, const char *name);
/* The word at i of an API_PEERS or API_CIDS row. */
struct peer_id api_peer(const json_t *args, size_t i);
struct cid api_cid(const json_t *args, size_t i);
/* The part of a word that is the peer's id: after the last slash. */
const char *api_peer_text(const char *word);
/* A CID as "cid-base" wants it. Returns out. */
const char *api_cid_text(const json_t *args, const struct cid *cid, char out[static CID_TEXT_MAX]);

/* The same of a stored block's key: as the CID of raw bytes. "?" when it is none. */
const char *api_hash_text(const json_t *args, struct bytes multihash,
			  char out[static CID_TEXT_MAX]);

/* ---- a call ---- */

/* How a call ends that had troubles and went on: each was told. */
#define API_SOME_FAILED (-EREMOTEIO)
/* How a call ends whose arguments make no sense, where only its run can tell. */
#define API_USAGE (-EBADRQC)

/* How far a call is. */
struct api_progress {
	const char *what;	/* "read", "pinned": before the numbers; static */
	uint64_t bytes, blocks; /* done; blocks 0: nobody counts them */
	uint64_t total_bytes;	/* 0: not known; may be a stranger's word */
};

/* Where a call's answers go: on the thread that runs it. Values are borrowed. */
struct api_sink {
	void (*item)(struct api_call *call, json_t *item);
	/* One of several things failed, and the call goes on. details: lines of text, NULL for
	 * none. */
	void (*trouble)(struct api_call *call, const char *message, const json_t *details);
	/* The last: err 0 or -errno, message is whole (NULL when err is 0). The call may be freed.
	 */
	void (*end)(struct api_call *call, int err, const char *message);
	/* A piece of bytes, borrowed for the call. Blocks while the face can take no more. 0, or
	 * -errno when it takes no more at all (its reader has gone, its disk is full): the face
	 * tells why. NULL: the face takes no bytes. */
	int (*bytes)(struct api_call *call, struct bytes data);
	/* NULL as progress: that work is done, another may follow. NULL: nobody looks. */
	void (*progress)(struct api_call *call, const struct api_progress *progress);
};

/* One of the things that a call reads: for the command line a file that a word names or its input,
 * for HTTP a part of a body. */
struct api_input {
	const char *name; /* as messages call it; filled in also when it cannot be opened */
	const char
		*file_name; /* what it is to be called when it is stored; NULL: nothing is said */
	int fd;		    /* to be read to its end, from where it stands */
	bool close;	    /* by api_input_close() */
};

/* An item that a call of the daemon yielded. */
typedef void api_asked_fn(void *ctx, const json_t *item);

/* What a blocking row works with. To give up a blocking call, cancel the wait that wait() returned,
 * and have wait() cancel each later one. */
struct api_host {
	struct repo *repo;     /* NULL for an API_BARE and an API_UNOPENED row */
	const char *repo_path; /* NULL for an API_BARE row */
	/* Begins a wait of so long (0: without end); an interruption of the call that came before
	 * is kept. */
	struct wait *(*wait)(struct api_host *host, uint64_t timeout_ms);
	/* Gets blocks that are not stored. NULL: nobody does. */
	struct fetcher *(*fetcher)(struct api_host *host);
	bool own_files; /* words may name files of this machine: the caller may read them anyway */
	/* Opens the input at: 0; -ENODATA: there are no more; -errno. NULL: there is none. */
	int (*input)(struct api_host *host, size_t at, struct api_input *out);
	/* Has the daemon run a call (a row with a run_daemon) and waits for its end, as long as
	 * wait says. args is taken, and gets the "timeout"; item (may be NULL) is given what the
	 * call yields. 0; -ENOLINK: no daemon runs; -errno, of which *why (malloc'd, may be NULL)
	 * tells more. NULL: as -ENOLINK. */
	int (*ask)(struct api_host *host, const char *call, json_t *args, struct wait *wait,
		   api_asked_fn *item, void *ctx, char **why);
	/* What this node announces has changed: cid came (NULL: one went). NULL: nobody to tell. */
	void (*provided)(struct api_host *host, const struct cid *cid);
	/* The shares whose trees this process may open: of a daemon that runs they are its own.
	 * NULL: none. */
	struct shares *(*shares)(struct api_host *host);
};

struct api_call {
	const struct api_row *row;
	json_t *args; /* checked; borrowed */
	void *host;   /* as row says */
	const struct api_sink *sink;
	/* Set by a run_daemon that goes on after it returned: the face gives the call up. api_end()
	 * must still be called, then or later. */
	void (*on_cancel)(void *ctx);
	void *cancel_ctx;
	bool cancelled; /* set by api_cancel() */
	bool complete;	/* set by a row: its items are all there, though it ends with an error */
	struct wait *waited; /* the last that api_wait() gave, which knows why it failed */
};

/* Runs the call: in a daemon (host is one) or here. args are checked already. */
void api_run(struct api_call *call, bool in_daemon);
void api_cancel(struct api_call *call);

/* For rows. */
void api_item(struct api_call *call, json_t *item); /* takes item */
/* Takes details, a list of texts or NULL. */
void api_trouble(struct api_call *call, json_t *details, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A piece of bytes to the face: 0, or -errno, with which the call is to end: the face tells why.
 * Nothing that others wait for, such as a view of the store, may be held meanwhile. */
int api_bytes(struct api_call *call, struct bytes data);
/* NULL: that work is done. */
void api_progress(struct api_call *call, const struct api_progress *progress);
/* The last of a call. message NULL: err tells enough. */
void api_end(struct api_call *call, int err, const char *message);
/* The same with err's text behind the message, and what the last wait knows of it. */
void api_fail(struct api_call *call, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same without it. */
void api_refuse(struct api_call *call, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* As api_fail(), with err in the system's own words ("No space left on device"): for files outside
 * the repository. */
void api_fail_file(struct api_call *call, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void api_on_cancel(struct api_call *call, void (*cancelled)(void *ctx), void *ctx);
/* Of a blocking row, not of an API_BARE one: the repository. */
struct repo *api_repo(const struct api_call *call);
/* Of a blocking row: the next wait for one answer, as long as "timeout" says; and one without end.
 */
struct wait *api_wait(struct api_call *call);
struct wait *api_wait_long(struct api_call *call);
/* Of a blocking row: blocks from the store, and from the network if fetch is set. The caller frees
 * them with blocks_free() before the end of the call. */
struct blocks *api_blocks(struct api_call *call, bool fetch);
/* Of a blocking row: the input at (0 is the first), to be closed: 0; -ENODATA: there are no more;
 * -errno. Reading all of one, appended to out: 0; -EMSGSIZE beyond max bytes; -EINTR; -errno. */
int api_input(struct api_call *call, size_t at, struct api_input *out);
int api_input_read(struct api_call *call, const struct api_input *input, size_t max,
		   struct buf *out);
void api_input_close(struct api_input *input);
/* Of a blocking row: cid is a root that others shall find here, or is none any more; recorded, and
 * the daemon told. Failures only show in the log. */
void api_announce(struct api_call *call, const struct cid *cid);
void api_withdraw(struct api_call *call, const struct cid *cid);
/* Of a blocking row: the CID that a path names; api_find() takes a file or directory in a mount
 * too, which tells its CID. 0; -errno after the call was ended with that. */
int api_resolve(struct api_call *call, struct blocks *blocks, const char *path, struct cid *out);
int api_find(struct api_call *call, struct blocks *blocks, const char *path, struct cid *out);
/* The path with its name resolved (api_names.h), malloc'd. 0; -errno after the end of the call. */
int api_unname(struct api_call *call, const char *path, char **out);
/* The same without a call: of host, repo, repo_path and ask are used. *why (malloc'd) has the whole
 * message when it fails; base as in "cid-base", 0 for none. */
int api_path_resolve(struct api_host *host, struct blocks *blocks, const char *path,
		     struct wait *wait, char base, struct cid *out, char **why);

#endif
