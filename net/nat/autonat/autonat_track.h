/* The verdicts on our own addresses, and which to ask about next. Pure: time is an argument.
 *
 * An outcome is the last result that servers of one network had for an address, so each network
 * counts once. The verdict changes when good outcomes outnumber bad ones by AUTONAT_AGREE, or the
 * other way round; otherwise it stays. */
#ifndef NET_AUTONAT_TRACK_H
#define NET_AUTONAT_TRACK_H

#include "net/net.h"
#include "net/wire/multiaddr_scope.h"

#define AUTONAT_TRACKED_MAX 16
#define AUTONAT_OUTCOMES_MAX 5 /* of an address, the latest */
#define AUTONAT_AGREE 3
#define AUTONAT_ASK_MAX 10			/* addresses in one request */
#define AUTONAT_OUTCOME_MS (5ull * 3600 * 1000) /* then it is forgotten */
#define AUTONAT_SETTLED_MS                                                                         \
	(3600ull * 1000)		      /* a settled address is asked about again after this \
					       */
#define AUTONAT_REVOTE_MS (15ull * 60 * 1000) /* the same network is asked again after this */
#define AUTONAT_REFUSALS_MAX 5		      /* in a row: then the address rests */
#define AUTONAT_REST_MS (10ull * 60 * 1000)

struct autonat_outcome {
	uint64_t group, at_ms;
	bool good;
};

struct autonat_tracked {
	struct multiaddr addr;
	bool bound; /* a socket of ours is bound to it; else others see us at it */
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

/* Sets our addresses; the first `bound` of them are bound. What is known of them stays. */
void autonat_track_set(struct autonat_track *track, const struct multiaddr *addrs, size_t bound,
		       size_t count);
/* Forgets outcomes that are too old. */
void autonat_track_age(struct autonat_track *track, uint64_t now_ms);
/* When to ask about an address: now_ms or later. */
uint64_t autonat_track_due_ms(const struct autonat_tracked *tracked, uint64_t now_ms);
/* Whether a server of network group may be asked about the address: that network has no recent
 * outcome. */
bool autonat_track_wants(const struct autonat_tracked *tracked, uint64_t group, uint64_t now_ms);
/* Notes that network group has reached the address, or failed to. Ignored if it is not our address
 * any more. */
void autonat_track_note(struct autonat_track *track, const struct multiaddr *addr, uint64_t group,
			bool good, uint64_t now_ms);
/* Notes that a server refused to dial it. */
void autonat_track_refused(struct autonat_track *track, const struct multiaddr *addr,
			   uint64_t now_ms);
/* The verdict on all: public if one address is, else private if one is, else unknown. */
enum swarm_reach autonat_track_verdict(const struct autonat_track *track);

/* ---- what others see us as ---- */

#define AUTONAT_OBSERVERS_MAX 32 /* the latest */
#define AUTONAT_OBSERVERS_AGREE 4
#define AUTONAT_OBSERVED_MAX 3

struct autonat_observed {
	struct {
		uint64_t observer;
		struct multiaddr seen; /* only its IP address counts */
	} at[AUTONAT_OBSERVERS_MAX];   /* oldest first */
	size_t count;
};

/* Notes that observer sees us at address seen, if that address may be announced. */
void autonat_observed_note(struct autonat_observed *observed, const struct multiaddr *observer,
			   const struct multiaddr *seen, bool local);
/* The addresses that enough observers agree on; their ports mean nothing. Returns how many, at most
 * AUTONAT_OBSERVED_MAX. */
size_t autonat_observed_ips(const struct autonat_observed *observed,
			    struct multiaddr ips[static AUTONAT_OBSERVED_MAX]);

#endif
