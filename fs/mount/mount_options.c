/* The words behind -o of a mount. Each that is given works or is refused by its name. The daemon's
 * thread that mounts. */
#include "fs/mount/mount_private.h"

#include "net/base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_READ_MIN 4096u /* the kernel's least */

enum option_use {
	OPTION_ALWAYS, /* so without being asked */
	OPTION_PASSED, /* on to the library and the kernel */
	OPTION_NONEMPTY,
	OPTION_NOSUID,
	OPTION_SUID,
	OPTION_MAX_READ,
	OPTION_READ,
	OPTION_WRITE,
	OPTION_QUIET,
	OPTION_GUARD,
};

/* A name that ends with '=' has a value. */
static const struct {
	const char *name;
	enum option_use use;
} known[] = {
	{ "ro", OPTION_READ },
	{ "nodev", OPTION_ALWAYS },
	{ "noatime", OPTION_ALWAYS },
	{ "default_permissions", OPTION_ALWAYS },
	{ "nonempty", OPTION_NONEMPTY },
	{ "nosuid", OPTION_NOSUID },
	{ "suid", OPTION_SUID },
	{ "max_read=", OPTION_MAX_READ },
	{ "rw", OPTION_WRITE },
	{ "exec", OPTION_PASSED },
	{ "noexec", OPTION_PASSED },
	{ "dev", OPTION_PASSED },
	{ "atime", OPTION_PASSED },
	{ "async", OPTION_PASSED },
	{ "sync", OPTION_PASSED },
	{ "dirsync", OPTION_PASSED },
	{ "allow_root", OPTION_PASSED },
	{ "auto_unmount", OPTION_PASSED },
	{ "debug", OPTION_PASSED },
	{ "fsname=", OPTION_PASSED },
	{ "subtype=", OPTION_PASSED },
	{ "context=", OPTION_PASSED },
	{ "fscontext=", OPTION_PASSED },
	{ "defcontext=", OPTION_PASSED },
	{ "rootcontext=", OPTION_PASSED },
	{ "quiet", OPTION_QUIET },
	{ "guard", OPTION_GUARD },
};

/* Of known[], or ARRAY_LEN(known). */
static size_t option_find(const char *option)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(known); i++) {
		size_t len = strlen(known[i].name);
		bool has_value = known[i].name[len - 1] == '=';

		if (has_value ? !strncmp(option, known[i].name, len)
			      : !strcmp(option, known[i].name))
			break;
	}
	return i;
}

static int read_max_read(struct mount_options *options, const char *value, char **why)
{
	char *end;

	errno = 0;
	unsigned long bytes = strtoul(value, &end, 10);

	if (errno || *value < '0' || *value > '9' || *end || bytes < MAX_READ_MIN ||
	    bytes > MOUNT_REQUEST_MAX) {
		*why = xasprintf("mount option max_read=%s: must be from %u to %u bytes", value,
				 MAX_READ_MIN, MOUNT_REQUEST_MAX);
		return -EINVAL;
	}
	options->max_read = (unsigned)bytes;
	return 0;
}

static int read_option(struct mount_options *options, struct buf *passed, const char *option,
		       char **why)
{
	size_t found = option_find(option);

	if (found == ARRAY_LEN(known)) {
		*why = xasprintf("mount option not known: %s", option);
		return -EINVAL;
	}
	switch (known[found].use) {
	case OPTION_ALWAYS:
		return 0;
	case OPTION_NONEMPTY:
		options->nonempty = true;
		return 0;
	case OPTION_NOSUID:
		options->suid = false;
		return 0;
	case OPTION_SUID:
		options->suid = true;
		return 0;
	case OPTION_MAX_READ:
		return read_max_read(options, option + strlen(known[found].name), why);
	case OPTION_READ: /* the last of the two counts */
	case OPTION_WRITE:
		options->read = known[found].use == OPTION_READ;
		options->write = !options->read;
		return 0;
	case OPTION_QUIET:
		options->quiet = true;
		return 0;
	case OPTION_GUARD:
		options->guard = true;
		return 0;
	case OPTION_PASSED:
		break;
	}
	buf_printf(passed, ",%s", option);
	return 0;
}

int mount_options_read(struct mount_options *options, const char *list, char **why)
{
	char *copy = xstrdup(list ? list : ""), *rest = copy, *option;
	struct buf passed = { 0 };
	int err = 0;

	*options = (struct mount_options){ .max_read = MOUNT_REQUEST_MAX };
	while (!err && (option = strsep(&rest, ",")))
		if (*option)
			err = read_option(options, &passed, option, why);
	if (!err) {
		buf_add_u8(&passed, 0);
		options->passed = xstrdup((const char *)passed.at);
	}
	buf_release(&passed);
	free(copy);
	return err;
}

void mount_options_release(struct mount_options *options)
{
	free(options->passed);
	options->passed = NULL;
}
