/* name inspect, get, put: records of names as bytes. Blocking, on the thread that asks. */
#include "fs/api/api_ipns.h"
#include "fs/api/api_names.h"
#include "fs/api/api_runs.h"
#include "fs/cli_text.h"
#include "fs/repo.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"
#include "net/wire/multibase.h"
#include "routing/names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_TEXT_MAX (4 * ROUTING_VALUE_MAX)
#define DURATION_TEXT_MAX 48

/* ---- forms ---- */

/* As Go writes durations: 30m0s, 1.5s, 20ms. */
static const char *duration_text(uint64_t ns, char out[static DURATION_TEXT_MAX])
{
	uint64_t unit = ns < 1000	  ? 1
			: ns < 1000000	  ? 1000
			: ns < 1000000000 ? 1000000
					  : 1000000000;
	const char *name = ns < 1000 ? "ns" : ns < 1000000 ? "\xc2\xb5s" : "ms";
	uint64_t s = ns / 1000000000, fraction = ns % unit;
	int digits = unit == 1 ? 0 : unit == 1000 ? 3 : unit == 1000000 ? 6 : 9, len;

	if (ns == 0)
		len = snprintf(out, DURATION_TEXT_MAX, "0");
	else if (unit < 1000000000)
		len = snprintf(out, DURATION_TEXT_MAX, "%" PRIu64, ns / unit);
	else if (s < 60)
		len = snprintf(out, DURATION_TEXT_MAX, "%" PRIu64, s);
	else if (s < 3600)
		len = snprintf(out, DURATION_TEXT_MAX, "%" PRIu64 "m%" PRIu64, s / 60, s % 60);
	else
		len = snprintf(out, DURATION_TEXT_MAX, "%" PRIu64 "h%" PRIu64 "m%" PRIu64, s / 3600,
			       s / 60 % 60, s % 60);
	if (fraction) {
		len += snprintf(out + len, DURATION_TEXT_MAX - (size_t)len, ".%0*" PRIu64, digits,
				fraction);
		while (out[len - 1] == '0')
			len--;
	}
	snprintf(out + len, DURATION_TEXT_MAX - (size_t)len, "%s",
		 ns == 0 || unit == 1000000000 ? "s" : name);
	return out;
}

static void hex_line(struct buf *out, size_t at, struct bytes line)
{
	char text[24];

	snprintf(text, sizeof(text), "%08zx ", at);
	buf_add_str(out, text);
	for (size_t i = 0; i < 16; i++) {
		if (i < line.len)
			snprintf(text, sizeof(text), " %02x", line.at[i]);
		else
			snprintf(text, sizeof(text), "   ");
		buf_add_str(out, text);
		if (i == 7 || i == 15)
			buf_add_str(out, " ");
	}
	buf_add_str(out, " |");
	for (size_t i = 0; i < line.len; i++)
		buf_add_u8(out, line.at[i] < 0x20 || line.at[i] > 0x7e ? '.' : line.at[i]);
	buf_add_str(out, "|\n");
}

/* As hexdump -C, without its last line. */
static json_t *hex_dump(struct bytes bytes)
{
	struct buf out = { 0 };
	json_t *json;

	for (size_t at = 0; at < bytes.len; at += 16) {
		size_t left = bytes.len - at;

		hex_line(&out, at, bytes_of(bytes.at + at, left < 16 ? left : 16));
	}
	json = json_stringn((const char *)out.at, out.len);
	buf_release(&out);
	return json;
}

/* False after the end of the call. */
static bool read_input(struct api_call *call, size_t at, struct buf *out)
{
	struct api_input input;
	int err = api_input(call, at, &input);

	if (!err) {
		err = api_input_read(call, &input, ROUTING_VALUE_MAX, out);
		api_input_close(&input);
	}
	if (err == -EMSGSIZE)
		api_refuse(call, err, "%s is larger than a record may be (%d bytes)", input.name,
			   ROUTING_VALUE_MAX);
	else if (err)
		api_fail_file(call, err, "cannot read %s", input.name);
	return err == 0;
}

/* ---- inspect ---- */

static const struct option_spec inspect_options[] = {
	{ "verify", 0, OPTION_TEXT, "NAME", "whether this name's key has signed it", NULL },
	{ "dump", 0, OPTION_FLAG, NULL, "show its bytes", "true" },
	{ 0 },
};

static const char *invalid_text(int err, const struct name_record *record)
{
	if (!err)
		return record->expired ? "record is expired" : "";
	return err == -EKEYREJECTED ? "signature verification failed" : err_text(err);
}

static json_t *validation(struct bytes bytes, const struct peer_id *name)
{
	struct name_record record;
	char text[API_IPNS_TEXT_MAX];
	int err = name_record_check(&record, name, bytes, wallclock_ns());

	return json_pack("{s:b, s:s, s:s}", "Valid", !err && !record.expired, "Reason",
			 invalid_text(err, &record), "Name", api_ipns_text(name, text));
}

static void inspect(struct api_call *call, struct bytes bytes, const struct peer_id *name)
{
	struct name_record record;
	char eol[NAME_EOL_TEXT_MAX];
	int err = name_record_read(&record, bytes, wallclock_ns());
	json_t *entry;

	if (err) {
		api_refuse(call, err, "record is malformed");
		return;
	}
	entry = json_pack("{s:o, s:i, s:s, s:I, s:I}", "Value",
			  json_stringn_nocheck((const char *)record.value.at, record.value.len),
			  "ValidityType", 0, "Validity", name_record_eol(&record, eol), "Sequence",
			  (json_int_t)record.sequence, "TTL", (json_int_t)record.ttl_ns);
	api_item(call, json_pack("{s:o, s:I, s:s, s:o, s:o}", "Entry", entry, "PbSize",
				 (json_int_t)bytes.len, "SignatureType",
				 record.has_v1 ? "V1+V2" : "V2", "HexDump",
				 api_flag(call->args, "dump") ? hex_dump(bytes) : json_string(""),
				 "Validation", name ? validation(bytes, name) : json_null()));
	api_end(call, 0, NULL);
}

static void run_inspect(struct api_call *call)
{
	const char *verify = api_text(call->args, "verify");
	struct buf bytes = { 0 };
	struct peer_id name;

	if (verify && api_ipns_find(call->host, verify, &name))
		api_refuse(call, -EINVAL, "--verify: that is no name of a key");
	else if (read_input(call, 0, &bytes))
		inspect(call, buf_bytes(&bytes), verify ? &name : NULL);
	buf_release(&bytes);
}

static void validation_text(FILE *out, const json_t *result)
{
	const char *reason = api_member(result, "Reason");

	fputs("\nValidation results:\n", out);
	if (json_is_true(json_object_get(result, "Valid")))
		fprintf(out, " Valid: true\n Name:  %s\n", api_member(result, "Name"));
	else
		fprintf(out, " Valid:  false\n Reason: %s\n Name:   %s\n", reason,
			api_member(result, "Name"));
}

static void inspect_text(FILE *out, const json_t *args, const json_t *item)
{
	const json_t *entry = json_object_get(item, "Entry"),
		     *value = json_object_get(entry, "Value"),
		     *result = json_object_get(item, "Validation");
	char *safe = xcalloc(1, VALUE_TEXT_MAX), ttl[DURATION_TEXT_MAX];

	cli_safe(safe, VALUE_TEXT_MAX, json_string_value(value), json_string_length(value));
	fprintf(out, "Value:          \"%s\"\n", safe);
	fprintf(out, "Validity Type:  %d\n", (int)api_number(entry, "ValidityType"));
	fprintf(out, "Validity:       \"%s\"\n", api_member(entry, "Validity"));
	fprintf(out, "Sequence:       %lld\n", (long long)api_number(entry, "Sequence"));
	fprintf(out, "TTL:            %s\n",
		duration_text((uint64_t)api_number(entry, "TTL"), ttl));
	fprintf(out, "Protobuf Size:  %lld\n", (long long)api_number(item, "PbSize"));
	fprintf(out, "Signature Type: %s\n", api_member(item, "SignatureType"));
	if (json_is_object(result))
		validation_text(out, result);
	else
		fputs("\nThis record was not verified. Pass '--verify k51...' to verify.\n", out);
	if (api_flag(args, "dump"))
		fprintf(out, "\nHex Dump:\n%s", api_member(item, "HexDump"));
	free(safe);
}

const struct api_row api_name_inspect = {
	.command = { "name inspect", "[RECORD]", 0, 1, "show what a record of a name says",
		     "RECORD is a file, or - for the standard input, as `name get` writes it.",
		     inspect_options, NULL },
	.text = inspect_text,
	.run = run_inspect,
};

/* ---- get ---- */

static void run_get(struct api_call *call)
{
	const char *word = api_word(call->args, 0);
	const struct api_name_want want = { .no_cache = true };
	struct buf record = { 0 };
	struct peer_id name;
	char *why = NULL;
	int err = api_ipns_find(call->host, word, &name);

	if (err) {
		api_refuse(call, -EINVAL, "that is no name of a key");
		return;
	}
	err = api_name_record(call->host, &name, false, &want, api_wait(call), &record, &why);
	if (!err)
		api_end(call, api_bytes(call, buf_bytes(&record)), NULL);
	else if (err == -ENOLINK || why)
		api_end(call, err, why);
	else
		api_fail(call, err, "cannot get the record");
	free(why);
	buf_release(&record);
}

const struct api_row api_name_get = {
	.command = { "name get", "NAME", 1, 1, "write the record of a name",
		     "It is the best that is found: raw bytes, for `name inspect` and `name put`.",
		     NULL, NULL },
	.flags = API_BYTES,
	.run = run_get,
};

/* ---- put ---- */

static const struct option_spec put_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL, "also when a better one is known", NULL },
	{ "allow-offline", 0, OPTION_FLAG, NULL, "also when nobody can be told", NULL },
	{ "quiet", 'q', OPTION_FLAG, NULL, "print nothing", NULL },
	{ 0 },
};

/* NULL, or why the record is not to be put: malloc'd. */
static char *unfit(struct api_call *call, const struct peer_id *name, struct bytes bytes,
		   struct name_record *record)
{
	const struct api_name_want want = { .no_cache = true };
	struct buf known = { 0 };
	char *why = NULL, *text = NULL;
	int err = name_record_check(record, name, bytes, wallclock_ns());

	if (err || record->expired)
		return xasprintf("record validation failed: %s",
				 err == -EBADMSG ? "record is malformed"
						 : invalid_text(err, record));
	if (api_flag(call->args, "force"))
		return NULL;
	err = api_name_record(call->host, name, false, &want, api_wait(call), &known, &why);
	if (!err && name_record_compare(bytes, buf_bytes(&known)) < 0)
		text = xstrdup("a better record of the name is known (a higher sequence, or a "
			       "longer life)");
	free(why);
	buf_release(&known);
	return text;
}

static int name_record_give(struct api_call *call, const struct peer_id *name, struct bytes bytes,
			    char **why)
{
	struct api_host *host = call->host;
	char text[PEER_ID_TEXT_MAX];
	struct buf base = { 0 };
	json_t *args;
	int err;

	base_encode(&base, BASE64, bytes);
	args = json_pack("{s:[s], s:s#}", "arg", peer_id_text(name, text), "record",
			 (const char *)base.at, (int)base.len);
	buf_release(&base);
	if (!host->ask) {
		json_decref(args);
		return -ENOLINK;
	}
	err = host->ask(host, "name-give", args, api_wait(call), NULL, NULL, why);
	return err;
}

static void name_record_put(struct api_call *call, const struct peer_id *name, struct bytes bytes)
{
	struct repo *repo = api_repo(call);
	char text[API_IPNS_TEXT_MAX], *why = NULL;
	struct name_record record;
	char *bad = unfit(call, name, bytes, &record);
	int err;

	if (bad) {
		api_refuse(call, -EINVAL, "%s", bad);
		free(bad);
		return;
	}
	err = name_record_give(call, name, bytes, &why);
	if (err && err != -EINTR && api_flag(call->args, "allow-offline")) {
		err = name_keep(repo->db, name, bytes);
		if (err == -ESTALE)
			err = 0;
	}
	if (!err)
		api_item(call, json_pack("{s:s, s:o}", "Name", api_ipns_text(name, text), "Value",
					 json_stringn_nocheck((const char *)record.value.at,
							      record.value.len)));
	if (err == -ENOLINK)
		api_refuse(call, -ENETDOWN,
			   "can't put while offline: pass `--allow-offline` to override");
	else if (err)
		api_refuse(call, err, "nobody took the record: %s", why ? why : err_text(err));
	else
		api_end(call, 0, NULL);
	free(why);
}

static void run_put(struct api_call *call)
{
	struct buf bytes = { 0 };
	struct peer_id name;

	if (api_ipns_find(call->host, api_word(call->args, 0), &name))
		api_refuse(call, -EINVAL, "that is no name of a key");
	else if (read_input(call, 1, &bytes))
		name_record_put(call, &name, buf_bytes(&bytes));
	buf_release(&bytes);
}

static void put_text(FILE *out, const json_t *args, const json_t *item)
{
	if (!api_flag(args, "quiet"))
		fprintf(out, "%s\n", api_member(item, "Name"));
}

const struct api_row api_name_put = {
	.command = { "name put", "NAME RECORD", 2, 2, "tell the network a record of any name",
		     "RECORD is a file with a record that the name's owner signed, or - for the "
		     "standard input.",
		     put_options, NULL },
	.text = put_text,
	.run = run_put,
};
