/*
 * windows.h - room: what clients do to their windows, as libssh tells its log: each adjustment goes to the record of
 * its channel. Knows connections; keeps nothing.
 */
#ifndef SERVER_SESSION_WINDOWS_H
#define SERVER_SESSION_WINDOWS_H

/* Once in a process. */
void windows_begin(void);

#endif
