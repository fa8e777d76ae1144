/* kill -9 while a tree is changed, committed and collected: what was synced is there, and the tree
 * is one that existed. A child works and tells how far it is in shared memory; the parent kills it,
 * opens the tree and looks for the step that it is at. CRASH_ROUNDS, EXERCISE_SEED (environment)
 * make it longer, or another. */
#include "exchange/store/store.h"
#include "tests/dag/exercise.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#define ROUNDS 6
#define STEPS_MAX 20000

/* How far the child is. */
struct progress {
	atomic_uint_fast64_t started, synced;
};

struct crash {
	struct tree_room room;
	struct progress *progress;
	char work[80], store[80];
};

static uint64_t from_environment(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : usual;
}

static void open_all(struct crash *crash, bool commits)
{
	const struct store_config config = { .map_bytes = 1u << 30 };
	struct tree_room *room = &crash->room;

	assert_int_equal(db_open(crash->work, TREE_MAP_BYTES, &room->work), 0);
	assert_int_equal(store_open_lmdb(crash->store, &config, &room->store), 0);
	if (!room->share.id)
		room_share(room);
	room->config = (struct tree_config){ .share = room->share.id,
					     .dir = room->dir,
					     .writer = room->writer,
					     .quiet_ms = 10,
					     .commit_by_itself = commits };
	assert_int_equal(wait_init(&room->wait), 0);
	wait_start(&room->wait, 60000);
	assert_int_equal(tree_open(room->work, room->store, NULL, &room->config, &room->tree), 0);
}

static void close_all(struct crash *crash)
{
	struct tree_room *room = &crash->room;

	assert_int_equal(tree_close(room->tree), 0);
	store_close(room->store);
	db_close(room->work);
	wait_release(&room->wait);
}

/* Collects now and then, beside the work. */
static void *sweep_run(void *ctx)
{
	struct tree_room *room = ctx;
	struct sweep_source source = sweep_shares(room->work);
	uint64_t removed, freed;
	struct wait wait;

	if (wait_init(&wait))
		return NULL;
	for (;;) {
		wait_start(&wait, 60000);
		(void)dag_sweep(room->store, &source, 1, &wait, NULL, NULL, &removed, &freed);
		usleep(20000);
	}
	return NULL;
}

/* The child: works until it is killed. */
static void work(struct crash *crash, struct model *model)
{
	struct exercise ex = { .room = &crash->room, .model = *model, .whole_steps = true };
	struct model other = { .random = model->random | 1 };
	pthread_t sweeper;

	open_all(crash, true);
	if (pthread_create(&sweeper, NULL, sweep_run, &crash->room))
		_exit(1);
	for (uint64_t i = 1; i <= STEPS_MAX; i++) {
		wait_start(&crash->room.wait, 60000);
		atomic_store(&crash->progress->started, i);
		exercise_step(&ex);
		if (model_random(&other, 100) < 3 &&
		    !tree_sync(crash->room.tree, &crash->room.wait))
			atomic_store(&crash->progress->synced, i);
	}
	for (;;)
		pause();
}

/* ---- what is there ---- */

struct loading {
	struct exercise *ex;
	const char *dir;
	char dirs[MODEL_ENTRIES_MAX * 2][256];
	uint64_t nodes[MODEL_ENTRIES_MAX * 2];
	size_t count;
	struct model *model;
};

static int load_item(void *ctx, const struct tree_item *item)
{
	struct loading *loading = ctx;
	struct exercise *ex = loading->ex;
	struct buf note = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s%s%.*s", loading->dir, *loading->dir ? "/" : "",
		 (int)item->name.len, item->name.at);
	assert_true(loading->model->count < MODEL_ENTRIES_MAX);
	struct model_node *node = model_add(loading->model, path, item->attr.mode);

	node->mtime = item->attr.mtime.tv_sec;
	if (!tree_xattr_get(ex->room->tree, item->attr.node, "user.note", &note))
		memcpy(node->note, note.at, note.len);
	buf_release(&note);
	if (S_ISREG(item->type))
		room_read_node(ex->room, item->attr.node, &node->bytes);
	if (S_ISDIR(item->type)) {
		snprintf(loading->dirs[loading->count], 256, "%.255s", path);
		loading->nodes[loading->count++] = item->attr.node;
	} else {
		real_forget(ex, item->attr.node);
	}
	return 0;
}

static void load_model(struct tree_room *room, struct model *model)
{
	struct exercise ex = { .room = room };
	struct loading *loading = xnew(struct loading);

	loading->ex = &ex;
	loading->dir = "";
	loading->model = model;
	assert_int_equal(tree_list(room->tree, TREE_ROOT, 0, true, &room->wait, load_item, loading),
			 0);
	for (size_t i = 0; i < loading->count; i++) {
		loading->dir = loading->dirs[i];
		assert_int_equal(tree_list(room->tree, loading->nodes[i], 0, true, &room->wait,
					   load_item, loading),
				 0);
		real_forget(&ex, loading->nodes[i]);
	}
	free(loading);
}

static bool same_node(const struct model_node *want, const struct model_node *is)
{
	if (want->mode != is->mode || strcmp(want->note, is->note) != 0)
		return false;
	if (want->mtime && want->mtime != is->mtime)
		return false;
	return !S_ISREG(want->mode) || bytes_equal(buf_bytes(&want->bytes), buf_bytes(&is->bytes));
}

static bool same_model(struct model *want, struct model *is)
{
	if (want->count != is->count)
		return false;
	for (size_t i = 0; i < want->count; i++) {
		struct model_entry *other = model_find(is, want->entries[i].path);

		if (!other || !same_node(want->entries[i].node, other->node))
			return false;
	}
	return true;
}

/* Brings the model to the step that the tree is at. A step that was begun may be there in part: the
 * tree's calls are whole, and each step makes one. */
static void find_step(struct crash *crash, struct model *model, uint64_t round)
{
	uint64_t synced = atomic_load(&crash->progress->synced);
	uint64_t started = atomic_load(&crash->progress->started);
	struct exercise ex = { .model = *model, .whole_steps = true };
	struct model is = { 0 };
	bool found;

	open_all(crash, false);
	load_model(&crash->room, &is);
	while (ex.step < synced)
		exercise_step(&ex);
	while (!(found = same_model(&ex.model, &is)) && ex.step < started)
		exercise_step(&ex);
	if (!found)
		fail_msg("round %" PRIu64 ": no step from %" PRIu64 " to %" PRIu64 " is the tree",
			 round, synced, started);
	close_all(crash);
	model_release(&is);
	exercise_close_all(&ex);
	*model = ex.model;
}

static void after_a_kill_the_tree_is_one_that_existed(void **state)
{
	struct crash crash = { 0 };
	struct model model = { 0 };
	uint64_t rounds = from_environment("CRASH_ROUNDS", ROUNDS);
	uint64_t seed = from_environment("EXERCISE_SEED", 1);
	char *command;
	int err;

	(void)state;
	strcpy(crash.room.dir, "/tmp/dagfs-crash-XXXXXX");
	assert_non_null(mkdtemp(crash.room.dir));
	snprintf(crash.work, sizeof(crash.work), "%s/work", crash.room.dir);
	snprintf(crash.store, sizeof(crash.store), "%s/store", crash.room.dir);
	crash.room.writer = private_key_new(KEY_ED25519, 0, &err);
	assert_non_null(crash.room.writer);
	crash.progress = mmap(NULL, sizeof(*crash.progress), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(crash.progress, MAP_FAILED);
	open_all(&crash, false);
	close_all(&crash);
	for (uint64_t round = 0; round < rounds; round++) {
		int status;

		model.random = (seed * 1000 + round) * 0x9e3779b97f4a7c15u | 1;
		atomic_store(&crash.progress->started, 0);
		atomic_store(&crash.progress->synced, 0);
		pid_t child = fork();

		assert_true(child >= 0);
		if (!child) {
			work(&crash, &model);
			_exit(0);
		}
		usleep((useconds_t)(100000 + (seed * 7919 + round * 104729) % 400000));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		find_step(&crash, &model, round);
	}
	model_release(&model);
	munmap(crash.progress, sizeof(*crash.progress));
	private_key_free(crash.room.writer);
	command = xasprintf("rm -rf %s", crash.room.dir);
	assert_int_equal(system(command), 0);
	free(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_kill_the_tree_is_one_that_existed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
