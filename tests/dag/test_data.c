/* dag/tree/data*.c: a changing file against plain memory, with cuts that fail and crashes, commits
 * beside writers, and copies between files. */
#include "tests/dag/data_disk.h"
#include "tests/dag/import_room.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define FILE_MAX 6000
#define BUDGET (1u << 20)

/* A file, and what it must hold: now, as the disk has it, and as an open cut or snapshot took it.
 */
struct bytes_at {
	size_t size;
	uint8_t at[FILE_MAX];
};

struct file_under_test {
	struct data *data;
	struct disk disk;
	uint64_t generation;
	struct bytes_at now, durable, cut_bytes, snapshot_bytes;
	struct data_cut cut;
	bool cutting, freezing; /* the open cut, and one with a snapshot */
	struct data_snapshot *snapshot;
	bool frozen; /* the snapshot's cut was written */
	uint64_t frozen_generation;
};

static uint64_t seed = 7;

static uint64_t roll(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % below;
}

static struct cid imported(struct room *room, const struct file_edit_config *config,
			   struct bytes data, uint64_t *tree_size)
{
	int fd = memfd_create("data", MFD_CLOEXEC);
	struct cid root;

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data.at, data.len, 0), data.len);
	snprintf(room->config.chunker, sizeof(room->config.chunker), "size-%u", config->chunk);
	room->config.links_max = config->width;
	assert_int_equal(import_fd(room->blocks, fd, &room->config, &room->wait, &root, tree_size),
			 0);
	close(fd);
	return root;
}

static void check_bytes(struct room *room, struct file_under_test *file)
{
	static uint8_t got[FILE_MAX + 100];

	assert_int_equal(data_size(file->data), file->now.size);
	assert_int_equal(data_read(file->data, 0, got, sizeof(got), &room->wait), file->now.size);
	if (memcmp(got, file->now.at, file->now.size))
		for (size_t i = 0; i < file->now.size; i++)
			if (got[i] != file->now.at[i])
				fail_msg("byte %zu is %d, not %d", i, got[i], file->now.at[i]);
}

/* ---- operations ---- */

static void grow(struct bytes_at *bytes, size_t size)
{
	if (size <= bytes->size)
		return;
	memset(bytes->at + bytes->size, 0, size - bytes->size);
	bytes->size = size;
}

static void write_random(struct room *room, struct file_under_test *file)
{
	static uint8_t bytes[FILE_MAX];
	size_t at = roll(4) ? roll(file->now.size + 1) : roll(FILE_MAX);
	size_t len = roll(3) ? roll(40) : roll(1500);
	bool append = roll(8) == 0;
	uint64_t where;

	at = append ? file->now.size : at;
	len = len < FILE_MAX - at ? len : FILE_MAX - at;
	for (size_t i = 0; i < len; i++)
		bytes[i] = roll(20) ? (uint8_t)roll(256) : 0;
	if (roll(10) == 0)
		memset(bytes, 0, len);
	if (append) {
		assert_int_equal(data_append(file->data, bytes_of(bytes, len), &room->wait, &where),
				 0);
		assert_int_equal(where, at);
	} else {
		assert_int_equal(data_write(file->data, at, bytes_of(bytes, len), &room->wait), 0);
	}
	if (!len)
		return;
	grow(&file->now, at + len);
	memcpy(file->now.at + at, bytes, len);
}

static size_t near_boundary(const struct file_under_test *file)
{
	size_t unit = roll(2) ? file->disk.config.edit.chunk : file->disk.config.grain;
	size_t at = roll(FILE_MAX / unit + 1) * unit + roll(3);

	at = at ? at - 1 : 0;
	return at < FILE_MAX ? at : FILE_MAX;
}

static void truncate_random(struct file_under_test *file)
{
	size_t size = roll(2) ? near_boundary(file) : roll(FILE_MAX);

	if (roll(3) && size < file->now.size / 2)
		size = file->now.size;
	assert_int_equal(data_truncate(file->data, size), 0);
	grow(&file->now, size);
	file->now.size = size;
}

static void punch_random(struct room *room, struct file_under_test *file)
{
	size_t at = roll(2) ? near_boundary(file) : roll(FILE_MAX);
	size_t len = roll(2) ? roll(FILE_MAX) : roll(100);
	bool zero = roll(3) == 0;

	if (zero && len > FILE_MAX - at)
		len = FILE_MAX - at;
	if (zero)
		assert_int_equal(data_zero(file->data, at, len, &room->wait), 0);
	else
		assert_int_equal(data_punch(file->data, at, len, &room->wait), 0);
	if (zero && len)
		grow(&file->now, at + len);
	if (at < file->now.size)
		memset(file->now.at + at, 0, len < file->now.size - at ? len : file->now.size - at);
}

static void copy_random(struct room *room, struct file_under_test *from, struct file_under_test *to)
{
	size_t chunk = to->disk.config.edit.chunk;
	size_t at = roll(FILE_MAX), to_at = roll(FILE_MAX), len = roll(FILE_MAX), done = 0;
	uint8_t *bytes;

	if (roll(3)) {
		at -= at % chunk;
		to_at -= to_at % chunk;
	}
	len = len < FILE_MAX - to_at ? len : FILE_MAX - to_at;
	if (from == to && at < to_at + len && to_at < at + len) {
		assert_int_equal(data_copy(from->data, at, to->data, to_at, len, &room->wait),
				 -EINVAL);
		return;
	}
	ssize_t got = data_copy(from->data, at, to->data, to_at, len, &room->wait);
	size_t left = at < from->now.size ? from->now.size - at : 0;

	len = len < left ? len : left;
	assert_int_equal(got, len);
	if (!len)
		return;
	bytes = xcalloc(1, len);
	memcpy(bytes, from->now.at + at, len);
	grow(&to->now, to_at + len);
	memcpy(to->now.at + to_at, bytes, len);
	free(bytes);
	(void)done;
}

static void view_random(struct room *room, struct file_under_test *file)
{
	size_t at = roll(FILE_MAX + 10), len = roll(3) ? roll(100) : roll(FILE_MAX), done = 0;
	size_t left = at < file->now.size ? file->now.size - at : 0;

	len = len < left ? len : left;
	while (done < len) {
		struct data_view view;

		assert_int_equal(data_view(file->data, at + done, len - done, &room->wait, &view),
				 0);
		assert_true(view.len > 0);
		for (int i = 0; i < view.count; i++) {
			assert_memory_equal(view.iov[i].iov_base, file->now.at + at + done,
					    view.iov[i].iov_len);
			done += view.iov[i].iov_len;
		}
		data_view_release(&view);
	}
}

/* Holes are zeros, data and holes take turns, and both end at the end. */
static void seek_through(struct room *room, struct file_under_test *file)
{
	uint64_t at = 0, held = 0;

	while (at < file->now.size) {
		int64_t data_at = data_seek(file->data, at, SEEK_DATA, &room->wait);
		int64_t hole_at = data_seek(file->data, at, SEEK_HOLE, &room->wait);
		uint64_t data_end = data_at == -ENXIO ? file->now.size : (uint64_t)data_at;

		assert_true(data_at == -ENXIO || data_at >= (int64_t)at);
		assert_true(hole_at >= (int64_t)at && (uint64_t)hole_at <= file->now.size);
		for (uint64_t i = at; i < data_end; i++)
			assert_int_equal(file->now.at[i], 0);
		assert_true((uint64_t)hole_at == at || data_end == at);
		held += (uint64_t)hole_at - at;
		at = data_end > (uint64_t)hole_at ? data_end : (uint64_t)hole_at;
	}
	assert_int_equal(data_seek(file->data, file->now.size, SEEK_HOLE, &room->wait), -ENXIO);
	assert_true(data_held(file->data) <= file->now.size);
}

/* ---- cuts, commits, crashes ---- */

static void snapshot_drop(struct file_under_test *file)
{
	data_snapshot_free(file->snapshot);
	file->snapshot = NULL;
	file->frozen = false;
}

static void cut_end(struct file_under_test *file, bool written)
{
	if (!file->cutting)
		return;
	if (written) {
		disk_write(&file->disk, &file->cut);
		file->durable = file->cut_bytes;
	}
	data_cut_done(file->data, &file->cut, written);
	file->cutting = false;
	if (file->freezing && !written)
		snapshot_drop(file); /* the commit is given up */
	file->frozen |= file->freezing && written;
	file->freezing = false;
}

static void cut_begin(struct file_under_test *file)
{
	struct data_snapshot **snapshot = !file->snapshot && roll(3) == 0 ? &file->snapshot : NULL;
	bool dirty = data_is_dirty(file->data);

	if (file->cutting)
		return;
	if (roll(6) == 0)
		file->generation++;
	file->cutting = data_cut(file->data, file->generation, snapshot, &file->cut);
	assert_int_equal(file->cutting, dirty);
	file->cut_bytes = file->now;
	if (snapshot) {
		file->snapshot_bytes = file->now;
		file->frozen_generation = file->generation++;
		file->freezing = file->cutting;
		file->frozen = !file->cutting;
	}
	if (!file->cutting)
		assert_memory_equal(file->now.at, file->durable.at, file->now.size);
}

static void commit_end(struct room *room, struct file_under_test *file)
{
	struct cid root, expected;
	uint64_t size, tree_size, expected_size;
	static uint8_t got[FILE_MAX];

	if (!file->frozen || file->cutting)
		return;
	expected = imported(room, &file->disk.config.edit,
			    bytes_of(file->snapshot_bytes.at, file->snapshot_bytes.size),
			    &expected_size);
	assert_int_equal(data_snapshot_size(file->snapshot), file->snapshot_bytes.size);
	ssize_t read = data_snapshot_read(file->snapshot, 0, got, FILE_MAX, &room->wait);

	assert_true(read == (ssize_t)file->snapshot_bytes.size);
	assert_memory_equal(got, file->snapshot_bytes.at, file->snapshot_bytes.size);
	assert_int_equal(data_snapshot_root(file->snapshot, room->blocks, &room->wait, &root, &size,
					    &tree_size),
			 0);
	assert_true(cid_equal(&root, &expected));
	assert_int_equal(size, file->snapshot_bytes.size);
	assert_int_equal(tree_size, expected_size);
	if (roll(5)) {
		data_rebase(file->data, file->snapshot, &root);
		disk_commit(&file->disk, file->frozen_generation, &root, size);
	}
	snapshot_drop(file);
}

static void crash(struct file_under_test *file)
{
	file->freezing = false;
	cut_end(file, false);
	snapshot_drop(file);
	data_free(file->data);
	file->now = file->durable;
	file->data = disk_open(&file->disk);
}

static void step(struct room *room, struct file_under_test *file, struct file_under_test *other)
{
	switch (roll(20)) {
	default:
		write_random(room, file);
		break;
	case 0:
		truncate_random(file);
		break;
	case 1:
		punch_random(room, file);
		break;
	case 2:
		copy_random(room, roll(4) ? other : file, file);
		break;
	case 3:
	case 4:
		view_random(room, file);
		break;
	case 5:
		seek_through(room, file);
		break;
	case 6:
		assert_int_equal(data_seal(file->data, roll(2) ? DATA_SEAL_ALL : DATA_SEAL_FULL,
					   &room->wait),
				 0);
		break;
	case 7:
	case 8:
		cut_begin(file);
		break;
	case 9:
	case 10:
		cut_end(file, roll(4) > 0);
		break;
	case 11:
		data_shed(file->data, roll(2000));
		break;
	case 12:
		commit_end(room, file);
		break;
	case 13:
		if (roll(10) == 0)
			crash(file);
	}
	check_bytes(room, file);
}

static void file_open_under_test(struct file_under_test *file, const struct data_config *config)
{
	disk_init(&file->disk, config);
	file->generation = 1;
	file->data = disk_open(&file->disk);
}

static void file_close_under_test(struct room *room, struct file_under_test *file)
{
	cut_end(file, true);
	snapshot_drop(file);
	/* Nothing is left when all is committed. */
	bool cut = data_cut(file->data, ++file->generation, &file->snapshot, &file->cut);

	file->cutting = file->freezing = cut;
	file->frozen = !cut;
	file->cut_bytes = file->snapshot_bytes = file->now;
	file->frozen_generation = file->generation;
	cut_end(file, true);

	struct cid root, base;

	assert_int_equal(
		data_snapshot_root(file->snapshot, room->blocks, &room->wait, &root, NULL, NULL),
		0);
	data_rebase(file->data, file->snapshot, &root);
	assert_true(data_is_base(file->data, &base));
	assert_true(cid_equal(&base, &root));
	assert_false(data_is_dirty(file->data));
	check_bytes(room, file);
	snapshot_drop(file);
	assert_int_equal(data_bytes(file->data), 0);
	data_free(file->data);
	disk_release(&file->disk);
}

static void run_random(struct room *room, uint32_t chunk, uint32_t grain, uint32_t width,
		       unsigned steps)
{
	struct file_under_test *files = xcalloc(2, sizeof(*files));
	struct data_config config;

	data_config_init(&config);
	config.blocks = room->blocks;
	config.budget = data_budget_new(BUDGET, NULL, NULL);
	config.edit.chunk = chunk;
	config.edit.width = width;
	config.grain = grain;
	for (unsigned i = 0; i < 2; i++)
		file_open_under_test(&files[i], &config);
	for (unsigned i = 0; i < steps; i++) {
		unsigned which = (unsigned)roll(2);

		step(room, &files[which], &files[!which]);
	}
	for (unsigned i = 0; i < 2; i++)
		file_close_under_test(room, &files[i]);
	assert_int_equal(data_budget_used(config.budget), 0);
	data_budget_free(config.budget);
	free(files);
}

static unsigned steps_of(unsigned usual)
{
	const char *text = getenv("DATA_STEPS");

	return text ? (unsigned)atoi(text) : usual;
}

static void random_changes_are_those_of_plain_memory(void **state)
{
	run_random(*state, 256, 32, 3, steps_of(40000));
}

static void random_changes_with_one_grain_a_chunk(void **state)
{
	run_random(*state, 100, 100, 2, steps_of(30000));
}

static void random_changes_with_chunks_larger_than_files(void **state)
{
	run_random(*state, 4096, 64, 1024, steps_of(20000));
}

static void random_changes_with_grains_of_three_bytes(void **state)
{
	run_random(*state, 192, 3, 4, steps_of(10000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOM(random_changes_are_those_of_plain_memory),
		IN_ROOM(random_changes_with_one_grain_a_chunk),
		IN_ROOM(random_changes_with_chunks_larger_than_files),
		IN_ROOM(random_changes_with_grains_of_three_bytes),
	};

	if (getenv("DATA_SEED"))
		seed = (uint64_t)atoll(getenv("DATA_SEED"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
