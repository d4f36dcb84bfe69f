/*
 * generation.h - room: one configuration with all that was read because of it.
 *
 * What a reload replaces as a whole: configuration, host keys, credentials, listening sockets. A worker keeps the
 * generation it was forked with.
 */
#ifndef SERVER_PROCESS_GENERATION_H
#define SERVER_PROCESS_GENERATION_H

#include "server/config.h"
#include "server/entry/listener.h"
#include "server/identity/hostkeys.h"
#include "server/login/credentials.h"

struct generation {
    struct config *config;
    struct hostkeys keys;
    struct credentials *credentials;
    bool takes_forgeries; /* this libssh, with the first of the ciphers (selftest.h) */
    struct listeners listeners;
    int metrics_fd; /* -1: not asked for */
    int report_fd;  /* the same */
    struct net_address metrics_asked;
    bool adopted; /* of the program before this one: it serves, but makes no workers */
};

/* One that a program before this one has left; takes over config. NULL without memory. */
struct generation *generation_adopt(struct config *config);

/* Reads and tries everything; takes over config, also on failure. `previous` (may be NULL) lends its throw-away keys.
 * NULL with *error. */
struct generation *generation_create(struct config *config, const struct generation *previous,
                                     struct option_error *error);
/* Opens the sockets; those of `previous` (may be NULL) that fit are shared with it. Returns 0, or -1 with *error. */
int generation_open(struct generation *generation, const struct generation *previous, struct option_error *error);
/* Closes them: this process accepts nothing of this generation any more. */
void generation_close(struct generation *generation);
/* Nobody will listen any more, but on the sockets that `keep` (NULL: none) has too (see listeners_retire); figures and
 * reports stay open. */
void generation_stop_listening(struct generation *generation, const struct generation *keep);
/* The same, and closes all else as well. */
void generation_retire(struct generation *generation, const struct generation *keep);
void generation_close_metrics(struct generation *generation);
void generation_free(struct generation *generation);
/* The host keys, and what somebody should know of this libssh. */
void generation_log(const struct generation *generation);

#endif
