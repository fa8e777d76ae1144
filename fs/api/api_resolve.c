/* resolve: where a path leads. Blocking, on the thread that asks. */
#include "fs/api/api_names.h"
#include "fs/api/api_runs.h"

#include "net/base/alloc.h"

#include <stdlib.h>

static const struct option_spec resolve_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "until it is a CID; false: one name, one step",
	  "true" },
	API_NAME_SEARCH_OPTIONS,
	{ 0 },
};

static void run_step(struct api_call *call, const char *path)
{
	const struct api_name_want want = api_name_want_of(call->args);
	char *out, *why = NULL;
	int err = api_name_resolve(call->host, path, 1, &want, api_wait(call), &out, NULL, &why);

	if (!err)
		api_item(call, json_pack("{s:o}", "Path", json_string_nocheck(out)));
	free(out);
	api_end(call, err, why);
	free(why);
}

/* A path of /ipfs; it may end within a block, which is then told with the rest. */
static void run_fixed(struct api_call *call, const char *path)
{
	struct blocks *blocks = api_blocks(call, true);
	const char *inner = "", *why;
	char text[CID_TEXT_MAX], *whole;
	struct dag_path parsed;
	struct cid cid;
	int err = dag_path_parse(path, &parsed, &why);

	if (!err)
		err = dag_resolve_node(blocks, &parsed.root, parsed.rest, api_wait(call), &cid,
				       &inner, NULL);
	if (err)
		err = api_resolve(call, blocks, path, &cid); /* tells which part it was */
	blocks_free(blocks);
	if (err)
		return;
	api_cid_text(call->args, &cid, text);
	whole = xasprintf("/ipfs/%s%s%s", text, *inner ? "/" : "", inner);
	api_item(call, json_pack("{s:o}", "Path", json_string_nocheck(whole)));
	free(whole);
	api_end(call, 0, NULL);
}

static void run_resolve(struct api_call *call)
{
	const struct api_name_want want = api_name_want_of(call->args);
	const char *path = api_word(call->args, 0);
	char *fixed, *why = NULL;

	if (api_is_name(path) && !api_flag(call->args, "recursive")) {
		run_step(call, path);
		return;
	}
	int err = api_name_resolve(call->host, path, API_NAME_STEPS_MAX, &want, api_wait(call),
				   &fixed, NULL, &why);

	if (err)
		api_end(call, err, why);
	else
		run_fixed(call, fixed);
	free(fixed);
	free(why);
}

static void resolve_text(FILE *out, const json_t *args, const json_t *item)
{
	(void)args;
	fprintf(out, "%s\n", api_member(item, "Path"));
}

const struct api_row api_resolve_path = {
	.command = { "resolve", "PATH", 1, 1, "tell where a path leads",
		     "PATH is a CID, a path below one, or one below a name: "
		     "/ipns/docs.ipfs.tech/a.\n"
		     "What a domain leads to is the TXT record of _dnslink.DOMAIN. DNS is asked "
		     "with --offline too. The name of a key is looked up by the daemon.",
		     resolve_options, NULL },
	.check = api_name_search_check,
	.text = resolve_text,
	.run = run_resolve,
};
