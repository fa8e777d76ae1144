/* main() for a fuzz target without a fuzzer: feeds it the empty input, every file named on the
 * command line or found in a directory named there, and every truncation of the small ones. A
 * finding ends the process by its sanitizer, after the input's name was printed. */
#include "net/base/alloc.h"
#include "net/base/bytes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TRUNCATE_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t len);

/* A copy of exactly that size, so that reading one byte too far is seen. */
static void feed(struct bytes input)
{
	uint8_t *copy = malloc(input.len);

	if (input.len)
		memcpy(copy, input.at, input.len);
	LLVMFuzzerTestOneInput(copy, input.len);
	free(copy);
}

static int replay_file(const char *path)
{
	struct buf in = { 0 };
	FILE *file = fopen(path, "rb");
	size_t got;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	while ((got = fread(buf_reserve(&in, 65536), 1, 65536, file)) > 0)
		in.len += got;
	fclose(file);
	for (size_t len = 0; in.len < TRUNCATE_MAX && len < in.len; len++)
		feed(bytes_of(in.at, len));
	feed(buf_bytes(&in));
	buf_release(&in);
	return 0;
}

/* Returns how many failed; *passed counts the others. */
static int replay(const char *path, int *passed)
{
	struct stat stat_of;
	int failed = 0;

	if (stat(path, &stat_of) || !S_ISDIR(stat_of.st_mode)) {
		fprintf(stderr, "%s\n", path);
		failed = replay_file(path);
		*passed += !failed;
		return failed;
	}
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.') {
			char *below = xasprintf("%s/%s", path, entries[i]->d_name);

			failed += replay(below, passed);
			free(below);
		}
		free(entries[i]);
	}
	free(entries);
	return failed + (count < 0);
}

int main(int argc, char **argv)
{
	int passed = 1, failed = 0;

	feed((struct bytes){ 0 });
	for (int i = 1; i < argc; i++)
		failed += replay(argv[i], &passed);
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
