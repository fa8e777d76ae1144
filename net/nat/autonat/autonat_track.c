/* The verdicts on our addresses. Each address keeps the last outcomes with the network of the
 * server that gave them; the verdict follows when enough of them agree. Which IP addresses peers
 * see us come from is counted here as well. Pure; time is an argument. */
#include "net/nat/autonat/autonat_track.h"

#include <stdlib.h>
#include <string.h>

/* ---- one address ---- */

static void drop_outcome(struct autonat_tracked *tracked, size_t i)
{
	tracked->outcome_count--;
	memmove(&tracked->outcomes[i], &tracked->outcomes[i + 1],
		(tracked->outcome_count - i) * sizeof(tracked->outcomes[0]));
}

static int score(const struct autonat_tracked *tracked)
{
	int sum = 0;

	for (size_t i = 0; i < tracked->outcome_count; i++)
		sum += tracked->outcomes[i].good ? 1 : -1;
	return sum;
}

static bool track_settled(const struct autonat_tracked *tracked)
{
	int sum = score(tracked);

	return sum >= AUTONAT_AGREE || sum <= -AUTONAT_AGREE;
}

static void track_judge(struct autonat_tracked *tracked)
{
	int sum = score(tracked);

	if (sum >= AUTONAT_AGREE)
		tracked->reach = REACH_PUBLIC;
	else if (sum <= -AUTONAT_AGREE)
		tracked->reach = REACH_PRIVATE;
	else if (tracked->outcome_count == 0)
		tracked->reach = REACH_UNKNOWN;
}

uint64_t autonat_track_due_ms(const struct autonat_tracked *tracked, uint64_t now_ms)
{
	uint64_t due = now_ms;

	if (track_settled(tracked))
		due = tracked->outcomes[tracked->outcome_count - 1].at_ms + AUTONAT_SETTLED_MS;
	if (due < tracked->rest_until_ms)
		due = tracked->rest_until_ms;
	return due < now_ms ? now_ms : due;
}

bool autonat_track_wants(const struct autonat_tracked *tracked, uint64_t group, uint64_t now_ms)
{
	for (size_t i = 0; i < tracked->outcome_count; i++)
		if (tracked->outcomes[i].group == group)
			return now_ms - tracked->outcomes[i].at_ms >= AUTONAT_REVOTE_MS;
	return true;
}

static struct autonat_tracked *tracked_find(struct autonat_track *track,
					    const struct multiaddr *addr)
{
	for (size_t i = 0; i < track->count; i++)
		if (multiaddr_equal(&track->at[i].addr, addr))
			return &track->at[i];
	return NULL;
}

/* ---- all of them ---- */

void autonat_track_set(struct autonat_track *track, const struct multiaddr *addrs, size_t bound,
		       size_t count)
{
	struct autonat_track *before = xnew(struct autonat_track);

	*before = *track;
	track->count = 0;
	for (size_t i = 0; i < count && track->count < AUTONAT_TRACKED_MAX; i++) {
		struct autonat_tracked *known = tracked_find(before, &addrs[i]);
		struct autonat_tracked *tracked;

		if (tracked_find(track, &addrs[i]))
			continue;
		tracked = &track->at[track->count++];
		*tracked = known ? *known : (struct autonat_tracked){ .addr = addrs[i] };
		tracked->bound = i < bound;
	}
	free(before);
}

void autonat_track_age(struct autonat_track *track, uint64_t now_ms)
{
	for (size_t i = 0; i < track->count; i++) {
		struct autonat_tracked *tracked = &track->at[i];

		while (tracked->outcome_count > 0 &&
		       now_ms - tracked->outcomes[0].at_ms >= AUTONAT_OUTCOME_MS)
			drop_outcome(tracked, 0);
		track_judge(tracked);
	}
}

void autonat_track_note(struct autonat_track *track, const struct multiaddr *addr, uint64_t group,
			bool good, uint64_t now_ms)
{
	struct autonat_tracked *tracked = tracked_find(track, addr);

	if (!tracked)
		return;
	tracked->refusals = 0;
	for (size_t i = 0; i < tracked->outcome_count; i++)
		if (tracked->outcomes[i].group == group) {
			drop_outcome(tracked, i);
			break;
		}
	if (tracked->outcome_count == AUTONAT_OUTCOMES_MAX)
		drop_outcome(tracked, 0);
	tracked->outcomes[tracked->outcome_count++] =
		(struct autonat_outcome){ .group = group, .at_ms = now_ms, .good = good };
	track_judge(tracked);
}

void autonat_track_refused(struct autonat_track *track, const struct multiaddr *addr,
			   uint64_t now_ms)
{
	struct autonat_tracked *tracked = tracked_find(track, addr);

	if (!tracked || ++tracked->refusals < AUTONAT_REFUSALS_MAX)
		return;
	tracked->refusals = 0;
	tracked->rest_until_ms = now_ms + AUTONAT_REST_MS;
}

enum swarm_reach autonat_track_verdict(const struct autonat_track *track)
{
	enum swarm_reach verdict = REACH_UNKNOWN;

	for (size_t i = 0; i < track->count; i++) {
		if (track->at[i].reach == REACH_PUBLIC)
			return REACH_PUBLIC;
		if (track->at[i].reach == REACH_PRIVATE)
			verdict = REACH_PRIVATE;
	}
	return verdict;
}

/* ---- what others see us as ---- */

void autonat_observed_note(struct autonat_observed *observed, const struct multiaddr *observer,
			   const struct multiaddr *seen, bool local)
{
	uint64_t key = multiaddr_ip_site(observer);
	size_t at = 0;

	if (!key || multiaddr_is_relayed(observer) || !multiaddr_is_public(seen, local))
		return;
	while (at < observed->count && observed->at[at].observer != key)
		at++;
	if (at == observed->count && observed->count == AUTONAT_OBSERVERS_MAX)
		at = 0; /* the oldest goes */
	if (at < observed->count) {
		observed->count--;
		memmove(&observed->at[at], &observed->at[at + 1],
			(observed->count - at) * sizeof(observed->at[0]));
	}
	observed->at[observed->count].observer = key;
	observed->at[observed->count++].seen = *seen;
}

static bool has_ip(const struct multiaddr *ips, size_t count, const struct multiaddr *ip)
{
	for (size_t i = 0; i < count; i++)
		if (multiaddr_same_ip(&ips[i], ip))
			return true;
	return false;
}

size_t autonat_observed_ips(const struct autonat_observed *observed,
			    struct multiaddr ips[static AUTONAT_OBSERVED_MAX])
{
	size_t found = 0;

	for (size_t i = 0; i < observed->count && found < AUTONAT_OBSERVED_MAX; i++) {
		size_t same = 0;

		for (size_t k = 0; k < observed->count; k++)
			same += multiaddr_same_ip(&observed->at[i].seen, &observed->at[k].seen);
		if (same >= AUTONAT_OBSERVERS_AGREE && !has_ip(ips, found, &observed->at[i].seen))
			ips[found++] = observed->at[i].seen;
	}
	return found;
}
