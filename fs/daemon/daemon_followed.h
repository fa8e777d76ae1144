/* Pins that follow names (fs/followed_pins.h) while the daemon runs: what a better record leads to
 * is pinned in the place of what was. Loop thread only. */
#ifndef FS_DAEMON_FOLLOWED_H
#define FS_DAEMON_FOLLOWED_H

struct daemon;

/* After the names were started. Failing only shows in the log. */
void daemon_followed_start(struct daemon *daemon);
/* Names were added to the table or taken out of it. Nothing when it does not run. */
void daemon_followed_changed(struct daemon *daemon);
/* Before the names end; waits for the thread to give up what it fetches. Nothing when it does not
 * run. */
void daemon_followed_stop(struct daemon *daemon);
/* The loop has gone. */
void daemon_followed_free(struct daemon *daemon);

#endif
