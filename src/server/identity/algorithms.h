/*
 * algorithms.h - room: what libssh is told to offer.
 *
 * Makes from host keys and configuration the ssh_bind from which each worker's sessions take keys and algorithm lists,
 * and sets on a session what a bind cannot carry. Names of a list that stands for itself (algorithm_lists.h) are left
 * out where this libssh does not know them; a name that somebody wrote must be known.
 */
#ifndef SERVER_IDENTITY_ALGORITHMS_H
#define SERVER_IDENTITY_ALGORITHMS_H

#include "server/identity/hostkeys.h"

/* Takes out of the lists that stand for themselves what this libssh does not know. Returns 0, or -1 with *error. */
int algorithms_narrow(struct config *config, struct option_error *error);
/* The bind all sessions of a process start from; not bound to any socket. NULL with *error naming the list libssh
 * refused. */
ssh_bind algorithms_make_bind(const struct hostkeys *keys, const struct config *config, struct option_error *error);
/* The names of host-key-algorithms for which there is a key. Owned by the caller; NULL out of memory. */
char *algorithms_host_keys(const struct hostkeys *keys, const struct config *config);
/* Compression and re-key limits, which each session must be told itself. Returns 0 or -1. */
int algorithms_tell_session(ssh_session session, const struct config *config);

#endif
