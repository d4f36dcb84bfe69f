/*
 * terminal.h - room: what is known of the terminal on stderr. Asks it, changes nothing.
 */
#ifndef LOAD_WATCH_TERMINAL_H
#define LOAD_WATCH_TERMINAL_H

/* Its columns: 80 if it does not say, and never fewer than 20. */
unsigned terminal_width(void);

#endif
