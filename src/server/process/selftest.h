/*
 * selftest.h - room: one key exchange with ourselves.
 *
 * In the master, before the workers are forked: OpenSSL looks its algorithms up when they are first used, and one that
 * cannot be looked up for lack of memory stays lost to the process for ever. Done here it happens once, early, and the
 * workers share the pages. It also proves that keys and algorithm lists work together, and finds out whether this
 * libssh looks at the authentication of what it decrypts: some builds do not (SECURITY.md).
 */
#ifndef SERVER_PROCESS_SELFTEST_H
#define SERVER_PROCESS_SELFTEST_H

#include <libssh/server.h>
#include <stdbool.h>

#include "server/config.h"

/* Some milliseconds. False, with a sentence in `why`, if the exchange did not succeed. *takes_forgeries: a packet that
 * was altered on its way was accepted. */
bool selftest_run(ssh_bind bind, const struct config *config, bool *takes_forgeries, char *why, size_t why_size);

#endif
