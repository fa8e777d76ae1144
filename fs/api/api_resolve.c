/* resolve: where a path leads. Blocking, on the thread that asks. */
#include "fs/api/api_names.h"
#include "fs/api/api_runs.h"

#include <stdlib.h>

static const struct option_spec resolve_options[] = {
	{ "recursive", 'r', OPTION_FLAG, NULL, "until it is a CID; false: one name, one step",
	  "true" },
	{ 0 },
};

static void run_step(struct api_call *call, const char *path)
{
	char *out, *why = NULL;
	int err = api_name_resolve(call->host, path, 1, api_wait(call), &out, &why);

	if (!err)
		api_item(call, json_pack("{s:o}", "Path", json_string_nocheck(out)));
	free(out);
	api_end(call, err, why);
	free(why);
}

static void run_resolve(struct api_call *call)
{
	const char *path = api_word(call->args, 0);
	char text[CID_TEXT_MAX];
	struct blocks *blocks;
	struct cid cid;
	int err;

	if (api_is_name(path) && !api_flag(call->args, "recursive")) {
		run_step(call, path);
		return;
	}
	blocks = api_blocks(call, true);
	err = api_resolve(call, blocks, path, &cid);
	blocks_free(blocks);
	if (err)
		return;
	api_item(call, json_pack("{s:o}", "Path",
				 json_sprintf("/ipfs/%s", api_cid_text(call->args, &cid, text))));
	api_end(call, 0, NULL);
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
	.text = resolve_text,
	.run = run_resolve,
};
