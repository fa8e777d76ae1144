/* Rules as in .gitignore, matched name by name with fnmatch(3). The last rule that fits decides, so
 * they are tried from the end. Any thread, once the rules are read. */
#include "dag/import.h"
#include "net/base/alloc.h"
#include "net/base/err.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
	char *text; /* the pattern's parts, each ended by NUL */
	unsigned parts;
	bool take_back; /* '!' */
	bool dirs_only; /* 'dir/' */
	bool from_top;	/* it had a '/': the whole path must fit, else the last name */
};

struct ignore {
	struct rule *rules;
	size_t count, cap;
};

struct ignore *ignore_new(void)
{
	return xnew(struct ignore);
}

void ignore_free(struct ignore *ignore)
{
	if (!ignore)
		return;
	for (size_t i = 0; i < ignore->count; i++)
		free(ignore->rules[i].text);
	free(ignore->rules);
	free(ignore);
}

/* ---- reading rules ---- */

/* Without the end of the line and blanks at the end, but for an escaped one. */
static size_t line_len(const char *line)
{
	size_t len = strcspn(line, "\r\n");

	while (len > 0 && line[len - 1] == ' ' && !(len > 1 && line[len - 2] == '\\'))
		len--;
	return len;
}

/* Cuts text at its slashes; empty parts go. */
static void ignore_split(struct rule *rule)
{
	size_t at = 0, part = 0;

	for (const char *from = rule->text;; from++) {
		if (*from && *from != '/') {
			rule->text[at++] = *from;
			part++;
			continue;
		}
		bool last = !*from; /* what is written may be what is read next */

		if (part > 0) {
			rule->text[at++] = '\0';
			rule->parts++;
			part = 0;
		}
		if (last)
			return;
	}
}

int ignore_add(struct ignore *ignore, const char *line)
{
	struct rule rule = { 0 };
	size_t len = line_len(line);

	if (len > IGNORE_LINE_MAX)
		return -E2BIG;
	if (len > 0 && line[0] == '#')
		return 0;
	if (len > 0 && line[0] == '!') {
		rule.take_back = true;
		line++;
		len--;
	}
	while (len > 0 && line[len - 1] == '/') {
		rule.dirs_only = true;
		len--;
	}
	if (len == 0)
		return 0;
	if (ignore->count == IGNORE_RULES_MAX)
		return -E2BIG;
	rule.from_top = memchr(line, '/', len) != NULL;
	rule.text = xcalloc(1, len + 1);
	memcpy(rule.text, line, len);
	ignore_split(&rule);
	if (ignore->count == ignore->cap) {
		ignore->cap = ignore->cap ? ignore->cap * 2 : 16;
		ignore->rules = xrealloc(ignore->rules, ignore->cap * sizeof(*ignore->rules));
	}
	ignore->rules[ignore->count++] = rule;
	return 0;
}

int ignore_add_file(struct ignore *ignore, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	int err = 0;

	if (!file)
		return -errno;
	while (!err && (errno = 0, getline(&line, &room, file) >= 0))
		err = ignore_add(ignore, line);
	if (!err)
		err = -errno;
	free(line);
	fclose(file);
	return err;
}

/* ---- matching ---- */

/* The first name of a path without its leading '/', copied; *path moves behind it. */
static void take_name(const char **path, char name[static NAME_MAX + 1])
{
	size_t len = strcspn(*path, "/"), kept = len < NAME_MAX ? len : NAME_MAX;

	memcpy(name, *path, kept);
	name[kept] = '\0';
	*path += len + ((*path)[len] == '/');
}

/* Name by name. Going back to the last "**" is enough: what stood before it fitted, and fits
 * wherever that one ends. */
static bool path_fits(const struct rule *rule, const char *path)
{
	const char *part = rule->text, *star_part = NULL, *star_path = NULL;
	unsigned left = rule->parts, star_left = 0;
	char name[NAME_MAX + 1];

	while (*path || left > 0) {
		if (left > 0 && strcmp(part, "**") == 0) {
			part += strlen(part) + 1;
			if (--left == 0)
				return *path != '\0';
			star_part = part;
			star_left = left;
			star_path = path;
			continue;
		}
		if (!*path)
			return false;
		take_name(&path, name);
		if (left > 0 && fnmatch(part, name, 0) == 0) {
			part += strlen(part) + 1;
			left--;
			continue;
		}
		if (!star_part)
			return false;
		take_name(&star_path, name);
		path = star_path;
		part = star_part;
		left = star_left;
	}
	return true;
}

bool ignore_matches(const struct ignore *ignore, const char *path, bool is_dir)
{
	const char *name = strrchr(path, '/') + 1;

	for (size_t i = ignore->count; i-- > 0;) {
		const struct rule *rule = &ignore->rules[i];

		if (rule->dirs_only && !is_dir)
			continue;
		if (rule->from_top ? path_fits(rule, path + 1) : fnmatch(rule->text, name, 0) == 0)
			return !rule->take_back;
	}
	return false;
}
