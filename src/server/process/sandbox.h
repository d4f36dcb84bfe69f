/*
 * sandbox.h - room: what a process gives up.
 *
 * Root, new privileges, core dumps, memory beyond its limit, under profile exposed being looked into by processes of
 * the same user, and (with libseccomp) every system call that an echo does not need. Each function is called once,
 * after everything that needs more has been done.
 */
#ifndef SERVER_PROCESS_SANDBOX_H
#define SERVER_PROCESS_SANDBOX_H

#include <sys/types.h>

#include "server/config.h"

/* Worker: all of the above; ends with its master, also with one that has ended already. Returns 0, or -1 with *error.
 */
int sandbox_enter(const struct config *config, pid_t master, struct option_error *error);
/* The process that serves metrics: nothing of root, few descriptors, and with `filter` hardly a system call. */
int sandbox_enter_metrics(const char *user, bool filter, pid_t master, struct option_error *error);
/* Becomes the user of the workers, where it is root and one is named, without capabilities; sandbox_enter does so too.
 */
int sandbox_drop_root(const struct config *config, struct option_error *error);
/* The process that computes password hashes, which has dropped root already: less still. */
int sandbox_enter_checker(const struct config *config, struct option_error *error);
/* Master: keeps, of root's powers, those it needs for reloads and for its workers: to read and write its files, to bind
 * low ports, to make processes of another user and to signal them. Returns 0, or -1 with *error. */
int sandbox_limit_master(const struct config *config, struct option_error *error);
/* Checks, before anything is started, that the user exists. */
int sandbox_check(const struct config *config, struct option_error *error);

#endif
