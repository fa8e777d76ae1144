/* The verbs of the hostile peer. Each does its harm and prints what came of it as words
 * "key=value"; links that it leaves in the crew are held until the caller of the program lets go.
 */
#ifndef TESTS_E2E_EVIL_EVIL_H
#define TESTS_E2E_EVIL_EVIL_H

#include "tests/e2e/evil/link.h"

struct crew {
	struct target target;
	struct list links;
	int *fds; /* sockets without a word, held as well */
	size_t fd_count;
	void (*tick)(struct crew *crew); /* runs now and then while they are held */
	unsigned long asked;		 /* what was wanted of its links, said at the end */
};

/* A link that is held; NULL: refused. */
struct link *crew_dial(struct crew *crew, const struct manners *manners);
void crew_pump(struct crew *crew, int ms);

/* Protocols an ordinary peer names, for manners. */
extern const char *const evil_protocols[];

/* words: the verb's arguments; number(words, at, otherwise). */
typedef void evil_fn(struct crew *crew, char **words);
unsigned long evil_number(char **words, size_t at, unsigned long otherwise);

/* evil_low.c: sockets, Noise, multistream, yamux */
evil_fn evil_halfopen, evil_silent, evil_streams, evil_window, evil_bigsyn, evil_pings, evil_churn,
	evil_halves, evil_flip, evil_lengths, evil_names;
/* evil_talk.c: identify, Kademlia, garbage */
evil_fn evil_forge, evil_identify, evil_puts, evil_provides, evil_kadflood, evil_kadlie,
	evil_varints, evil_garbage;
/* evil_bitswap.c */
evil_fn evil_wants, evil_unwanted, evil_deaf, evil_loris, evil_liar, evil_tease, evil_dier;

#endif
