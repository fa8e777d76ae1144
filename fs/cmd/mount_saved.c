/* mount --save, --unsave and --list: mounts that the daemon makes again at its start. The main
 * thread. */
#include "fs/cmd/mount_saved.h"

#include "fs/saved_mounts.h"
#include "net/base/alloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What was given beside -o and belongs to the mount goes into the list. */
static char *options_of(struct invocation *in)
{
	const char *given = cli_text(in, "options");

	given = given ? given : "";
	if (!in->globals[2] || strstr(given, "timeout="))
		return xstrdup(given);
	return xasprintf("%s%stimeout=%" PRIu64 "ms", given, *given ? "," : "", in->timeout_ms);
}

int mount_save(struct invocation *in, const char *point)
{
	char *options = options_of(in), *why = NULL;
	struct saved_mount mount = {
		.source = in->argc == 2 ? in->argv[0] : NULL,
		.mountpoint = (char *)point,
		.options = options,
		.offline = in->offline,
	};
	int code = EXIT_OK;

	if (saved_mounts_add(in->repo_path, &mount, &why))
		code = cli_fail(in, 0, "mounted, but not saved: %s", why);
	free(options);
	free(why);
	return code;
}

/* As it was saved: it may be gone by now, or a dead mount. */
int mount_unsave(struct invocation *in)
{
	char *why = NULL, *real;
	int err, code;

	if (in->argc != 1)
		return cli_usage(in, "mount --unsave takes the mountpoint alone");
	code = cli_need_path(in);
	if (code)
		return code;
	real = realpath(in->argv[0], NULL);
	err = saved_mounts_remove(in->repo_path, real ? real : in->argv[0], &why);
	if (err == -ENOENT && real) {
		free(why);
		err = saved_mounts_remove(in->repo_path, in->argv[0], &why);
	}
	if (err)
		code = cli_fail(in, 0, "%s", why);
	free(real);
	free(why);
	return code;
}

int mount_list_saved(struct invocation *in)
{
	if (in->argc)
		return cli_usage(in, "mount --list takes no arguments");
	return cli_run_call(in, api_row("mounts-saved"), json_object());
}
