#include "tests/vector.h"

#include "net/base/alloc.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *path_of(const char *name)
{
	const char *dir = getenv("DAGFS_VECTORS");

	return xasprintf("%s/%s", dir && *dir ? dir : "tests/vectors", name);
}

json_t *vector_json(const char *name)
{
	json_error_t error;
	char *path = path_of(name);
	json_t *json = json_load_file(path, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);

	if (!json)
		print_error("%s:%d: %s\n", path, error.line, error.text);
	free(path);
	if (!json)
		fail();
	return json;
}

void vector_load(struct buf *out, const char *name)
{
	char *path = path_of(name);
	FILE *file = fopen(path, "rb");
	size_t got;

	if (!file)
		print_error("%s: cannot open\n", path);
	free(path);
	if (!file) {
		fail();
		return;
	}
	while ((got = fread(buf_reserve(out, 65536), 1, 65536, file)) > 0)
		out->len += got;
	fclose(file);
}

static int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = digit ? strchr(digits, tolower((unsigned char)digit)) : NULL;

	return found ? (int)(found - digits) : -1;
}

void hex_decode(struct buf *out, const char *hex)
{
	while (*hex) {
		if (*hex == ' ' || *hex == '\n') {
			hex++;
			continue;
		}
		int high = hex_digit(hex[0]);
		int low = hex_digit(hex[1]);

		if (high < 0 || low < 0)
			fail_msg("not hex: \"%.40s\"", hex);
		buf_add_u8(out, (uint8_t)(high << 4 | low));
		hex += 2;
	}
}

char *hex_text(struct bytes bytes)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < bytes.len; i++)
		buf_printf(&out, "%02x", bytes.at[i]);
	return buf_take_text(&out);
}

const char *vector_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	if (!text)
		fail_msg("vector has no string \"%s\"", key);
	return text;
}

void vector_hex(struct buf *out, const json_t *json, const char *key)
{
	hex_decode(out, vector_text(json, key));
}

void assert_bytes_equal_at(struct bytes a, struct bytes b, const char *file, int line)
{
	if (bytes_equal(a, b))
		return;
	char *a_hex = hex_text(a);
	char *b_hex = hex_text(b);

	print_error("%zu bytes %s\n!= %zu bytes %s\n", a.len, a_hex, b.len, b_hex);
	free(a_hex);
	free(b_hex);
	_fail(file, line);
}
