/*
 * terminal.h - room: an echo for a person at a terminal.
 *
 * What a terminal in its ordinary mode sends back for a byte that is not printed as it is, and which bytes end the
 * session; and what is said to who comes with a terminal. Pure.
 */
#ifndef SERVER_CHANNEL_TERMINAL_H
#define SERVER_CHANNEL_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const char terminal_note_echo[], terminal_note_terminal[];

/* How many bytes from the beginning are their own echo. */
size_t terminal_plain_bytes(const uint8_t *bytes, size_t size);
/* The echo of a byte that is not; static. *ends: and nothing after it counts. */
const char *terminal_answer(uint8_t byte, bool *ends);

#endif
