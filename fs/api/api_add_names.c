/* Names of what is added, and whether they can stand in one directory. They are checked before
 * anything is read. The thread that runs the call. */
#include "fs/api/api_add.h"

#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/map.h"

#include <stdlib.h>
#include <string.h>

char *add_name(const char *path)
{
	char *copy = xstrdup(path), *name = NULL, *real = NULL, *slash;
	size_t len = strlen(copy);

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = 0;
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
		real = realpath(path, NULL);
		slash = real ? strrchr(real, '/') : NULL;
		name = slash ? slash + 1 : NULL;
	}
	name = name && *name ? xstrdup(name) : NULL;
	free(real);
	free(copy);
	return name;
}

/* Where path is, without following it itself: two such are one file when they are equal. */
static char *place_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *parent, *real, *place;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return realpath(path, NULL);
	parent = slash ? xasprintf("%.*s", (int)(slash - path + 1), path) : xstrdup(".");
	real = realpath(parent, NULL);
	place = real ? xasprintf("%s/%s", real, name) : NULL;
	free(real);
	free(parent);
	return place;
}

/* One more name in the directory around everything. Sets *again when it stands for the same file.
 */
static int take_name(struct add *add, struct map *names, const char *path, bool *again)
{
	bool is_input = !strcmp(path, "-");
	const char *input_name = api_text(add->args, "stdin-name");
	char *name = is_input ? (input_name ? xstrdup(input_name) : NULL) : add_name(path);
	char *place = is_input ? xstrdup("the input") : place_of(path), *other, safe[512];
	int err = 0;

	*again = false;
	if (name && place) {
		other = map_get(names, bytes_str(name));
		*again = other && !strcmp(other, place);
		if (other && !*again)
			err = add_refuse(
				add, -EEXIST,
				"the name %s repeats: %s and %s cannot be in one directory",
				cli_safe(safe, sizeof(safe), name, strlen(name)), other, place);
		if (!other) {
			map_set(names, bytes_str(name), place);
			place = NULL;
		}
	} /* else: adding it tells what is wrong */
	free(name);
	free(place);
	return err;
}

int add_names_check(struct add *add)
{
	struct map names = { 0 };
	struct bytes name;
	void *place;
	size_t at = 0, kept = 0;
	int err = 0;

	for (size_t i = 0; i < add->word_count && !err; i++) {
		bool again;

		err = take_name(add, &names, add->words[i].path, &again);
		if (!again)
			add->words[kept++] = add->words[i];
	}
	add->word_count = err ? add->word_count : kept;
	while (map_next(&names, &at, &name, &place))
		free(place);
	map_release(&names);
	return err;
}
