/*
 * disagreement.h - room: that client and server have no algorithm in common, said so that one knows what to change.
 *
 * libssh says which list it was, and both offers in full: more than a line holds, and without the option. When the
 * server is quick to close, libssh says that alone: then the server's own lists are compared with ours. Pure.
 */
#ifndef LOAD_CONNECTION_DISAGREEMENT_H
#define LOAD_CONNECTION_DISAGREEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "sshecho/kexinit.h"

/* What was asked for; NULL: libssh's own list. */
struct disagreement_ours {
    const char *kex, *host_keys, *ciphers, *macs, *compression;
};

/* Returns false, and writes nothing, where libssh's text speaks of something else. */
bool disagreement_explain(const char *said, char *text, size_t size);
/* Returns false where the server's lists are not known whole, or have something in common with all that is ours. */
bool disagreement_find(const struct kexinit *server, const struct disagreement_ours *ours, char *text, size_t size);

#endif
