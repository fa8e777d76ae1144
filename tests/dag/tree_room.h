/* A share, its tree, and its content as text, for tests of dag/tree.h. */
#ifndef TESTS_DAG_TREE_ROOM_H
#define TESTS_DAG_TREE_ROOM_H

#include "dag/dag.h"
#include "dag/share.h"
#include "dag/tree.h"
#include "net/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct tree_room {
	char dir[64];
	struct db *work;
	struct store *store;
	struct private_key *writer;
	struct share_record share;
	struct tree_config config;
	struct tree *tree;
	struct wait wait;
};

static inline void room_share(struct tree_room *room)
{
	uint8_t key[WRITER_KEY_LEN];

	assert_int_equal(writer_key(private_key_public(room->writer), key), 0);
	strcpy(room->share.name, "plans");
	strcpy(room->share.label, "anna");
	peer_id_of_key(&room->share.key, private_key_public(room->writer));
	room->share.owner = true;
	room->share.pen = pen_id(key, bytes_str("nonce"));
	assert_int_equal(share_add(room->work, &room->share), 0);
}

static inline int tree_room_open(void **state)
{
	struct tree_room *room = xnew(struct tree_room);
	int err;

	strcpy(room->dir, "/tmp/dagfs-tree-XXXXXX");
	assert_non_null(mkdtemp(room->dir));
	assert_int_equal(db_open_temp(&room->work), 0);
	room->store = store_new_memory();
	room->writer = private_key_new(KEY_ED25519, 0, &err);
	assert_non_null(room->writer);
	room_share(room);
	room->config = (struct tree_config){ .share = room->share.id,
					     .dir = room->dir,
					     .writer = room->writer };
	assert_int_equal(wait_init(&room->wait), 0);
	wait_start(&room->wait, 60000);
	assert_int_equal(tree_open(room->work, room->store, NULL, &room->config, &room->tree), 0);
	*state = room;
	return 0;
}

static inline int tree_room_close(void **state)
{
	struct tree_room *room = *state;
	char *command = xasprintf("rm -rf %s", room->dir);

	assert_int_equal(tree_close(room->tree), 0);
	assert_int_equal(system(command), 0);
	free(command);
	private_key_free(room->writer);
	store_close(room->store);
	db_close(room->work);
	wait_release(&room->wait);
	free(room);
	return 0;
}

#define ROOM_TEST(test) cmocka_unit_test_setup_teardown(test, tree_room_open, tree_room_close)

static inline void room_reopen(struct tree_room *room)
{
	assert_int_equal(tree_close(room->tree), 0);
	assert_int_equal(tree_open(room->work, room->store, NULL, &room->config, &room->tree), 0);
}

/* ---- changing by paths ---- */

/* The directory of a path, and its last part. Forgotten at once: the room's tests use one thread,
 * and what is listed or open stays. */
static inline uint64_t room_parent(struct tree_room *room, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, (size_t)(slash - path)) : strdup("");
	struct tree_attr attr;

	*name = slash ? slash + 1 : path;
	assert_int_equal(tree_find(room->tree, dir, &room->wait, &attr), 0);
	free(dir);
	return attr.node;
}

static inline void room_mkdir(struct tree_room *room, const char *path)
{
	const struct tree_new how = { .mode = S_IFDIR | 0755 };
	struct tree_attr attr;
	const char *name;
	uint64_t dir = room_parent(room, path, &name);

	assert_int_equal(tree_create(room->tree, dir, bytes_str(name), &how, &room->wait, &attr),
			 0);
	tree_forget(room->tree, attr.node, 1);
	tree_forget(room->tree, dir, 1);
}

/* A new file, or one cut to nothing, with these bytes. */
static inline void room_write(struct tree_room *room, const char *path, const char *bytes,
			      size_t size)
{
	const struct tree_new how = { .mode = S_IFREG | 0644 };
	struct tree_attr attr;
	struct tree_file *file;
	const char *name;
	uint64_t dir = room_parent(room, path, &name);
	int err = tree_create(room->tree, dir, bytes_str(name), &how, &room->wait, &attr);

	if (err == -EEXIST)
		err = tree_lookup(room->tree, dir, bytes_str(name), &room->wait, &attr);
	assert_int_equal(err, 0);
	assert_int_equal(tree_file_open(room->tree, attr.node, true, true, &room->wait, &file), 0);
	for (size_t at = 0; at < size; at += 100000) {
		size_t len = size - at < 100000 ? size - at : 100000;

		assert_int_equal(
			tree_file_write(file, at, false, bytes_of(bytes + at, len), &room->wait),
			0);
	}
	tree_file_close(file);
	tree_forget(room->tree, attr.node, 1);
	tree_forget(room->tree, dir, 1);
}

static inline void room_overwrite(struct tree_room *room, const char *path, uint64_t at,
				  const char *bytes, size_t size)
{
	struct tree_attr attr;
	struct tree_file *file;

	assert_int_equal(tree_find(room->tree, path, &room->wait, &attr), 0);
	assert_int_equal(tree_file_open(room->tree, attr.node, true, false, &room->wait, &file), 0);
	assert_int_equal(tree_file_write(file, at, false, bytes_of(bytes, size), &room->wait), 0);
	tree_file_close(file);
	tree_forget(room->tree, attr.node, 1);
}

static inline int room_unlink(struct tree_room *room, const char *dir, const char *name,
			      bool dir_wanted)
{
	struct tree_attr attr;

	assert_int_equal(tree_find(room->tree, dir, &room->wait, &attr), 0);
	int err = tree_unlink(room->tree, attr.node, bytes_str(name), dir_wanted, &room->wait);

	tree_forget(room->tree, attr.node, 1);
	return err;
}

static inline int room_rename(struct tree_room *room, const char *from, const char *name,
			      const char *to, const char *as, unsigned flags)
{
	struct tree_attr a, b;

	assert_int_equal(tree_find(room->tree, from, &room->wait, &a), 0);
	assert_int_equal(tree_find(room->tree, to, &room->wait, &b), 0);
	int err = tree_rename(room->tree, a.node, bytes_str(name), b.node, bytes_str(as), flags,
			      &room->wait);

	tree_forget(room->tree, a.node, 1);
	tree_forget(room->tree, b.node, 1);
	return err;
}

/* ---- what is there ---- */

static inline void room_take_bytes(void *ctx, const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		buf_add(ctx, bytes_of(iov[i].iov_base, iov[i].iov_len));
}

static inline void room_read(struct tree_room *room, struct tree_file *file, struct buf *out)
{
	size_t before;

	do {
		before = out->len;
		assert_int_equal(
			tree_file_read(file, out->len, 131072, &room->wait, room_take_bytes, out),
			0);
	} while (out->len != before);
}

static inline void room_expect_bytes(struct tree_room *room, struct tree_file *file,
				     const char *text)
{
	struct buf bytes = { 0 };

	room_read(room, file, &bytes);
	assert_int_equal(bytes.len, strlen(text));
	assert_memory_equal(bytes.at, text, bytes.len);
	buf_release(&bytes);
}

static inline void room_read_node(struct tree_room *room, uint64_t node, struct buf *out)
{
	struct tree_file *file;

	assert_int_equal(tree_file_open(room->tree, node, false, false, &room->wait, &file), 0);
	room_read(room, file, out);
	tree_file_close(file);
}

static inline void room_expect_file(struct tree_room *room, const char *path, const char *bytes,
				    size_t size)
{
	struct tree_attr attr;
	struct buf got = { 0 };

	assert_int_equal(tree_find(room->tree, path, &room->wait, &attr), 0);
	assert_int_equal(attr.size, size);
	room_read_node(room, attr.node, &got);
	assert_int_equal(got.len, size);
	assert_memory_equal(got.at, bytes, size);
	buf_release(&got);
	tree_forget(room->tree, attr.node, 1);
}

struct room_lines {
	struct tree_room *room;
	const char *path; /* of the directory, with a '/' at the end, or empty */
	char *lines[4096];
	size_t count;
	uint64_t dirs[4096];
	char *names[4096];
	size_t dir_count;
	const char *mirror; /* a folder that is made the same; NULL: none */
};

static inline int room_see(void *ctx, const struct tree_item *item)
{
	struct room_lines *lines = ctx;
	struct buf bytes = { 0 };
	char *path = xasprintf("%s%.*s", lines->path, (int)item->name.len, item->name.at);
	char *mirrored = lines->mirror ? xasprintf("%s/%s", lines->mirror, path) : NULL;

	assert_true(lines->count < 4096);
	assert_int_equal(item->attr.mode & S_IFMT, item->type);
	if (S_ISDIR(item->type)) {
		lines->lines[lines->count++] = xasprintf("%s/\n", path);
		lines->dirs[lines->dir_count] = item->attr.node;
		lines->names[lines->dir_count++] = xasprintf("%s/", path);
		if (mirrored)
			assert_int_equal(mkdir(mirrored, 0755), 0);
	} else {
		if (S_ISLNK(item->type))
			assert_int_equal(tree_readlink(lines->room->tree, item->attr.node, &bytes),
					 0);
		else
			room_read_node(lines->room, item->attr.node, &bytes);
		assert_int_equal(bytes.len, item->attr.size);
		if (mirrored && S_ISLNK(item->type)) {
			char *target = strndup((char *)bytes.at, bytes.len);

			assert_int_equal(symlink(target, mirrored), 0);
			free(target);
		} else if (mirrored) {
			FILE *file = fopen(mirrored, "w");

			assert_non_null(file);
			if (bytes.len)
				assert_int_equal(fwrite(bytes.at, 1, bytes.len, file), bytes.len);
			fclose(file);
		}
		lines->lines[lines->count++] = xasprintf("%s=%.*s\n", path, (int)bytes.len,
							 bytes.len ? (char *)bytes.at : "");
		tree_forget(lines->room->tree, item->attr.node, 1);
	}
	buf_release(&bytes);
	free(mirrored);
	free(path);
	return 0;
}

static inline int room_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All entries, sorted: "DIR/" and "FILE=BYTES". Free with free(). */
static inline char *room_text(struct tree_room *room, const char *mirror)
{
	struct room_lines *lines = xnew(struct room_lines);
	struct buf text = { 0 };

	lines->room = room;
	lines->path = "";
	lines->mirror = mirror;
	assert_int_equal(tree_list(room->tree, TREE_ROOT, 0, true, &room->wait, room_see, lines),
			 0);
	for (size_t i = 0; i < lines->dir_count; i++) {
		lines->path = lines->names[i];
		assert_int_equal(tree_list(room->tree, lines->dirs[i], 0, true, &room->wait,
					   room_see, lines),
				 0);
		tree_forget(room->tree, lines->dirs[i], 1);
	}
	qsort(lines->lines, lines->count, sizeof(char *), room_order);
	for (size_t i = 0; i < lines->count; i++) {
		buf_add_str(&text, lines->lines[i]);
		free(lines->lines[i]);
	}
	for (size_t i = 0; i < lines->dir_count; i++)
		free(lines->names[i]);
	free(lines);
	return buf_take_text(&text);
}

static inline void room_expect(struct tree_room *room, const char *text)
{
	char *got = room_text(room, NULL);

	assert_string_equal(got, text);
	free(got);
}

/* The root is that of adding the same files. */
static inline void room_expect_root(struct tree_room *room, const struct cid *root)
{
	char mirror[] = "/tmp/dagfs-mirror-XXXXXX";
	struct import_config config;
	struct store *store = store_new_memory();
	struct blocks *blocks = blocks_new(store, NULL);
	struct cid added;
	uint64_t size;
	char *command, want[CID_TEXT_MAX], got[CID_TEXT_MAX];

	assert_non_null(mkdtemp(mirror));
	free(room_text(room, mirror));
	assert_int_equal(import_profile(&config, "unixfs-v1-2025"), 0);
	assert_int_equal(
		import_path(blocks, mirror, "top", &config, &room->wait, &added, &size, NULL), 0);
	assert_string_equal(cid_text(root, got), cid_text(&added, want));
	command = xasprintf("rm -rf %s", mirror);
	assert_int_equal(system(command), 0);
	free(command);
	blocks_free(blocks);
	store_close(store);
}

struct room_page {
	struct tree *tree;
	size_t room, count;
	uint64_t next;
	bool attrs;
};

static inline int room_page_item(void *ctx, const struct tree_item *item)
{
	struct room_page *page = ctx;

	if (page->attrs)
		tree_forget(page->tree, item->attr.node, 1);
	if (!page->room)
		return 1;
	page->room--;
	page->count++;
	page->next = item->next;
	return 0;
}

/* Entries of the top, listed in pages. */
static inline size_t room_count(struct tree_room *room, size_t page_size, bool attrs)
{
	struct room_page page = { .tree = room->tree, .attrs = attrs };
	size_t before;

	do {
		before = page.count;
		page.room = page_size;
		assert_int_equal(tree_list(room->tree, TREE_ROOT, page.next, attrs, &room->wait,
					   room_page_item, &page),
				 0);
	} while (page.count != before);
	return page.count;
}

#endif
