/*
 * notify.h - room: the service manager.
 *
 * Tells systemd (where built with it and started by it) that we are ready, reloading, stopping and alive. Everything
 * here is nothing at all elsewhere.
 */
#ifndef SERVER_MASTER_NOTIFY_H
#define SERVER_MASTER_NOTIFY_H

#include <stdbool.h>

void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_watchdog(void);         /* call often: it pings as often as was asked for */
void notify_forked(void);           /* in a child: from now on we say nothing */
bool notify_wants_priorities(void); /* stderr is the journal: lines begin with <N> */

#endif
