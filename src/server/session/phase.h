/*
 * phase.h - room: the phases of a connection's life.
 *
 * Pure: which there are, what they are called, which may follow which. Whose phase it is keeps it.
 */
#ifndef SERVER_SESSION_PHASE_H
#define SERVER_SESSION_PHASE_H

#include <stdbool.h>

enum phase { PHASE_BANNER, PHASE_KEX, PHASE_LOGIN, PHASE_OPEN, PHASE_CLOSING, PHASE_COUNT };

const char *phase_name(enum phase phase);
bool phase_may_follow(enum phase from, enum phase to);

#endif
