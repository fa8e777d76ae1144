/* Paths: from text to a root, and from a root by names to a block. */
#include "dag/dag.h"
#include "net/base/err.h"

#include <string.h>

#define NAME_MAX_LEN 255

static bool skip_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len))
		return false;
	*at += len;
	return true;
}

int dag_path_root(const char *path, struct cid *root, const char **rest, const char **why)
{
	const char *at = path;

	*why = NULL;
	if (strnlen(path, DAG_PATH_MAX + 1) > DAG_PATH_MAX) {
		*why = "path is too long";
		return -EINVAL;
	}
	if (!skip_word(&at, "/ipfs/") && !skip_word(&at, "ipfs://") && *at == '/') {
		*why = "not a path of /ipfs";
		return -EINVAL;
	}
	size_t len = strcspn(at, "/");

	if (len == 0) {
		*why = "path has no CID";
		return -EINVAL;
	}
	if (cid_from_text_bytes(root, bytes_of(at, len))) {
		*why = "invalid CID";
		return -EINVAL;
	}
	*rest = at + len;
	return 0;
}

static int step(struct blocks *blocks, struct cid *at, struct bytes name, struct wait *wait)
{
	struct dir_entry entry;
	struct dir *dir;
	int err = dir_open(blocks, at, wait, &dir);

	if (err)
		return err;
	err = dir_lookup(dir, name, wait, &entry);
	if (!err)
		*at = entry.cid;
	dir_close(dir);
	return err;
}

int dag_resolve(struct blocks *blocks, const struct cid *root, const char *rest, struct wait *wait,
		struct cid *out, size_t *resolved_len)
{
	const char *at = rest;
	unsigned parts = 0;
	int err = 0;

	*out = *root;
	for (;;) {
		const char *name = at + strspn(at, "/");
		size_t len = strcspn(name, "/");

		if (len == 0)
			break;
		if (++parts > DAG_PATH_PARTS_MAX || len > NAME_MAX_LEN)
			err = -ENAMETOOLONG;
		else
			err = step(blocks, out, bytes_of(name, len), wait);
		if (err)
			break;
		at = name + len;
	}
	if (resolved_len)
		*resolved_len = (size_t)(at - rest);
	return err;
}

int dag_resolve_path(struct blocks *blocks, const char *path, struct wait *wait, struct cid *out)
{
	struct cid root;
	const char *rest, *why;
	int err = dag_path_root(path, &root, &rest, &why);

	return err ? err : dag_resolve(blocks, &root, rest, wait, out, NULL);
}
