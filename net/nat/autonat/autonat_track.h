/* What is known of our own addresses: who could reach them, and what is to be asked next. Pure: time
 * is an argument.
 *
 * An outcome is one network's last word on an address, so that no network speaks twice. The verdict
 * changes when the good outcomes outnumber the bad ones by AUTONAT_AGREE, or the other way round;
 * what lies between changes nothing. */
#ifndef NET_AUTONAT_TRACK_H
#define NET_AUTONAT_TRACK_H

#include "net/wire/multiaddr_scope.h"
#include "net/net.h"

#define AUTONAT_TRACKED_MAX 16
#define AUTONAT_OUTCOMES_MAX 5 /* of an address, the latest */
#define AUTONAT_AGREE 3
#define AUTONAT_ASK_MAX 10     /* addresses in one request */
#define AUTONAT_OUTCOME_MS (5ull * 3600 * 1000) /* then it is forgotten */
#define AUTONAT_SETTLED_MS (3600ull * 1000)	/* who is sure asks again after so long */
#define AUTONAT_REVOTE_MS (15ull * 60 * 1000)	/* a network's word stands for so long */
#define AUTONAT_REFUSALS_MAX 5	/* in a row: then the address rests */
#define AUTONAT_REST_MS (10ull * 60 * 1000)

struct autonat_outcome {
	uint64_t group, at_ms;
	bool good;
};

struct autonat_tracked {
	struct multiaddr addr;
	bool bound; /* a socket of ours has it; else others told us of it */
	enum swarm_reach reach;
	struct autonat_outcome outcomes[AUTONAT_OUTCOMES_MAX]; /* oldest first */
	size_t outcome_count;
	unsigned refusals;
	uint64_t rest_until_ms;
};

/* Zero is empty. */
struct autonat_track {
	struct autonat_tracked at[AUTONAT_TRACKED_MAX];
	size_t count;
};

/* These are our addresses now, those that are bound first. What was known of them stays. */
void autonat_track_set(struct autonat_track *track, const struct multiaddr *addrs, size_t bound,
		       size_t count);
/* Forgets outcomes that are too old. */
void autonat_track_age(struct autonat_track *track, uint64_t now_ms);
/* When an address is worth asking about: now_ms or later. */
uint64_t autonat_track_due_ms(const struct autonat_tracked *tracked, uint64_t now_ms);
/* Whether group's word on the address is of use: it has none that stands. */
bool autonat_track_wants(const struct autonat_tracked *tracked, uint64_t group, uint64_t now_ms);
/* Group has reached the address, or failed to. Nothing when it is none of ours (any more). */
void autonat_track_note(struct autonat_track *track, const struct multiaddr *addr, uint64_t group,
			bool good, uint64_t now_ms);
/* Somebody would not dial it. */
void autonat_track_refused(struct autonat_track *track, const struct multiaddr *addr,
			   uint64_t now_ms);
/* Of all: public when one address is, else private when one is, else unknown. */
enum swarm_reach autonat_track_verdict(const struct autonat_track *track);

/* ---- what others see us as ---- */

#define AUTONAT_OBSERVERS_MAX 32 /* the latest */
#define AUTONAT_OBSERVERS_AGREE 4
#define AUTONAT_OBSERVED_MAX 3

struct autonat_observed {
	struct {
		uint64_t observer;
		struct multiaddr seen; /* only its IP address counts */
	} at[AUTONAT_OBSERVERS_MAX]; /* oldest first */
	size_t count;
};

/* Observer says that we come from seen. Only what may be told to the world is kept. */
void autonat_observed_note(struct autonat_observed *observed, const struct multiaddr *observer,
			   const struct multiaddr *seen, bool local);
/* The addresses that enough observers agree on (with ports of no meaning), at most
 * AUTONAT_OBSERVED_MAX. */
size_t autonat_observed_ips(const struct autonat_observed *observed,
			    struct multiaddr ips[static AUTONAT_OBSERVED_MAX]);

#endif
