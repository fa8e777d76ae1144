/* Text that anybody may have written, for terminals and for JSON: control characters are escaped,
 * and bytes that are no UTF-8 are marked. Pure; any thread. */
#include "fs/cli.h"

#include <string.h>

#define ESCAPED_MAX                                                                                \
	8 /* bytes that one character becomes at most: two bytes of a control character as \\xNN   \
	   */

/* Bytes of the UTF-8 character at the beginning of text; 0: there is none. */
static size_t utf8_len(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t want = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

	if (!want || want > len || at[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < want; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong ones, surrogates, and what is beyond Unicode. */
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return want;
}

static bool is_control(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;

	return len == 1 ? at[0] < 0x20 || at[0] == 0x7f : at[0] == 0xc2 && at[1] < 0xa0;
}

/* The next character of text as it is shown; returns how many bytes of text it was. */
static size_t show(const char *text, size_t len, char out[static ESCAPED_MAX + 1])
{
	size_t used = utf8_len(text, len), count = used ? used : 1;

	if (used && !is_control(text, used)) {
		memcpy(out, text, used);
		out[used] = '\0';
		return used;
	}
	for (size_t i = 0; i < count; i++)
		snprintf(out + 4 * i, 5, "\\x%02x", (uint8_t)text[i]);
	return count;
}

const char *cli_safe(char *out, size_t size, const char *text, size_t len)
{
	char shown[ESCAPED_MAX + 1];
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		i += show(text + i, len - i, shown);
		if (used + strlen(shown) >= size)
			break;
		memcpy(out + used, shown, strlen(shown));
		used += strlen(shown);
	}
	out[used] = '\0';
	return out;
}

void cli_add_safe(struct buf *out, const char *text, size_t len)
{
	char shown[ESCAPED_MAX + 1];

	for (size_t i = 0; i < len;) {
		i += show(text + i, len - i, shown);
		buf_add_str(out, shown);
	}
}

json_t *cli_json_text(const char *text, size_t len)
{
	struct buf valid = { 0 };
	json_t *json;

	for (size_t i = 0; i < len;) {
		size_t used = utf8_len(text + i, len - i);

		if (used)
			buf_add(&valid, bytes_of(text + i, used));
		else
			buf_add_str(&valid, "\xef\xbf\xbd");
		i += used ? used : 1;
	}
	json = json_stringn_nocheck(valid.at ? (const char *)valid.at : "", valid.len);
	buf_release(&valid);
	return json;
}

static json_t *valid_object(const json_t *value)
{
	json_t *copy = json_object(), *member;
	const char *name;

	json_object_foreach((json_t *)value, name, member)
		json_object_set_new(copy, name, cli_json_valid(member));
	return copy;
}

json_t *cli_json_valid(const json_t *value)
{
	json_t *copy, *one;
	size_t i;

	if (json_is_string(value))
		return cli_json_text(json_string_value(value), json_string_length(value));
	if (json_is_object(value))
		return valid_object(value);
	if (!json_is_array(value))
		return json_copy((json_t *)value);
	copy = json_array();
	json_array_foreach(value, i, one)
		json_array_append_new(copy, cli_json_valid(one));
	return copy;
}
