/* Pins that were interrupted (PIN_WANTED) go on by themselves while the daemon runs: on a thread of
 * their own, one after the other, at the start, when peers connect and now and then. Loop thread
 * only. */
#ifndef FS_DAEMON_PINS_H
#define FS_DAEMON_PINS_H

struct daemon;

/* After the network was started. Failing only shows in the log. */
void daemon_pins_start(struct daemon *daemon);
/* The thread ends as soon as it can; then daemon->pins is NULL and daemon_part_gone() is called.
 * Nothing when it does not run. */
void daemon_pins_stop(struct daemon *daemon);

#endif
