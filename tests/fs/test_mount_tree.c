/* Trees that change behind the seam of fs/mount/tree.h: one in memory, whose entries change under
 * the mount, with a fixed one below it. What the kernel keeps is dropped by time or when it is
 * told, and descriptors read what they opened. */
#include "fs/mount/tree_dag.h"
#include "tests/fs/mounted.h"

#include <dirent.h>

#define NODES_MAX 16
#define WAIT_S 20 /* for a change to be seen */

/* A file of the one directory. A changed file is another node, so that descriptors can go on
 * reading the first. */
struct memory_node {
	bool used, listed;
	char name[16], text[64];
};

struct memory {
	struct mount_tree tree;
	pthread_mutex_t lock; /* of nodes */
	struct memory_node nodes[NODES_MAX];
	struct root *fixed; /* below "fixed"; may be NULL */
	struct tree_validity validity;
	atomic_bool held; /* lookups of "slow" wait */
	atomic_uint lookups, stats, lists, opened, closed, counted, forgotten, freed;
};

static struct memory *memory_of(const struct mount_tree *tree)
{
	return container_of((struct mount_tree *)tree, struct memory, tree);
}

static uint64_t number_of(unsigned i)
{
	return INODE_NODE | (i + 1);
}

static struct memory_node *node_of(struct memory *memory, uint64_t ino)
{
	return &memory->nodes[(ino & ~INODE_NODE) - 1];
}

/* ---- the operations ---- */

static struct tree_validity memory_validity(const struct mount_tree *tree,
					    const struct inode *inode)
{
	(void)inode;
	return memory_of(tree)->validity;
}

static int memory_lookup(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
			 const char *name, struct inode **out)
{
	struct memory *memory = memory_of(tree);
	int err = -ENOENT;

	atomic_fetch_add(&memory->lookups, 1);
	while (atomic_load(&memory->held) && strcmp(name, "slow") == 0)
		usleep(1000);
	if (memory->fixed && strcmp(name, "fixed") == 0)
		return tree_dag_enter(call, memory->fixed, &memory->fixed->cid,
				      place_of(dir, bytes_str(name)), out);
	pthread_mutex_lock(&memory->lock);
	for (unsigned i = 0; err && i < NODES_MAX; i++) {
		struct memory_node *node = &memory->nodes[i];

		if (!node->listed || strcmp(node->name, name) != 0)
			continue;
		*out = inode_enter_node(call->inodes, tree, number_of(i), dir->ino, DAG_FILE);
		atomic_fetch_add(&memory->counted, 1);
		err = 0;
	}
	pthread_mutex_unlock(&memory->lock);
	return err;
}

static int memory_stat(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		       struct stat *st)
{
	struct memory *memory = memory_of(tree);

	(void)call;
	atomic_fetch_add(&memory->stats, 1);
	*st = (struct stat){ .st_mode = S_IFDIR | 0755, .st_nlink = 1 };
	if (inode->ino == INODE_ROOT)
		return 0;
	pthread_mutex_lock(&memory->lock);
	st->st_mode = S_IFREG | 0644;
	st->st_size = (off_t)strlen(node_of(memory, inode->ino)->text);
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static int memory_open(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		       int flags, void **file)
{
	struct memory *memory = memory_of(tree);

	(void)call;
	(void)flags;
	atomic_fetch_add(&memory->opened, 1);
	*file = node_of(memory, inode->ino);
	return 0;
}

static void memory_close(struct mount_tree *tree, void *file)
{
	assert_non_null(file);
	atomic_fetch_add(&memory_of(tree)->closed, 1);
}

static int memory_read(struct mount_tree *tree, struct tree_call *call, struct inode *inode,
		       void *file, uint64_t at, size_t size, tree_bytes_fn *bytes, void *ctx)
{
	struct memory *memory = memory_of(tree);
	struct memory_node *node = node_of(memory, inode->ino);
	char text[sizeof node->text];

	(void)call;
	assert_ptr_equal(file, node);
	pthread_mutex_lock(&memory->lock);
	strcpy(text, node->text);
	pthread_mutex_unlock(&memory->lock);
	size_t len = strlen(text), from = at < len ? (size_t)at : len;
	const struct iovec iov = { text + from, size < len - from ? size : len - from };

	bytes(ctx, &iov, 1);
	return 0;
}

static int memory_list(struct mount_tree *tree, struct tree_call *call, struct inode *dir,
		       uint64_t from, bool plus, tree_entry_fn *entry, void *ctx)
{
	struct memory *memory = memory_of(tree);

	atomic_fetch_add(&memory->lists, 1);
	for (uint64_t i = from; i < NODES_MAX; i++) {
		struct memory_node node;

		pthread_mutex_lock(&memory->lock);
		node = memory->nodes[i];
		pthread_mutex_unlock(&memory->lock);
		struct tree_entry found = { .name = node.name,
					    .ino = number_of((unsigned)i),
					    .type = S_IFREG,
					    .next = i + 1 };

		if (node.listed && plus) {
			found.inode =
				inode_enter_node(call->inodes, tree, found.ino, dir->ino, DAG_FILE);
			atomic_fetch_add(&memory->counted, 1);
		}
		if (node.listed && entry(ctx, &found))
			break;
	}
	return 0;
}

static void memory_forget(struct mount_tree *tree, uint64_t ino, uint64_t lookups)
{
	assert_true(ino & INODE_NODE);
	atomic_fetch_add(&memory_of(tree)->forgotten, (unsigned)lookups);
}

/* The kernel is told by the tests. */
static void memory_leave(struct mount_tree *tree, struct mount *mount)
{
	(void)tree;
	assert_non_null(mount);
}

static void memory_free(struct mount_tree *tree)
{
	atomic_fetch_add(&memory_of(tree)->freed, 1);
}

static const struct mount_tree_ops memory_ops = {
	.validity = memory_validity,
	.lookup = memory_lookup,
	.stat = memory_stat,
	.open = memory_open,
	.close = memory_close,
	.read = memory_read,
	.list = memory_list,
	.forget = memory_forget,
	.leave = memory_leave,
	.free = memory_free,
};

/* ---- its changes ---- */

/* The name is taken away: the number of the node that it led to, 0 for none. */
static uint64_t drop(struct memory *memory, const char *name)
{
	uint64_t ino = 0;

	pthread_mutex_lock(&memory->lock);
	for (unsigned i = 0; i < NODES_MAX; i++) {
		struct memory_node *node = &memory->nodes[i];

		if (!node->listed || strcmp(node->name, name) != 0)
			continue;
		node->listed = false;
		ino = number_of(i);
	}
	pthread_mutex_unlock(&memory->lock);
	return ino;
}

/* A new file under the name, in place of the one that is there. */
static uint64_t put_new(struct memory *memory, const char *name, const char *text)
{
	unsigned i = 0;

	drop(memory, name);
	pthread_mutex_lock(&memory->lock);
	while (memory->nodes[i].used)
		i++;
	assert_true(i < NODES_MAX);
	memory->nodes[i].used = memory->nodes[i].listed = true;
	strcpy(memory->nodes[i].name, name);
	strcpy(memory->nodes[i].text, text);
	pthread_mutex_unlock(&memory->lock);
	return number_of(i);
}

/* The same file has other bytes. */
static void write_into(struct memory *memory, uint64_t ino, const char *text)
{
	pthread_mutex_lock(&memory->lock);
	strcpy(node_of(memory, ino)->text, text);
	pthread_mutex_unlock(&memory->lock);
}

/* ---- a mount of it ---- */

struct fixture {
	struct mounted *m;
	struct memory memory;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	mounted_setup((void **)&f->m);
	f->memory.tree.ops = &memory_ops;
	atomic_init(&f->memory.tree.refs, 1);
	pthread_mutex_init(&f->memory.lock, NULL);
	*state = f;
	return 0;
}

/* Every lookup and open file has gone back to the tree. */
static int teardown(void **state)
{
	struct fixture *f = *state;

	mounted_stop(f->m, true);
	root_unref(f->memory.fixed);
	assert_int_equal(f->memory.freed, 0);
	mount_tree_unref(&f->memory.tree);
	assert_int_equal(f->memory.freed, 1);
	assert_int_equal(f->memory.opened, f->memory.closed);
	assert_int_equal(f->memory.counted, f->memory.forgotten);
	mounted_teardown((void **)&f->m);
	pthread_mutex_destroy(&f->memory.lock);
	free(f);
	return 0;
}

static void start(struct fixture *f, double believed_s)
{
	struct mount_config config = { .mountpoint = f->m->point,
				       .source = "test",
				       .tree = &f->memory.tree,
				       .timeout_ms = 5000 };
	char *why = NULL;

	f->memory.validity = (struct tree_validity){ .entry_s = believed_s,
						     .absent_s = believed_s,
						     .attr_s = believed_s,
						     .keep_pages = believed_s > 1,
						     .keep_list = believed_s > 1 };
	int err = mount_start(&config, f->m->local, &f->m->far->fetcher, NULL, mounted_end, f->m,
			      &f->m->mount, &why);

	if (err)
		fail_msg("mount: %s (%s)", why, err_text(err));
}

/* All of a file's first bytes; "" when it is not there. */
static const char *text_of(struct fixture *f, const char *name, char out[static 64])
{
	int fd = open(IN(f->m, name), O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, out, 63);

	assert_true(len >= 0);
	out[len] = 0;
	if (fd >= 0)
		close(fd);
	return out;
}

/* Until a file reads so. */
static void await_text(struct fixture *f, const char *name, const char *want)
{
	uint64_t end_ms = monotonic_ms() + WAIT_S * 1000;
	char got[64];

	while (strcmp(text_of(f, name, got), want) != 0 && monotonic_ms() < end_ms)
		usleep(5000);
	assert_string_equal(got, want);
}

/* Names in the order of the listing, each with a space after it. */
static const char *names_of(struct fixture *f, char out[static 256])
{
	DIR *dir = opendir(f->m->point);
	struct dirent *entry;

	assert_non_null(dir);
	out[0] = 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(out + strlen(out), 256 - strlen(out), "%s ", entry->d_name);
	closedir(dir);
	return out;
}

/* ---- tests ---- */

static void changes_are_seen_when_their_time_has_passed(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = put_new(&f->memory, "a", "first");

	start(f, 0.02);
	assert_text(f->m, "a", "first");
	assert_int_equal(stat_errno(f->m, "b"), ENOENT);
	put_new(&f->memory, "b", "new");
	await_text(f, "b", "new");
	write_into(&f->memory, ino, "the same, longer");
	await_text(f, "a", "the same, longer");
	put_new(&f->memory, "a", "another");
	await_text(f, "a", "another");
	drop(&f->memory, "a");
	await_text(f, "a", "");
	assert_int_equal(stat_errno(f->m, "a"), ENOENT);
}

static void changes_are_seen_when_the_kernel_is_told(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = put_new(&f->memory, "a", "first");

	start(f, TREE_FOREVER);
	assert_text(f->m, "a", "first");
	assert_int_equal(stat_errno(f->m, "b"), ENOENT);
	unsigned lookups = f->memory.lookups, stats = f->memory.stats;

	assert_text(f->m, "a", "first");
	assert_int_equal(stat_errno(f->m, "b"), ENOENT);
	assert_int_equal(f->memory.lookups, lookups); /* it believes what it was told */
	assert_int_equal(f->memory.stats, stats);

	put_new(&f->memory, "b", "new");
	assert_int_equal(mount_notify_entry(f->m->mount, INODE_ROOT, "b"), 0);
	assert_text(f->m, "b", "new");
	write_into(&f->memory, ino, "the same, longer");
	assert_int_equal(mount_notify_node(f->m->mount, ino, true), 0);
	assert_text(f->m, "a", "the same, longer");
	put_new(&f->memory, "a", "another");
	assert_int_equal(mount_notify_entry(f->m->mount, INODE_ROOT, "a"), 0);
	assert_text(f->m, "a", "another");
	ino = drop(&f->memory, "a");
	assert_int_equal(mount_notify_gone(f->m->mount, INODE_ROOT, ino, "a"), 0);
	assert_int_equal(stat_errno(f->m, "a"), ENOENT);
	assert_int_equal(mount_notify_entry(f->m->mount, INODE_ROOT, "never heard of"), 0);
}

static void join(struct fixture *f)
{
	uint64_t number, again;

	assert_int_equal(mount_join(f->m->mount, &f->memory.tree, &number), 0);
	assert_int_equal(mount_join(f->m->mount, &f->memory.tree, &again), 0);
	assert_int_equal(number, 1);
	assert_int_equal(again, 1);
}

static void changes_that_are_queued_are_told(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = put_new(&f->memory, "a", "first");
	char names[256];

	start(f, TREE_FOREVER);
	join(f);
	assert_text(f->m, "a", "first");
	assert_string_equal(names_of(f, names), "a ");
	assert_int_equal(stat_errno(f->m, "b"), ENOENT);
	write_into(&f->memory, ino, "the same, longer");
	mount_tell(f->m->mount, TREE_CONTENT, 0, bytes_str(""), ino);
	await_text(f, "a", "the same, longer");
	put_new(&f->memory, "b", "new");
	mount_tell(f->m->mount, TREE_ENTRY, INODE_ROOT, bytes_str("b"), 0);
	await_text(f, "b", "new");
	ino = drop(&f->memory, "a");
	mount_tell(f->m->mount, TREE_GONE, INODE_ROOT, bytes_str("a"), ino);
	await_text(f, "a", "");
	for (uint64_t end_ms = monotonic_ms() + WAIT_S * 1000;
	     monotonic_ms() < end_ms && strcmp(names_of(f, names), "b ") != 0;)
		usleep(5000);
	assert_string_equal(names, "b ");
}

static void *look_for_slow(void *ctx)
{
	struct fixture *f = ctx;

	stat_errno(f->m, "slow");
	return NULL;
}

/* The thread that tells waits for a lookup in the same directory; all others are served, and what
 * is too much to be told later makes the kernel forget all. */
static void flood_of_changes_makes_the_kernel_forget_all(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	char name[16];

	put_new(&f->memory, "a", "first");
	start(f, TREE_FOREVER);
	join(f);
	assert_text(f->m, "a", "first");
	assert_int_equal(stat_errno(f->m, "b"), ENOENT);
	unsigned lookups = f->memory.lookups;

	atomic_store(&f->memory.held, true);
	assert_int_equal(pthread_create(&thread, NULL, look_for_slow, f), 0);
	while (f->memory.lookups == lookups)
		usleep(1000);
	for (unsigned i = 0; i < 70000; i++) {
		snprintf(name, sizeof name, "n%u", i);
		mount_tell(f->m->mount, TREE_ENTRY, INODE_ROOT, bytes_str(name), 0);
	}
	assert_text(f->m, "a", "first");
	put_new(&f->memory, "a", "second");
	put_new(&f->memory, "b", "new");
	atomic_store(&f->memory.held, false);
	pthread_join(thread, NULL);
	await_text(f, "a", "second");
	await_text(f, "b", "new");
}

static void listings_show_changes_of_which_the_kernel_was_told(void **state)
{
	struct fixture *f = *state;
	char names[256];

	put_new(&f->memory, "a", "1");
	put_new(&f->memory, "b", "2");
	start(f, TREE_FOREVER);
	assert_string_equal(names_of(f, names), "a b ");
	names_of(f, names); /* the first listing may fill the cache late */
	unsigned lists = f->memory.lists;

	assert_string_equal(names_of(f, names), "a b ");
	assert_int_equal(f->memory.lists, lists);
	uint64_t gone = drop(&f->memory, "a");

	put_new(&f->memory, "c", "3");
	assert_int_equal(mount_notify_gone(f->m->mount, INODE_ROOT, gone, "a"), 0);
	assert_int_equal(mount_notify_node(f->m->mount, INODE_ROOT, true), 0);
	assert_string_equal(names_of(f, names), "b c ");
	assert_text(f->m, "c", "3");
}

static void descriptors_go_on_reading_what_they_opened(void **state)
{
	struct fixture *f = *state;
	char got[64] = { 0 };

	put_new(&f->memory, "a", "first");
	start(f, TREE_FOREVER);
	int fd = open(IN(f->m, "a"), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	put_new(&f->memory, "a", "second");
	assert_int_equal(mount_notify_entry(f->m->mount, INODE_ROOT, "a"), 0);
	assert_text(f->m, "a", "second");
	assert_int_equal(pread(fd, got, sizeof got, 0), 5);
	assert_string_equal(got, "first");
	close(fd);
	for (uint64_t end_ms = monotonic_ms() + WAIT_S * 1000;
	     monotonic_ms() < end_ms && f->memory.closed < 2;)
		usleep(5000);
	assert_int_equal(f->memory.opened, 2);
	assert_int_equal(f->memory.closed, 2);
}

/* Each keeps its own numbers, modes and validity. */
static void fixed_tree_stands_below_one_that_changes(void **state)
{
	struct fixture *f = *state;
	struct cid sub, leaf = put_text(f->m->blocks, "fixed text");
	const struct child children[] = { { "leaf", leaf } };

	sub = put_dir(f->m->blocks, children, 1);
	f->memory.fixed = root_new(f->m->local, NULL, &sub);
	put_new(&f->memory, "a", "first");
	start(f, 0);
	assert_text(f->m, "fixed/leaf", "fixed text");
	assert_text(f->m, "a", "first");
	put_new(&f->memory, "a", "second");
	assert_text(f->m, "a", "second");
	struct stat st, other;

	assert_int_equal(stat(IN(f->m, "fixed/leaf"), &st), 0);
	assert_int_equal(st.st_ino, inode_number(&leaf, (struct place){ 0 }));
	assert_int_equal(st.st_ino & INODE_NODE, 0);
	assert_int_equal(stat(IN(f->m, "a"), &other), 0);
	assert_int_equal(other.st_ino, number_of(1));
	assert_int_equal(st.st_mode & 0777, 0444);
	assert_int_equal(other.st_mode & 0777, 0644);
}

static void nodes_are_forgotten_when_the_kernel_does(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = put_new(&f->memory, "a", "first");

	start(f, TREE_FOREVER);
	assert_text(f->m, "a", "first");
	assert_int_equal(f->memory.forgotten, 0);
	drop(&f->memory, "a");
	assert_int_equal(mount_notify_gone(f->m->mount, INODE_ROOT, ino, "a"), 0);
	for (uint64_t end_ms = monotonic_ms() + WAIT_S * 1000;
	     monotonic_ms() < end_ms && !f->memory.forgotten;)
		usleep(5000);
	assert_int_equal(f->memory.forgotten, f->memory.counted);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(changes_are_seen_when_their_time_has_passed),
		WITH(changes_are_seen_when_the_kernel_is_told),
		WITH(changes_that_are_queued_are_told),
		WITH(flood_of_changes_makes_the_kernel_forget_all),
		WITH(listings_show_changes_of_which_the_kernel_was_told),
		WITH(descriptors_go_on_reading_what_they_opened),
		WITH(fixed_tree_stands_below_one_that_changes),
		WITH(nodes_are_forgotten_when_the_kernel_does),
	};

	return cmocka_run_group_tests_name("fs/mount/tree", tests, NULL, NULL);
}
