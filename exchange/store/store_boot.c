/* After a power cut. The cache is written without waiting for the disk (store_gen.h): when the
 * system was started anew, a generation of it whose last transaction nobody waited for may be
 * torn, and goes. Blocks that are kept are always waited for. The opening thread. */
#include "exchange/store/store_dir.h"

#include "net/base/err.h"
#include "net/base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BOOT_TEXT_LEN 36 /* 8-4-4-4-12 hexadecimal digits */

/* The identity that the kernel gave itself at start; zeros when it tells none. */
static void boot_id(uint8_t id[static 16])
{
	char text[BOOT_TEXT_LEN + 1] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, text, BOOT_TEXT_LEN);
	size_t digits = 0;

	if (fd >= 0)
		close(fd);
	memset(id, 0, 16);
	for (ssize_t i = 0; i < len && digits < 32; i++) {
		unsigned digit;

		if (sscanf((char[]){ text[i], 0 }, "%1x", &digit) != 1)
			continue;
		id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
		digits++;
	}
}

/* After a power cut: cached generations that were being written may be torn, so they go. */
static void drop_unsettled(struct store_lmdb *lmdb)
{
	DIR *dir = opendir(lmdb->path);
	struct dirent *entry;
	unsigned number;

	while (dir && (entry = readdir(dir))) {
		struct path path;

		if (sscanf(entry->d_name, "cache-%u", &number) != 1)
			continue;
		path = dir_path(lmdb, "cache", number);
		if (gen_dir_is_settled(path.text))
			continue;
		log_warn("store",
			 "%s was being written when the system ended: it is dropped, only cached "
			 "blocks are "
			 "lost",
			 path.text);
		int err = dir_bury(lmdb, &(struct name){ .class = GEN_CACHE, .number = number });

		if (err)
			log_error("store", "cannot drop %s: %s", path.text, err_text(err));
	}
	if (dir)
		closedir(dir);
}

void store_boot_check(struct store_lmdb *lmdb)
{
	uint8_t now[16];

	boot_id(now);
	if (memcmp(now, lmdb->shared->boot, sizeof now) == 0)
		return;
	drop_unsettled(lmdb);
	memcpy(lmdb->shared->boot, now, sizeof now);
}
