/*
 * algorithm_lists.h - room: which algorithms go by which name.
 *
 * The lists behind the option `algorithms`, best first. Pure: knows neither libssh nor the configuration; a list may
 * name what the libssh in use does not have.
 */
#ifndef SERVER_IDENTITY_ALGORITHM_LISTS_H
#define SERVER_IDENTITY_ALGORITHM_LISTS_H

#include <stdbool.h>

enum algorithm_set {
    ALGORITHMS_MODERN, /* what a server on a network should offer */
    ALGORITHMS_WIDE,   /* everything that is not broken, for clients that have nothing modern */
    ALGORITHMS_LEGACY, /* whatever there is, SHA-1 and CBC included */
    ALGORITHM_SETS
};

enum algorithm_kind {
    ALGORITHM_KEX,
    ALGORITHM_HOST_KEY,
    ALGORITHM_CIPHER,
    ALGORITHM_MAC,
    ALGORITHM_SIGNATURE, /* of a client's key */
    ALGORITHM_KINDS
};

/* NULL-terminated; the option's values in the order of the enum. */
extern const char *const algorithm_set_names[ALGORITHM_SETS + 1];

/* aes: whether the CPU has instructions for it, which decides which cipher is the fast one. */
const char *algorithm_list(enum algorithm_set set, enum algorithm_kind kind, bool aes);
bool algorithm_cpu_has_aes(void);

#endif
