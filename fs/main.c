/* The program. */
#include "fs/cli.h"

#include <malloc.h>

/* Blocks of up to a few MiB come and go all the time. Without this each one is mapped, cleared by the
 * kernel and unmapped again: a third of the processor time of a fetch. */
#define MMAP_THRESHOLD (32 << 20)
#define TRIM_THRESHOLD (64 << 20)

int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
	return cli_run(argc - 1, argv + 1);
}
