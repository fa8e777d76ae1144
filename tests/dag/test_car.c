#include "tests/dag/fake.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARCHIVES_MAX 64
#define EXPECTED_SAME                                                                              \
	30 /* the others are CARv2, or not in our order, or lack blocks, or have several roots */

/* ---- reading ---- */

struct seen {
	unsigned version;
	size_t roots, blocks;
	struct cid first_root;
	struct buf trace; /* CIDs, offsets and bytes of all blocks */
	bool verify;
	struct store *store; /* puts them there; may be NULL */
	int stop_at;	     /* block that the event refuses; 0: none */
};

static int on_header(void *ctx, unsigned version, const struct cid *roots, size_t count)
{
	struct seen *seen = ctx;

	seen->version = version;
	seen->roots = count;
	if (count)
		seen->first_root = roots[0];
	return 0;
}

static int on_block(void *ctx, struct block *block, uint64_t offset)
{
	struct seen *seen = ctx;
	int err = 0;

	seen->blocks++;
	buf_add(&seen->trace, cid_bytes(&block->cid));
	buf_add_le64(&seen->trace, offset);
	buf_add(&seen->trace, block->data);
	if (seen->verify)
		assert_int_equal(cid_verify(&block->cid, block->data), 0);
	if (seen->store)
		assert_int_equal(store_put(seen->store, block, STORE_WAIT, NULL, NULL), 0);
	if (seen->stop_at && (int)seen->blocks == seen->stop_at)
		err = -ENOSPC;
	block_unref(block);
	return err;
}

static const struct car_events events = { on_header, on_block };

/* Fed in pieces of step bytes. */
static int read_car(struct bytes in, size_t step, struct seen *seen)
{
	struct car_reader *reader = car_reader_new(&events, seen);
	uint64_t offset;
	int err = 0;

	while (in.len && !err) {
		err = car_feed(reader, bytes_of(in.at, in.len < step ? in.len : step));
		in = bytes_skip(in, step);
	}
	if (!err)
		err = car_end(reader);
	if (err == -EBADMSG || err == -EMSGSIZE)
		assert_true(strlen(car_why(reader, &offset)) > 0);
	car_reader_free(reader);
	return err;
}

static int read_quietly(struct bytes in)
{
	struct seen seen = { 0 };
	int err = read_car(in, SIZE_MAX, &seen);

	buf_release(&seen.trace);
	return err;
}

/* Names of all archives below tests/vectors, relative to it. */
static size_t archives(char names[static ARCHIVES_MAX][300])
{
	static const char *folders[] = { "car", "spec-car" };
	const char *root = getenv("DAGFS_VECTORS");
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", root ? root : "tests/vectors", folders[i]);
		DIR *dir = opendir(path);

		assert_non_null(dir);
		for (struct dirent *entry; (entry = readdir(dir));) {
			size_t len = strlen(entry->d_name);

			if (len < 4 || strcmp(entry->d_name + len - 4, ".car") != 0)
				continue;
			assert_true(count < ARCHIVES_MAX);
			snprintf(names[count++], 300, "%s/%s", folders[i], entry->d_name);
		}
		closedir(dir);
	}
	return count;
}

/* Every fixture, whole and in pieces: the same blocks, and each is what its CID says. */
static void every_fixture(void **state)
{
	static const size_t steps[] = { 1, 7, 4096 };
	char names[ARCHIVES_MAX][300];
	size_t count = archives(names);

	(void)state;
	assert_true(count >= 35);
	for (size_t i = 0; i < count; i++) {
		struct seen whole = { .verify = true };
		struct buf file = { 0 };

		vector_load(&file, names[i]);
		if (read_car(buf_bytes(&file), SIZE_MAX, &whole))
			fail_msg("%s: refused", names[i]);
		assert_int_equal(whole.version, strstr(names[i], "carv2") ? 2 : 1);
		assert_true(whole.blocks > 0);
		for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
			struct seen cut = { 0 };

			assert_int_equal(read_car(buf_bytes(&file), steps[k], &cut), 0);
			assert_bytes_equal(buf_bytes(&cut.trace), buf_bytes(&whole.trace));
			buf_release(&cut.trace);
		}
		buf_release(&whole.trace);
		buf_release(&file);
	}
}

/* The lists beside the basic fixtures tell roots, and where each block stands. */
static void told_blocks(const char *car, const char *json_name, unsigned version)
{
	json_t *json = vector_json(json_name), *block;
	json_t *roots = json_object_get(json_object_get(json, "header"), "roots");
	struct seen seen = { .verify = true };
	struct buf file = { 0 };
	struct cid want;
	size_t i, at = 0;

	vector_load(&file, car);
	assert_int_equal(read_car(buf_bytes(&file), SIZE_MAX, &seen), 0);
	assert_int_equal(seen.version, version);
	json_array_foreach(json_object_get(json, "blocks"), i, block) {
		const char *text = vector_text(json_object_get(block, "cid"), "/");
		uint64_t offset = (uint64_t)json_integer_value(json_object_get(block, "offset"));
		size_t len = (size_t)json_integer_value(json_object_get(block, "blockLength"));

		assert_int_equal(cid_from_text(&want, text), 0);
		assert_bytes_equal(bytes_of(seen.trace.at + at, want.len), cid_bytes(&want));
		at += want.len;
		struct cursor c = cursor_over(bytes_of(seen.trace.at + at, 8));

		assert_int_equal(cursor_le64(&c), offset);
		at += 8 + len;
	}
	assert_int_equal(i, seen.blocks);
	assert_int_equal(at, seen.trace.len);
	assert_int_equal(json_array_size(roots), seen.roots);
	assert_int_equal(cid_from_text(&want, vector_text(json_array_get(roots, 0), "/")), 0);
	assert_true(cid_equal(&want, &seen.first_root));
	buf_release(&seen.trace);
	buf_release(&file);
	json_decref(json);
}

static void basic_fixtures_as_told(void **state)
{
	(void)state;
	told_blocks("spec-car/carv1-basic.car", "spec-car/carv1-basic.json", 1);
}

/* Cut short anywhere, a fixture is refused, but for the ends of sections of a CARv1. */
static void archive_cut_anywhere_is_refused(void **state)
{
	static const char *names[] = { "car/dir-v1.car", "car/dir-v1.carv2-mhindex.car",
				       "spec-car/carv2-basic.car" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		bool v2 = strstr(names[i], "carv2") != NULL;
		struct seen whole = { 0 };
		struct buf file = { 0 };
		size_t good = 0;

		vector_load(&file, names[i]);
		assert_int_equal(read_car(buf_bytes(&file), SIZE_MAX, &whole), 0);
		for (size_t len = 0; len < file.len; len++) {
			int err = read_quietly(bytes_of(file.at, len));

			if (err)
				assert_int_equal(err, -EBADMSG);
			else
				good++;
		}
		if (v2)
			assert_true(good < file.len - 51);
		else
			assert_int_equal(good, whole.blocks);
		buf_release(&whole.trace);
		buf_release(&file);
	}
}

/* One bit flipped anywhere: refused, or some other archive, and never trouble. */
static void flipped_bits_never_harm_the_reader(void **state)
{
	char names[ARCHIVES_MAX][300];
	size_t count = archives(names);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct buf file = { 0 };

		vector_load(&file, names[i]);
		if (file.len < 4096) {
			for (size_t at = 0; at < file.len * 8; at++) {
				file.at[at / 8] ^= (uint8_t)(1u << at % 8);
				read_quietly(buf_bytes(&file));
				file.at[at / 8] ^= (uint8_t)(1u << at % 8);
			}
		}
		buf_release(&file);
	}
}

/* ---- limits ---- */

static void header_of(struct buf *out, size_t roots, size_t padding)
{
	struct buf header = { 0 };

	buf_add_u8(&header, padding ? 0xa3 : 0xa2);
	if (padding) {
		buf_add_str(&header, "\x63pad");
		buf_add_u8(&header, 0x59);
		buf_add_be16(&header, (uint16_t)padding);
		memset(buf_reserve(&header, padding), 0, padding);
		header.len += padding;
	}
	buf_add_str(&header, "\x65roots\x99");
	buf_add_be16(&header, (uint16_t)roots);
	for (size_t i = 0; i < roots; i++)
		buf_add(&header, bytes_of("\xd8\x2a\x45\x00\x01\x55\x00\x00", 8));
	buf_add_str(&header, "\x67version\x01");
	buf_add_uvarint(out, header.len);
	buf_add(out, buf_bytes(&header));
	buf_release(&header);
}

static void headers_at_their_limits(void **state)
{
	size_t fixed;
	struct buf car = { 0 };

	(void)state;
	header_of(&car, CAR_ROOTS_MAX, 0);
	assert_int_equal(read_quietly(buf_bytes(&car)), 0);
	buf_clear(&car);
	header_of(&car, CAR_ROOTS_MAX + 1, 0);
	assert_int_equal(read_quietly(buf_bytes(&car)), -EMSGSIZE);
	buf_clear(&car);
	header_of(&car, 0, 1);
	fixed = car.len - 2; /* one byte of length, one of padding */
	buf_clear(&car);
	header_of(&car, 0, CAR_HEADER_MAX - fixed);
	assert_int_equal(car.len, CAR_HEADER_MAX + 3);
	assert_int_equal(read_quietly(buf_bytes(&car)), 0);
	buf_clear(&car);
	header_of(&car, 0, CAR_HEADER_MAX - fixed + 1);
	assert_int_equal(read_quietly(buf_bytes(&car)), -EMSGSIZE);
	buf_release(&car);
}

static void sections_at_their_limits(void **state)
{
	struct cid cid;
	struct buf car = { 0 };

	(void)state;
	for (size_t len = BLOCK_MAX; len <= BLOCK_MAX + 1; len++) {
		uint8_t *data = xcalloc(1, len);
		struct seen seen = { .verify = true };

		buf_clear(&car);
		assert_int_equal(
			cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_of(data, len)), 0);
		car_put_header(&car, &cid, 1);
		car_put_section(&car, &cid, len);
		buf_add(&car, bytes_of(data, len));
		assert_int_equal(read_car(buf_bytes(&car), 65536, &seen),
				 len > BLOCK_MAX ? -EMSGSIZE : 0);
		buf_release(&seen.trace);
		free(data);
	}
	buf_clear(&car);
	car_put_header(&car, &cid, 1);
	buf_add_uvarint(&car, CAR_SECTION_MAX + 1);
	assert_int_equal(read_quietly(buf_bytes(&car)), -EMSGSIZE);
	buf_release(&car);
}

static void malformed_archives_are_refused(void **state)
{
	static const char *bad[] = {
		"",
		"00",
		"ff",
		"ffffffffffffffffff01",
		"8100",					  /* length not minimal */
		"01a0",					  /* no version */
		"0aa16776657273696f6e01",		  /* no roots */
		"11a265726f6f7473806776657273696f6e03",	  /* version 3 */
		"11a265726f6f7473806776657273696f6e20",	  /* version -1 */
		"11a265726f6f7473f66776657273696f6e01",	  /* roots null */
		"12a265726f6f747381016776657273696f6e01", /* root no link */
		"11a265726f6f7473806776657273696f6e01"
		"00", /* section without length */
		"11a265726f6f7473806776657273696f6e01"
		"0101", /* CID cut short */
		"11a265726f6f7473806776657273696f6e01"
		"0401550001", /* digest beyond the section */
		"11a265726f6f7473806776657273696f6e01"
		"0401",
	};
	struct buf in = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		buf_clear(&in);
		hex_decode(&in, bad[i]);
		if (read_quietly(buf_bytes(&in)) >= 0)
			fail_msg("accepted %s", bad[i]);
	}
	buf_clear(&in);
	hex_decode(&in, "11a265726f6f7473806776657273696f6e01");
	assert_int_equal(read_quietly(buf_bytes(&in)), 0);
	/* An identity CID carries its block itself; a section has it again. */
	hex_decode(&in, "0401550000"
			"0501550001aa");
	assert_int_equal(read_quietly(buf_bytes(&in)), 0);
	buf_release(&in);
}

static void put_le64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Data and index of a CARv2 must lie behind one another, within what can be. */
static void offsets_of_carv2_are_checked(void **state)
{
	static const struct {
		uint64_t data, size, index;
		bool good;
	} places[] = {
		{ 51, 448, 499, true },
		{ 51, 448, 0, true },
		{ 51, 448, 498, false },
		{ 51, 448, 51, false },
		{ 51, 448, 1, false },
		{ 50, 448, 0, false },
		{ 0, 448, 0, false },
		{ 51, 0, 0, false },
		{ 51, 447, 0, false },
		{ 51, 449, 0, false },
		{ 51, UINT64_MAX, 0, false },
		{ UINT64_MAX, 448, 0, false },
		{ UINT64_MAX - 50, 51, 0, false },
		{ (uint64_t)INT64_MAX, 1, 0, false },
		{ 51, 448, UINT64_MAX, false },
		{ 51, 448, 100000, false },
	};
	struct buf file = { 0 };

	(void)state;
	vector_load(&file, "spec-car/carv2-basic.car");
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		put_le64(file.at + 27, places[i].data);
		put_le64(file.at + 35, places[i].size);
		put_le64(file.at + 43, places[i].index);
		if ((read_quietly(buf_bytes(&file)) == 0) != places[i].good)
			fail_msg("place %zu", i);
	}
	buf_release(&file);
}

static void nonzero_from_an_event_stops_reading(void **state)
{
	struct seen seen = { .stop_at = 2 };
	struct buf file = { 0 };

	(void)state;
	vector_load(&file, "car/dir-v1.car");
	assert_int_equal(read_car(buf_bytes(&file), SIZE_MAX, &seen), -ENOSPC);
	assert_int_equal(seen.blocks, 2);
	buf_release(&seen.trace);
	buf_release(&file);
}

/* ---- importing ---- */

struct piping {
	int fd;
	struct bytes data;
};

static void *write_all(void *arg)
{
	struct piping *piping = arg;

	while (piping->data.len) {
		ssize_t n = send(piping->fd, piping->data.at, piping->data.len, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		piping->data = bytes_skip(piping->data, (size_t)n);
	}
	close(piping->fd);
	return NULL;
}

/* data comes through a socket: nothing can be sought. */
static int import(struct fake *fake, struct bytes data, struct car_import *result)
{
	struct piping piping = { .data = data };
	pthread_t writer;
	int fds[2], err;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	piping.fd = fds[1];
	assert_int_equal(pthread_create(&writer, NULL, write_all, &piping), 0);
	wait_start(&fake->wait, 0);
	err = car_import(fake->blocks, fds[0], &fake->wait, NULL, NULL, result);
	close(fds[0]);
	pthread_join(writer, NULL);
	return err;
}

static int append(void *ctx, struct bytes head, struct bytes data)
{
	buf_add(ctx, head);
	buf_add(ctx, data);
	return 0;
}

/* Imported, then exported again: the same bytes for every CARv1 of one root that is in order, and
 * without doubles. */
static void import_and_export(void **state)
{
	char names[ARCHIVES_MAX][300];
	size_t count = archives(names), same = 0;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct car_import result = { 0 };
		struct buf file = { 0 }, out = { 0 };
		struct fake *fake = fake_new();

		vector_load(&file, names[i]);
		if (import(fake, buf_bytes(&file), &result))
			fail_msg("%s: %s", names[i], result.why);
		assert_true(result.root_count > 0 && result.blocks > 0);
		wait_start(&fake->wait, 0);
		int err = car_export(fake->blocks, &result.roots[0], CAR_ALL, &fake->wait, 0,
				     append, &out);

		if (!err && bytes_equal(buf_bytes(&out), buf_bytes(&file)))
			same++;
		else if (strncmp(names[i], "car/", 4) == 0 && !strstr(names[i], "carv2"))
			fail_msg("%s: exported otherwise, err %d", names[i], err);
		car_import_release(&result);
		buf_release(&file);
		buf_release(&out);
		fake_free(fake);
	}
	assert_int_equal(same, EXPECTED_SAME);
}

static void corrupt_block_is_told(void **state)
{
	struct car_import result = { 0 };
	struct buf file = { 0 };
	struct fake *fake = fake_new();

	(void)state;
	vector_load(&file, "car/dir-v1.car");
	file.at[file.len - 1] ^= 1;
	assert_int_equal(import(fake, buf_bytes(&file), &result), -EBADMSG);
	assert_non_null(result.why);
	assert_true(cid_is_set(&result.bad));
	assert_true(result.offset > 59);
	assert_false(blocks_has(fake->blocks, &result.bad));
	car_import_release(&result);
	buf_release(&file);
	fake_free(fake);
}

/* Large blocks go through the threads; one rotten among them is found. */
static size_t exported(struct fake *fake, const struct cid *root, enum car_scope scope)
{
	struct seen seen = { .verify = true };
	struct buf out = { 0 };

	wait_start(&fake->wait, 0);
	assert_int_equal(car_export(fake->blocks, root, scope, &fake->wait, 0, append, &out), 0);
	assert_int_equal(read_car(buf_bytes(&out), SIZE_MAX, &seen), 0);
	assert_true(cid_equal(&seen.first_root, root));
	buf_release(&seen.trace);
	buf_release(&out);
	return seen.blocks;
}

/* go-car wrote it of a directory {a, b, c} of which two are one CID that holds its block. */
static void sections_of_identity_cids_are_checked_and_counted(void **state)
{
	struct fake *fake = fake_new();
	struct car_import result = { 0 };
	struct buf file = { 0 };

	(void)state;
	vector_load(&file, "car/identity-v1.car");
	assert_int_equal(import(fake, buf_bytes(&file), &result), 0);
	assert_int_equal(result.blocks, 3);
	assert_int_equal(exported(fake, &result.roots[0], CAR_ALL), 3);
	car_import_release(&result);
	file.at[file.len - 1] ^= 1;
	assert_int_equal(import(fake, buf_bytes(&file), &result), -EBADMSG);
	assert_non_null(strstr(result.why, "does not match"));
	assert_true(cid_is_identity(&result.bad));
	car_import_release(&result);
	buf_release(&file);
	fake_free(fake);
}

static void large_blocks(void **state)
{
	const size_t len = 300000, count = 200;
	struct car_import result = { 0 };
	struct buf car = { 0 };
	struct cid cids[200];
	struct fake *fake = fake_new();
	size_t rotten = 0;

	(void)state;
	car_put_header(&car, NULL, 0);
	for (size_t i = 0; i < count; i++) {
		uint8_t *data = xcalloc(1, len);

		fake_fill(data, len, i * len);
		assert_int_equal(
			cid_of_data(&cids[i], 1, CODEC_RAW, HASH_SHA2_256, bytes_of(data, len)), 0);
		car_put_section(&car, &cids[i], len);
		rotten = i == 150 ? car.len : rotten;
		buf_add(&car, bytes_of(data, len));
		free(data);
	}
	assert_int_equal(import(fake, buf_bytes(&car), &result), 0);
	assert_int_equal(result.blocks, count);
	assert_int_equal(result.root_count, 0);
	for (size_t i = 0; i < count; i++)
		assert_true(blocks_has(fake->blocks, &cids[i]));
	car.at[rotten] ^= 1;
	assert_int_equal(import(fake, buf_bytes(&car), &result), -EBADMSG);
	assert_true(cid_equal(&result.bad, &cids[150]));
	car_import_release(&result);
	buf_release(&car);
	fake_free(fake);
}

/* A hash anybody can forge names nothing. */
static void hash_functions_are_judged(void **state)
{
	struct car_import result = { 0 };
	struct buf car = { 0 };
	struct fake *fake = fake_new();
	struct cid cid;

	(void)state;
	struct buf hash = { 0 };

	multihash_encode(&hash, HASH_MURMUR3_X64_64, bytes_of("12345678", 8));
	assert_int_equal(cid_make(&cid, 1, CODEC_RAW, buf_bytes(&hash)), 0);
	car_put_header(&car, &cid, 1);
	car_put_section(&car, &cid, 1);
	buf_add_u8(&car, 'x');
	assert_int_equal(import(fake, buf_bytes(&car), &result), -EBADMSG);
	assert_string_equal(result.why, "hash function not allowed");
	car_import_release(&result);
	buf_release(&hash);
	buf_release(&car);
	fake_free(fake);
}

/* ---- scopes ---- */

static void each_scope_exports_its_own_blocks(void **state)
{
	struct fake *fake = fake_new();

	(void)state;
	struct cid dir = fake_load_car(fake, "car/dir-v1.car");

	assert_int_equal(exported(fake, &dir, CAR_BLOCK), 1);
	assert_int_equal(exported(fake, &dir, CAR_ENTITY), 1);
	assert_int_equal(exported(fake, &dir, CAR_ALL), 7);
	/* 20 shards, 100 entries of one block each. */
	struct cid hamt = fake_load_car(fake, "car/hamt-100-v1.car");

	assert_int_equal(exported(fake, &hamt, CAR_BLOCK), 1);
	assert_int_equal(exported(fake, &hamt, CAR_ENTITY), 20);
	assert_int_equal(exported(fake, &hamt, CAR_ALL), 120);
	/* A file of several blocks is one thing. */
	struct cid root = fake_load_car(
		fake, "spec-car/gwc__trustless_gateway_car__dir-with-dag-cbor-with-links.car");
	struct cid file, cbor;

	wait_start(&fake->wait, 0);
	assert_int_equal(dag_resolve(fake->blocks, &root, "/document/files/multiblock", &fake->wait,
				     &file, NULL),
			 0);
	assert_int_equal(exported(fake, &file, CAR_BLOCK), 1);
	assert_int_equal(exported(fake, &file, CAR_ENTITY), exported(fake, &file, CAR_ALL));
	assert_true(exported(fake, &file, CAR_ALL) > 1);
	assert_int_equal(dag_resolve(fake->blocks, &root, "/document", &fake->wait, &cbor, NULL),
			 0);
	assert_int_equal(exported(fake, &cbor, CAR_ENTITY), 1);
	assert_true(exported(fake, &cbor, CAR_ALL) > 2);
	fake_free(fake);
}

static void missing_block_ends_the_export(void **state)
{
	struct fake *fake = fake_new();
	struct buf out = { 0 };
	struct cid cid;

	(void)state;
	assert_int_equal(cid_of_data(&cid, 1, CODEC_RAW, HASH_SHA2_256, bytes_str("nowhere")), 0);
	wait_start(&fake->wait, 0);
	assert_true(car_export(fake->blocks, &cid, CAR_ALL, &fake->wait, 1000, append, &out) < 0);
	assert_int_equal(out.len, 0);
	buf_release(&out);
	fake_free(fake);
}

/* Paths through DAG-CBOR and on into other blocks. */
static void paths_through_cbor(void **state)
{
	struct fake *fake = fake_new();
	struct cid out;
	const char *inner;
	size_t len;

	(void)state;
	struct cid root = fake_load_car(
		fake, "spec-car/gwc__trustless_gateway_car__dir-with-dag-cbor-with-links.car");

	wait_start(&fake->wait, 0);
	assert_int_equal(dag_resolve_node(fake->blocks, &root, "/document/files/single",
					  &fake->wait, &out, &inner, &len),
			 0);
	assert_int_equal(out.codec, CODEC_RAW);
	assert_string_equal(inner, "");
	assert_int_equal(dag_resolve_node(fake->blocks, &root, "/document/files", &fake->wait, &out,
					  &inner, &len),
			 0);
	assert_int_equal(out.codec, CODEC_DAG_CBOR);
	assert_string_equal(inner, "files");
	assert_int_equal(
		dag_resolve(fake->blocks, &root, "/document/files", &fake->wait, &out, &len),
		-ENOTDIR);
	assert_int_equal(len, strlen("/document/"));
	assert_int_equal(
		dag_resolve(fake->blocks, &root, "/document/files/none/x", &fake->wait, &out, &len),
		-ENOENT);
	assert_int_equal(len, strlen("/document/files"));
	assert_int_equal(
		dag_resolve(fake->blocks, &root, "/document/cats/x", &fake->wait, &out, &len),
		-ENOTDIR);
	assert_int_equal(dag_resolve(fake->blocks, &root, "/document/files/single/x", &fake->wait,
				     &out, &len),
			 -ENOTDIR);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fixture),
		cmocka_unit_test(basic_fixtures_as_told),
		cmocka_unit_test(archive_cut_anywhere_is_refused),
		cmocka_unit_test(flipped_bits_never_harm_the_reader),
		cmocka_unit_test(headers_at_their_limits),
		cmocka_unit_test(sections_at_their_limits),
		cmocka_unit_test(malformed_archives_are_refused),
		cmocka_unit_test(offsets_of_carv2_are_checked),
		cmocka_unit_test(nonzero_from_an_event_stops_reading),
		cmocka_unit_test(import_and_export),
		cmocka_unit_test(corrupt_block_is_told),
		cmocka_unit_test(sections_of_identity_cids_are_checked_and_counted),
		cmocka_unit_test(large_blocks),
		cmocka_unit_test(hash_functions_are_judged),
		cmocka_unit_test(each_scope_exports_its_own_blocks),
		cmocka_unit_test(missing_block_ends_the_export),
		cmocka_unit_test(paths_through_cbor),
	};
	return cmocka_run_group_tests_name("dag/car", tests, NULL, NULL);
}
