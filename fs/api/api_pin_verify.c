/* pin verify: is all of every pin stored and intact? Nothing is fetched or repaired. Blocking, on
 * the thread that asks. */
#include "fs/api/api_runs.h"

#include "fs/repo.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#define BAD_NODES_MAX 65536 /* of one pin that are told in JSON */
#define INCOMPLETE "incomplete: `pin add` was interrupted"

static const struct option_spec verify_options[] = {
	{ "verbose", 'v', OPTION_FLAG, NULL, "show good pins too", NULL },
	{ "quiet", 'q', OPTION_FLAG, NULL, "only the CIDs of broken pins", NULL },
	{ 0 },
};

struct verify {
	struct api_call *call;
	struct pin_verifier *verifier;
	const struct cid *pin;
	char root[CID_TEXT_MAX];
	json_t *bad; /* of this pin, for JSON */
	unsigned bad_blocks, bad_pins;
};

static struct db *db_of(const struct verify *verify)
{
	return api_repo(verify->call)->db;
}

/* A line of text by itself at once; in JSON it is one of the pin's. Texts of any number are told.
 */
static void tell_bad_block(struct verify *verify, const struct cid *cid, int err)
{
	char text[CID_TEXT_MAX];

	api_cid_text(verify->call->args, cid, text);
	api_item(verify->call,
		 json_pack("{s:s, s:s, s:s, s:b}", "_Cid", verify->root, "_Bad", text, "_Err",
			   err_text(err), "_First", verify->bad_blocks++ == 0));
	if (json_array_size(verify->bad) < BAD_NODES_MAX)
		json_array_append_new(verify->bad,
				      json_pack("{s:s, s:s}", "Cid", text, "Err", err_text(err)));
}

static int on_bad(void *ctx, const struct cid *cid, int err)
{
	struct verify *verify = ctx;
	struct pin now;

	/* Unpinned and collected meanwhile: not broken. */
	if (pin_get(db_of(verify), verify->pin, &now) != -ENOENT)
		tell_bad_block(verify, cid, err);
	return wait_check(verify->call->waited);
}

static int verify_pin(void *ctx, const struct pin *pin)
{
	struct verify *verify = ctx;
	int err;

	verify->pin = &pin->cid;
	api_cid_text(verify->call->args, &pin->cid, verify->root);
	if (pin->state != PIN_DONE) {
		api_item(verify->call,
			 json_pack("{s:s, s:s}", "Cid", verify->root, "Err", INCOMPLETE));
		return 0;
	}
	verify->bad_blocks = 0;
	verify->bad = json_array();
	err = pin_verifier_check(verify->verifier, pin, on_bad, verify);
	verify->bad_pins += !err && verify->bad_blocks;
	if (!err && verify->bad_blocks)
		api_item(verify->call,
			 json_pack("{s:s, s:O}", "Cid", verify->root, "BadNodes", verify->bad));
	else if (!err && api_flag(verify->call->args, "verbose"))
		api_item(verify->call, json_pack("{s:s, s:b}", "Cid", verify->root, "Ok", 1));
	json_decref(verify->bad);
	return err;
}

static void run_verify(struct api_call *call)
{
	struct verify verify = { .call = call };
	struct blocks *blocks = api_blocks(call, false);
	int err;

	verify.verifier = pin_verifier_new(blocks, api_wait_long(call));
	err = pin_each(db_of(&verify), verify_pin, &verify);
	pin_verifier_free(verify.verifier);
	blocks_free(blocks);
	if (err)
		api_fail(call, err, "verification stopped");
	else
		api_end(call, verify.bad_pins ? API_SOME_FAILED : 0, "some pins are broken");
}

static void verify_text(FILE *out, const json_t *args, const json_t *item)
{
	bool quiet = api_flag(args, "quiet");

	if (json_object_get(item, "_Bad") && !quiet)
		fprintf(out, "%s broken: block %s: %s\n", api_member(item, "_Cid"),
			api_member(item, "_Bad"), api_member(item, "_Err"));
	else if (api_flag(item, "_First"))
		fprintf(out, "%s\n", api_member(item, "_Cid"));
	else if (json_object_get(item, "Err") && !quiet)
		fprintf(out, "%s %s\n", api_member(item, "Cid"), api_member(item, "Err"));
	else if (json_object_get(item, "Ok"))
		fprintf(out, "%s ok\n", api_member(item, "Cid"));
}

const struct api_row api_pin_verify = {
	.command = { "pin verify", "", 0, 0,
		     "check that every block of every pin is stored and intact", NULL,
		     verify_options, NULL },
	.text = verify_text,
	.run = run_verify,
};
