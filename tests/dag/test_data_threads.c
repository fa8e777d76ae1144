/* dag/tree/data*.c from several threads: two that write and read back what is theirs, one that
 * cuts, sheds, seals and commits. For TSan; the bytes are checked too. */
#include "tests/dag/data_disk.h"
#include "tests/dag/import_room.h"

#define SIZE 100000u
#define STRIPE                                                                                     \
	700u /* in turn of one writer and the other; grains and chunks hold parts of both          \
	      */
#define WRITES 20000

struct writer {
	struct data *data;
	unsigned number;
	uint64_t seed;
	uint8_t mine[SIZE]; /* what this writer wrote */
	atomic_uint *running;
};

static uint64_t roll(uint64_t *seed, uint64_t below)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (*seed >> 33) % below;
}

static size_t own_range(struct writer *writer, size_t *len)
{
	size_t stripe = roll(&writer->seed, SIZE / STRIPE / 2) * 2 + writer->number;
	size_t from = roll(&writer->seed, STRIPE);

	*len = 1 + roll(&writer->seed, STRIPE - from);
	*len = *len < STRIPE - from ? *len : STRIPE - from;
	return stripe * STRIPE + from;
}

static void *write_and_read(void *ctx)
{
	struct writer *writer = ctx;
	uint8_t got[STRIPE];
	struct wait wait;

	assert_int_equal(wait_init(&wait), 0);
	wait_start(&wait, 0);
	for (unsigned i = 0; i < WRITES; i++) {
		size_t len, at = own_range(writer, &len);

		for (size_t k = 0; k < len; k++)
			writer->mine[at + k] = (uint8_t)roll(&writer->seed, 256);
		if (roll(&writer->seed, 10) == 0) {
			memset(writer->mine + at, 0, len);
			assert_int_equal(data_punch(writer->data, at, len, &wait), 0);
		} else {
			assert_int_equal(data_write(writer->data, at,
						    bytes_of(writer->mine + at, len), &wait),
					 0);
		}
		at = own_range(writer, &len);
		if (i % 2) {
			assert_int_equal(data_read(writer->data, at, got, len, &wait), len);
			assert_memory_equal(got, writer->mine + at, len);
			continue;
		}
		struct data_view view;

		assert_int_equal(data_view(writer->data, at, len, &wait, &view), 0);
		for (int k = 0; k < view.count; k++) {
			assert_memory_equal(view.iov[k].iov_base, writer->mine + at,
					    view.iov[k].iov_len);
			at += view.iov[k].iov_len;
		}
		data_view_release(&view);
	}
	wait_release(&wait);
	atomic_fetch_sub(writer->running, 1);
	return NULL;
}

/* The root holds what the snapshot does, while others write. */
static void commit(struct room *room, struct data *data, struct disk *disk, uint64_t generation,
		   struct data_snapshot *snapshot)
{
	static uint8_t before[SIZE], after[SIZE];
	struct cid root;
	struct file *file;
	uint64_t size;

	assert_int_equal(data_snapshot_read(snapshot, 0, before, SIZE, &room->wait), SIZE);
	assert_int_equal(
		data_snapshot_root(snapshot, room->blocks, &room->wait, &root, &size, NULL), 0);
	assert_int_equal(file_open(room->blocks, &root, &room->wait, &file), 0);
	assert_int_equal(file_read(file, 0, after, SIZE, &room->wait), SIZE);
	file_close(file);
	assert_memory_equal(before, after, SIZE);
	data_rebase(data, snapshot, &root);
	disk_commit(disk, generation, &root, size);
}

static void cut_and_commit(struct room *room, struct data *data, struct disk *disk,
			   atomic_uint *running)
{
	uint64_t generation = 1;

	for (unsigned i = 0; atomic_load(running) || i < 3; i++) {
		struct data_snapshot *snapshot = NULL;
		struct data_cut cut;
		bool freeze = i % 5 == 4, written = i % 7 != 3 || freeze;

		if (i % 3 == 0)
			assert_int_equal(data_seal(data, i % 2 ? DATA_SEAL_ALL : DATA_SEAL_FULL,
						   &room->wait),
					 0);
		if (data_cut(data, generation, freeze ? &snapshot : NULL, &cut)) {
			if (written)
				disk_write(disk, &cut);
			data_cut_done(data, &cut, written);
		}
		data_shed(data, 20000);
		if (freeze)
			commit(room, data, disk, generation++, snapshot);
		data_snapshot_free(snapshot);
		(void)data_seek(data, 0, SEEK_HOLE, &room->wait);
		usleep(200);
	}
}

static void writers_and_commits_do_not_disturb_each_other(void **state)
{
	struct room *room = *state;
	struct data_config config;
	struct disk disk;
	struct writer *writers = xcalloc(2, sizeof(*writers));
	pthread_t threads[2];
	atomic_uint running = 2;
	uint8_t *got = xcalloc(1, SIZE);

	data_config_init(&config);
	config.blocks = room->blocks;
	config.budget = data_budget_new(64 * SIZE, NULL, NULL);
	config.edit.chunk = 4096;
	config.edit.width = 4;
	config.grain = 256;
	disk_init(&disk, &config);

	struct data *data = disk_open(&disk);

	assert_int_equal(data_truncate(data, SIZE), 0);
	for (unsigned i = 0; i < 2; i++) {
		writers[i].data = data;
		writers[i].number = i;
		writers[i].seed = i + 1;
		writers[i].running = &running;
		assert_int_equal(pthread_create(&threads[i], NULL, write_and_read, &writers[i]), 0);
	}
	cut_and_commit(room, data, &disk, &running);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(data_read(data, 0, got, SIZE, &room->wait), SIZE);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(got[i], writers[i / STRIPE % 2].mine[i]);
	data_free(data);
	disk_release(&disk);
	assert_int_equal(data_budget_used(config.budget), 0);
	data_budget_free(config.budget);
	free(writers);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(writers_and_commits_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
