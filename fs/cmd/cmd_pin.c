/* pin add, update, rm, verify. */
#include "fs/cli.h"

#include "net/base/alloc.h"
#include "net/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A CID, a path below one, or else a file in a mount. 0 or an exit code. */
static int find(struct invocation *in, struct blocks *blocks, const char *path, struct cid *out)
{
	char *why = NULL;
	int err = api_path_find(blocks, path, cli_wait(in), in->cid_base, out, &why);
	int code = err ? cli_fail_as(in, err, why) : EXIT_OK;

	free(why);
	return code;
}

/* done: texts of CIDs, for JSON; also what was done before a failure is told. */
static int on_paths(struct invocation *in, int (*one)(struct invocation *in, struct blocks *blocks,
						      const char *path, json_t *done))
{
	struct blocks *blocks;
	json_t *done;
	int code = cli_need_repo(in);

	if (code)
		return code;
	done = json_array();
	blocks = cli_blocks(in);
	for (int i = 0; i < in->argc && !code; i++)
		code = one(in, blocks, in->argv[i], done);
	blocks_free(blocks);
	if (in->json && json_array_size(done))
		cli_print_json(json_pack("{s:O}", "Pins", done));
	json_decref(done);
	return code;
}

/* ---- add ---- */

static const struct option_spec add_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "everything below too", "true" },
	{ "name", 'n', OPTION_TEXT, "NAME", "a name to find it by", NULL },
	{ "progress", 0, OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

static void on_progress(void *ctx, const struct pin_progress *done)
{
	progress_total(ctx, done->total_bytes);
	progress_set(ctx, done->bytes, done->blocks);
}

static int add_one(struct invocation *in, struct blocks *blocks, const char *path, json_t *done)
{
	const char *name = cli_given(in, "name") ? cli_text(in, "name") : "";
	bool recursive = cli_flag(in, "recursive");
	struct progress *progress = NULL;
	char text[CID_TEXT_MAX];
	struct cid cid;
	int err, code = find(in, blocks, path, &cid);

	if (code)
		return code;
	cli_cid(in, &cid, text);
	if (cli_flag(in, "progress"))
		progress = progress_start("pinned", 0);
	err = pin_add(in->repo->db, blocks, &cid, recursive ? PIN_RECURSIVE : PIN_DIRECT, name,
		      cli_wait(in), in->timeout_ms, on_progress, progress);
	progress_end(progress);
	if (err == -ECANCELED)
		return cli_fail(in, 0, "pin: %s was unpinned meanwhile", text);
	if (err)
		return cli_fail(in, err, "pin: cannot pin %s", text);
	json_array_append_new(done, json_string(text));
	if (!in->json)
		printf("pinned %s %s\n", text, recursive ? "recursively" : "directly");
	cli_announce(in, &cid);
	return EXIT_OK;
}

static int run_add(struct invocation *in)
{
	return on_paths(in, add_one);
}

const struct command cmd_pin_add = {
	"pin add",
	"PATH...",
	1,
	-1,
	"fetch what is missing of a tree, and keep it",
	"PATH is a CID, a path below one, or a file or directory in a mount. An interrupted pin "
	"goes on where it stopped "
	"when the command is given again, and by itself while a daemon runs.",
	add_options,
	run_add,
};

/* ---- update ---- */

static const struct option_spec update_options[] = {
	{ "unpin", 0, OPTION_FLAG, NULL, "keep the old one no longer", "true" },
	{ "progress", 0, OPTION_FLAG, NULL, "show progress on a terminal", "true" },
	{ 0 },
};

/* No pin any more: nothing to announce. */
static void withdraw(struct invocation *in, const struct cid *cid)
{
	if (!repo_provide(in->repo, cid, false))
		cli_provide_changed(in);
}

static int update(struct invocation *in, struct blocks *blocks)
{
	char from_text[CID_TEXT_MAX], to_text[CID_TEXT_MAX];
	struct progress *progress = NULL;
	bool unpin = cli_flag(in, "unpin");
	struct cid from, to;
	int err, code = find(in, blocks, in->argv[0], &from);

	if (!code)
		code = find(in, blocks, in->argv[1], &to);
	if (code)
		return code;
	cli_cid(in, &from, from_text);
	cli_cid(in, &to, to_text);
	if (cli_flag(in, "progress"))
		progress = progress_start("updated", 0);
	err = pin_update(in->repo->db, blocks, &from, &to, unpin, cli_wait(in), in->timeout_ms,
			 on_progress, progress);
	progress_end(progress);
	if (err == -ENOENT || err == -EEXIST)
		return cli_fail(in, 0, "'%s' is not pinned recursively", from_text);
	if (err == -ECANCELED)
		return cli_fail(in, 0, "pin: %s was unpinned meanwhile", to_text);
	if (err)
		return cli_fail(in, err, "pin: cannot pin %s", to_text);
	if (in->json)
		cli_print_json(json_pack("{s:[s,s]}", "Pins", from_text, to_text));
	else
		printf("updated %s to %s\n", from_text, to_text);
	cli_announce(in, &to);
	if (unpin && !cid_equal(&from, &to))
		withdraw(in, &from);
	return EXIT_OK;
}

static int run_update(struct invocation *in)
{
	struct blocks *blocks;
	int code = cli_need_repo(in);

	if (code)
		return code;
	blocks = cli_blocks(in);
	code = update(in, blocks);
	blocks_free(blocks);
	return code;
}

const struct command cmd_pin_update = {
	"pin update",
	"OLD NEW",
	2,
	2,
	"keep NEW in the place of OLD, fetching only what differs",
	"OLD must be pinned recursively. Its name goes over to NEW, unless NEW has one.",
	update_options,
	run_update,
};

/* ---- rm ---- */

static const struct option_spec rm_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "recursive pins too; false: direct ones alone",
	  "true" },
	{ 0 },
};

static int rm_one(struct invocation *in, struct blocks *blocks, const char *path, json_t *done)
{
	bool recursive = cli_flag(in, "recursive");
	char text[CID_TEXT_MAX];
	struct pin left;
	struct cid cid;
	int err, code = find(in, blocks, path, &cid);

	if (code)
		return code;
	cli_cid(in, &cid, text);
	err = pin_rm(in->repo->db, &cid, recursive ? PIN_RECURSIVE : PIN_DIRECT);
	if (err == -EEXIST && recursive)
		err = pin_rm(in->repo->db, &cid, PIN_DIRECT);
	if (err == -ENOENT)
		return cli_fail(in, 0, "%s is not pinned", text);
	if (err == -EEXIST)
		return cli_fail(in, 0, "%s is pinned recursively", text);
	if (err)
		return cli_fail(in, err, "cannot unpin %s", text);
	/* Of one wanted recursively the direct one stays, or the other way round. */
	if (pin_get(in->repo->db, &cid, &left) == -ENOENT)
		withdraw(in, &cid);
	json_array_append_new(done, json_string(text));
	if (!in->json)
		printf("unpinned %s\n", text);
	return EXIT_OK;
}

static int run_rm(struct invocation *in)
{
	return on_paths(in, rm_one);
}

const struct command cmd_pin_rm = {
	"pin rm", "PATH...",  1,      -1, "keep it no longer; `repo gc` makes room",
	NULL,	  rm_options, run_rm,
};

/* ---- verify ---- */

static const struct option_spec verify_options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL, "show good pins too", NULL },
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs of broken pins", NULL },
	{ 0 },
};

#define BAD_NODES_MAX 65536 /* of one pin that are told in JSON */

struct verify {
	struct invocation *in;
	struct pin_verifier *verifier;
	const struct cid *pin;
	const char *root;
	json_t *bad; /* of this pin, for JSON */
	unsigned bad_blocks, bad_pins;
};

/* One line of JSON as Kubo's. */
static void print_verified(struct verify *verify, const char *err)
{
	json_t *value = json_pack("{s:s}", "Cid", verify->root);

	if (err)
		json_object_set_new(value, "Err", json_string(err));
	else if (json_array_size(verify->bad))
		json_object_set(value, "BadNodes", verify->bad);
	else
		json_object_set_new(value, "Ok", json_true());
	cli_print_json(value);
}

static void tell_incomplete(struct verify *verify)
{
	if (verify->in->json)
		print_verified(verify, "incomplete: `pin add` was interrupted");
	else if (!cli_flag(verify->in, "quiet"))
		printf("%s incomplete: `pin add` was interrupted\n", verify->root);
}

static void tell_bad_block(struct verify *verify, const struct cid *cid, int err)
{
	bool first = verify->bad_blocks++ == 0;
	char text[CID_TEXT_MAX];

	cli_cid(verify->in, cid, text);
	if (verify->in->json && json_array_size(verify->bad) < BAD_NODES_MAX)
		json_array_append_new(verify->bad,
				      json_pack("{s:s, s:s}", "Cid", text, "Err", err_text(err)));
	else if (!verify->in->json && !cli_flag(verify->in, "quiet"))
		printf("%s broken: block %s: %s\n", verify->root, text, err_text(err));
	else if (!verify->in->json && first)
		puts(verify->root);
}

static int on_bad(void *ctx, const struct cid *cid, int err)
{
	struct verify *verify = ctx;
	struct pin now;

	/* Unpinned and collected meanwhile: not broken. */
	if (pin_get(verify->in->repo->db, verify->pin, &now) != -ENOENT)
		tell_bad_block(verify, cid, err);
	return cli_interrupted() ? -EINTR : 0;
}

static int verify_pin(void *ctx, const struct pin *pin)
{
	struct verify *verify = ctx;
	char text[CID_TEXT_MAX];
	int err;

	verify->pin = &pin->cid;
	verify->root = cli_cid(verify->in, &pin->cid, text);
	if (pin->state != PIN_DONE) {
		tell_incomplete(verify);
		return 0;
	}
	verify->bad_blocks = 0;
	verify->bad = json_array();
	err = pin_verifier_check(verify->verifier, pin, on_bad, verify);
	if (!err && verify->bad_blocks)
		verify->bad_pins++;
	if (!err && verify->in->json && (verify->bad_blocks || cli_flag(verify->in, "verbose")))
		print_verified(verify, NULL);
	else if (!err && !verify->bad_blocks && cli_flag(verify->in, "verbose"))
		printf("%s ok\n", verify->root);
	json_decref(verify->bad);
	return err;
}

static int run_verify(struct invocation *in)
{
	struct verify verify = { .in = in };
	struct blocks *blocks;
	int err, code = cli_need_repo(in);

	if (code)
		return code;
	blocks = blocks_new(in->repo->store, NULL);
	verify.verifier = pin_verifier_new(blocks, cli_wait_long(in));
	err = pin_each(in->repo->db, verify_pin, &verify);
	pin_verifier_free(verify.verifier);
	blocks_free(blocks);
	if (err)
		return cli_fail(in, err, "verification stopped");
	return verify.bad_pins ? EXIT_FAILED : EXIT_OK;
}

const struct command cmd_pin_verify = {
	"pin verify",
	"",
	0,
	0,
	"check that every block of every pin is stored and intact",
	NULL,
	verify_options,
	run_verify,
};
