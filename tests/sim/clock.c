#include "tests/sim/clock.h"

#include <stddef.h>

static uint64_t epoch_ns;
static const uint64_t *clock_ms;
static uint64_t tables;

void clock_set(uint64_t start_ns, const uint64_t *now_ms)
{
	epoch_ns = start_ns;
	clock_ms = now_ms;
	tables = 0;
}

uint64_t __wrap_wallclock_ns(void)
{
	return epoch_ns + (clock_ms ? *clock_ms * 1000000 : 0);
}

struct random __wrap_random_system(void)
{
	return random_seeded(++tables);
}
