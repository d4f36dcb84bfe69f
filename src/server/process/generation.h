/*
 * generation.h - room: one configuration with all that was read because of it.
 *
 * What a reload replaces as a whole: configuration, host keys, credentials. A worker keeps the generation it was forked
 * with.
 */
#ifndef SERVER_PROCESS_GENERATION_H
#define SERVER_PROCESS_GENERATION_H

#include "server/config.h"
#include "server/identity/hostkeys.h"
#include "server/session/credentials.h"

struct generation {
    struct config *config;
    struct hostkeys keys;
    struct credentials *credentials;
    bool takes_forgeries; /* this libssh, with the first of the ciphers (selftest.h) */
};

/* Reads and tries everything; takes over config, also on failure. `previous` (may be NULL) lends its throw-away keys.
 * NULL with *error. */
struct generation *generation_create(struct config *config, const struct generation *previous,
                                     struct option_error *error);
void generation_free(struct generation *generation);
/* The host keys, and what somebody should know of this libssh. */
void generation_log(const struct generation *generation);

#endif
