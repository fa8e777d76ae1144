/* The program: cli.c runs the command. Here is what must be set up before anything else, file
 * descriptors and the allocator. The main thread. */
#include "fs/cli.h"
#include "fs/mount_helper.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

/* Blocks of up to a few MiB come and go all the time. Without this each one is mapped, cleared by
 * the kernel and unmapped again: a third of the processor time of a fetch. */
#define MMAP_THRESHOLD (32 << 20)
#define TRIM_THRESHOLD (64 << 20)
#define ARENAS_SHORT 1 /* where address space is limited */

/* A file that is opened gets the lowest free number. When the caller closed one of 0 to 2, that
 * file would be taken for the standard input, output or error: messages would be written into the
 * store. What is opened here instead fails as a closed descriptor does, with EBADF, since it is
 * open for the other direction only. False when the number cannot be filled. */
static bool fill_closed_descriptors(void)
{
	static const int wrong_way[] = { O_WRONLY, O_RDONLY, O_RDONLY };

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", wrong_way[fd]) != fd)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	if (!fill_closed_descriptors())
		return EXIT_FAILED; /* where should it be told? */
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
	struct rlimit space;

	/* Each thread's arena takes 64 MiB of address space. */
	if (!getrlimit(RLIMIT_AS, &space) && space.rlim_cur != RLIM_INFINITY)
		mallopt(M_ARENA_MAX, ARENAS_SHORT);
	if (mount_helper_is(argc, argv))
		return mount_helper_run(argc, argv);
	return cli_run(argc - 1, argv + 1);
}
