/* What a path names: a CID, something below one or below a name, or a file in a mount. Any thread,
 * blocking. */
#include "fs/api/api.h"

#include "fs/api/api_names.h"
#include "fs/cli_text.h"
#include "net/base/alloc.h"
#include "net/base/err.h"
#include "net/base/wait.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define SHOWN_MAX 512

static const char *cid_shown(const struct cid *cid, char base, char out[static CID_TEXT_MAX])
{
	if (base && cid_text_base(cid, base, out) == 0)
		return out;
	return cid_text(cid, out);
}

/* Which part of rest is missing, and below what. */
static char *missing_text(int err, const struct dag_path *path, size_t resolved,
			  const struct wait *wait, char base)
{
	char root[CID_TEXT_MAX], part[SHOWN_MAX], below[2 * SHOWN_MAX], why[WAIT_TEXT_MAX];
	const char *rest = path->rest, *slash;

	cli_safe(below, sizeof(below), rest, resolved);
	rest += resolved;
	rest += strspn(rest, "/");
	cli_safe(part, sizeof(part), rest, strcspn(rest, "/"));
	cid_shown(&path->root, base, root);
	slash = *below && *below != '/' ? "/" : "";
	if (err == -ENOENT)
		return xasprintf("no link named \"%s\" under %s%s%s", part, root, slash, below);
	if (err == -ENOTDIR)
		return xasprintf("\"%s\" is looked for in %s%s%s, which is no directory", part,
				 root, slash, below);
	return xasprintf("cannot resolve \"%s\" under %s: %s", part, root,
			 wait_err_text(wait, err, why));
}

/* The path is one of /ipfs. */
static int fixed_resolve(struct blocks *blocks, const char *path, struct wait *wait, char base,
			 struct cid *out, char **why)
{
	const char *reason = "not a path";
	char safe[SHOWN_MAX];
	size_t resolved = 0;
	struct dag_path parsed;
	int err;

	if (dag_path_parse(path, &parsed, &reason)) {
		*why = xasprintf("'%s': %s", cli_safe(safe, sizeof(safe), path, strlen(path)),
				 reason);
		return -EINVAL;
	}
	err = dag_resolve(blocks, &parsed.root, parsed.rest, wait, out, &resolved);
	if (err)
		*why = missing_text(err, &parsed, resolved, wait, base);
	return err;
}

int api_path_resolve(struct api_host *host, struct blocks *blocks, const char *path,
		     struct wait *wait, char base, struct cid *out, char **why)
{
	char *fixed;
	int err = api_name_resolve(host, path, API_NAME_STEPS_MAX, NULL, wait, &fixed, NULL, why);

	if (!err)
		err = fixed_resolve(blocks, fixed, wait, base, out, why);
	free(fixed);
	return err;
}

/* The CID of a path, or of a file in a mount, which tells it as an attribute. */
static int path_find(struct api_host *host, struct blocks *blocks, const char *path,
		     struct wait *wait, char base, struct cid *out, char **why)
{
	struct dag_path parsed;
	char text[CID_TEXT_MAX], safe[SHOWN_MAX];
	const char *reason;
	struct stat info;
	struct statfs fs;
	ssize_t len;
	bool link;

	if (api_is_name(path) || dag_path_parse(path, &parsed, &reason) == 0 || lstat(path, &info))
		return api_path_resolve(host, blocks, path, wait, base, out, why);
	cli_safe(safe, sizeof(safe), path, strlen(path));
	/* The kernel keeps user attributes of symlinks from everybody. */
	link = S_ISLNK(info.st_mode);
	len = lgetxattr(path, link ? "ipfs.cid" : "user.ipfs.cid", text, sizeof(text) - 1);
	if (len < 0 && errno != ENODATA && errno != ENOTSUP) {
		int err = -errno;

		*why = xasprintf("cannot read the CID of '%s': %s", safe, err_text(err));
		return err;
	}
	/* On other file systems anybody may have written such an attribute. */
	if (len < 0 || (!link && (statfs(path, &fs) || fs.f_type != FUSE_SUPER_MAGIC))) {
		*why = xasprintf("'%s' is not in a dagfs mount", safe);
		return -EINVAL;
	}
	text[len] = '\0';
	if (cid_from_text(out, text)) {
		*why = xasprintf("'%s' tells no CID", safe);
		return -EINVAL;
	}
	return 0;
}

static int paths_told(struct api_call *call, int err, char *why)
{
	if (err)
		api_end(call, err, why);
	free(why);
	return err;
}

static char base_of(const struct api_call *call)
{
	const char *base = api_text(call->args, "cid-base");

	return base ? base[0] : 0;
}

int api_unname(struct api_call *call, const char *path, char **out)
{
	struct api_host *host = call->host;
	char *why = NULL;
	int err = api_name_resolve(host, path, API_NAME_STEPS_MAX, NULL, api_wait(call), out, NULL,
				   &why);

	return paths_told(call, err, why);
}

int api_resolve(struct api_call *call, struct blocks *blocks, const char *path, struct cid *out)
{
	struct api_host *host = call->host;
	char *why = NULL;
	int err = api_path_resolve(host, blocks, path, api_wait(call), base_of(call), out, &why);

	return paths_told(call, err, why);
}

int api_find(struct api_call *call, struct blocks *blocks, const char *path, struct cid *out)
{
	struct api_host *host = call->host;
	char *why = NULL;
	int err;

	if (!host->own_files)
		return api_resolve(call, blocks, path, out);
	err = path_find(host, blocks, path, api_wait(call), base_of(call), out, &why);
	return paths_told(call, err, why);
}
