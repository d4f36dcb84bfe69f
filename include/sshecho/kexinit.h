/*
 * kexinit.h - room: the clear-text beginning of an SSH stream, for whoever wants to read along.
 *
 * Gathers from a peer's bytes, as they come, the version line and the SSH_MSG_KEXINIT behind it (a bounded copy), and
 * finds its way in it. Pure: knows neither libssh nor the transport; a kexinit belongs to its owner, who ends it as
 * soon as it has been read: both lists together are one or two KiB.
 */
#ifndef SSHECHO_KEXINIT_H
#define SSHECHO_KEXINIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 4253, 7.1, in this order. */
enum kexinit_list {
    KEXINIT_KEX,
    KEXINIT_HOST_KEY,
    KEXINIT_CIPHER_CLIENT,
    KEXINIT_CIPHER_SERVER,
    KEXINIT_MAC_CLIENT,
    KEXINIT_MAC_SERVER,
    KEXINIT_COMPRESSION_CLIENT,
    KEXINIT_COMPRESSION_SERVER,
    KEXINIT_LANGUAGE_CLIENT,
    KEXINIT_LANGUAGE_SERVER,
    KEXINIT_LISTS
};

struct kexinit_text {
    const char *start;
    size_t length;
};

enum kexinit_state { KEXINIT_MORE, KEXINIT_COMPLETE, KEXINIT_NONE /* it is something else, or too large */ };

struct kexinit {
    uint8_t *bytes;
    size_t size, capacity;
    size_t line_bytes; /* of the version line, its end included; 0 before it has come */
    enum kexinit_state state;
};

/* Takes what has come. Once the state is no longer MORE, it changes nothing. */
enum kexinit_state kexinit_feed(struct kexinit *kexinit, const uint8_t *bytes, size_t size);
/* A list of a COMPLETE one, valid until the end. False where the message is cut short. */
bool kexinit_list(const struct kexinit *kexinit, enum kexinit_list which, struct kexinit_text *list);
void kexinit_end(struct kexinit *kexinit);

/* What follows the cookie of a COMPLETE one, without padding: the lists, first_kex_packet_follows, a reserved number.
 * False where the message is cut short. The two below find their way in it, or in a copy. */
bool kexinit_offer(const struct kexinit *kexinit, struct kexinit_text *offer);
bool kexinit_offer_list(struct kexinit_text offer, enum kexinit_list which, struct kexinit_text *list);
bool kexinit_offer_guesses(struct kexinit_text offer); /* first_kex_packet_follows */

/* Takes the first name off a list. */
struct kexinit_text kexinit_next_name(struct kexinit_text *list);

/* The first name of `wanted` that `offered` holds too (RFC 4253, 7.1: the client's order decides); length 0: none. */
struct kexinit_text kexinit_first_common(struct kexinit_text wanted, struct kexinit_text offered);

#endif
