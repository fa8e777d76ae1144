/* Paths: from text to a root, and from a root by names to a block. UnixFS directories are looked
 * up in; blocks of CBOR and JSON are walked through as values. Any thread but the loop's. */
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

/* The parts of path, cleaned, behind what is in out already; *len is its length. No longer than
 * path and a slash. */
static void clean(char *out, size_t *len, const char *path)
{
	for (;;) {
		const char *part = path + strspn(path, "/");
		size_t part_len = strcspn(part, "/");

		path = part + part_len;
		if (part_len == 0)
			break;
		if (part_len == 1 && part[0] == '.')
			continue;
		if (part_len == 2 && part[0] == '.' && part[1] == '.') {
			while (*len && out[--*len] != '/')
				;
			continue;
		}
		out[(*len)++] = '/';
		memcpy(out + *len, part, part_len);
		*len += part_len;
	}
	out[*len] = '\0';
}

int dag_path_clean(const char *path, char out[static DAG_PATH_MAX + 8])
{
	size_t len = 0;

	if (strnlen(path, DAG_PATH_MAX + 1) > DAG_PATH_MAX)
		return -ENAMETOOLONG;
	clean(out, &len, path);
	return 0;
}

int dag_path_parse(const char *path, struct dag_path *out, const char **why)
{
	const char *at = out->text;
	size_t len = 0;

	*why = NULL;
	if (strnlen(path, DAG_PATH_MAX + 1) > DAG_PATH_MAX) {
		*why = "path is too long";
		return -EINVAL;
	}
	if (*path != '/') {
		skip_word(&path, "ipfs://");
		clean(out->text, &len, "ipfs");
	}
	clean(out->text, &len, path);
	if (!skip_word(&at, "/ipfs") || (*at && *at != '/')) {
		*why = len ? "not a path of /ipfs" : "path has no CID";
		return -EINVAL;
	}
	at += *at == '/';
	len = strcspn(at, "/");
	if (len == 0) {
		*why = "path has no CID";
		return -EINVAL;
	}
	if (cid_from_text_bytes(&out->root, bytes_of(at, len))) {
		*why = "invalid CID";
		return -EINVAL;
	}
	out->rest = at + len;
	return 0;
}

static int resolve_step(struct blocks *blocks, struct cid *at, struct bytes name, struct wait *wait)
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

/* Through maps and lists of the block, up to its first link; *used: how much of path that was.
 * *link not set: path ended within the block. */
static int step_in_block(struct blocks *blocks, const struct cid *at, const char *path,
			 struct wait *wait, struct cid *link, size_t *used)
{
	struct block *block;
	int err = blocks_get(blocks, at, wait, &block);

	*used = 0;
	if (err)
		return err;
	err = ipld_walk_path(block->data, at->codec, path, link, used);
	block_unref(block);
	return err;
}

int dag_resolve_node(struct blocks *blocks, const struct cid *root, const char *rest,
		     struct wait *wait, struct cid *out, const char **inner, size_t *resolved_len)
{
	const char *at = rest;
	unsigned parts = 0;
	int err = 0;

	*out = *root;
	*inner = "";
	for (;;) {
		const char *name = at + strspn(at, "/");
		size_t len = strcspn(name, "/"), used;
		struct cid link;

		if (len == 0)
			break;
		if (++parts > DAG_PATH_PARTS_MAX || len > NAME_MAX_LEN) {
			err = -ENAMETOOLONG;
		} else if (ipld_has_paths(out->codec)) {
			err = step_in_block(blocks, out, name, wait, &link, &used);
			at = used ? name + used : at;
			if (!err && !cid_is_set(&link))
				*inner = name;
			if (err || !cid_is_set(&link))
				break;
			*out = link;
		} else {
			err = resolve_step(blocks, out, bytes_of(name, len), wait);
			at = err ? at : name + len;
		}
		if (err)
			break;
	}
	if (resolved_len)
		*resolved_len = (size_t)(at - rest);
	return err;
}

int dag_resolve(struct blocks *blocks, const struct cid *root, const char *rest, struct wait *wait,
		struct cid *out, size_t *resolved_len)
{
	const char *inner;
	int err = dag_resolve_node(blocks, root, rest, wait, out, &inner, resolved_len);

	if (err || !*inner)
		return err;
	if (resolved_len)
		*resolved_len = (size_t)(inner - rest);
	return -ENOTDIR;
}

int dag_resolve_path(struct blocks *blocks, const char *path, struct wait *wait, struct cid *out)
{
	struct dag_path parsed;
	const char *why;
	int err = dag_path_parse(path, &parsed, &why);

	return err ? err : dag_resolve(blocks, &parsed.root, parsed.rest, wait, out, NULL);
}
