/*
 * checker.h - room: the process that computes password hashes for one worker.
 *
 * Two processes, really: one does nothing but make the other anew should it die (an allocation of a costly hash may
 * bring the memory killer), the other reads a question (session/password_check.h), runs crypt(3) and answers. Both are
 * forked from the worker before it confines itself, end with it, hold no descriptor but their end of a socket pair, and
 * run below it in priority, so that guesses take their time from what sessions leave over.
 */
#ifndef SERVER_PROCESS_CHECKER_H
#define SERVER_PROCESS_CHECKER_H

#include "server/config.h"
#include "server/login/credentials.h"

/* The worker's end of the socket pair, or -1 with errno. All signals are blocked, no loop exists yet. */
int checker_start(const struct config *config, const struct credentials *credentials);

#endif
