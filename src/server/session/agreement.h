/*
 * agreement.h - room: whether a client and this server have algorithms in common.
 *
 * libssh closes without a word when they have not. This room reads the client's lists before libssh does (kexinit.h)
 * and words what is missing: the list, both offers, and the option that would help. Knows the configuration, no
 * connection.
 */
#ifndef SERVER_SESSION_AGREEMENT_H
#define SERVER_SESSION_AGREEMENT_H

#include "server/config.h"
#include "sshecho/kexinit.h"

#define AGREEMENT_TEXT_MAX 512

/* host_keys: the host key algorithms for which there is a key. False, with a sentence, when the lists of a complete
 * KEXINIT leave nothing in common. */
bool agreement_possible(const struct kexinit *client, const struct config *config, const char *host_keys, char *text,
                        size_t text_size);

/* libssh's own client asks for a login by RSA key without having waited for the list of signature algorithms that a
 * server sends behind its NEWKEYS: without it, it means SHA-1 and gives up. libssh's server sends that list only after
 * the client's NEWKEYS; so for such a client ours had better wait for it (pump_hold_newkeys). */
bool agreement_is_hasty(const struct kexinit *client);

/* asyncssh sends data behind its own KEXINIT, see quiet_rekey.h. */
bool agreement_is_talkative(const struct kexinit *client);

#endif
