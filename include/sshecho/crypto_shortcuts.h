/*
 * crypto_shortcuts.h - room: what libssh asks of libcrypto, answered sooner.
 *
 * The second seam below libssh, beside transport.h and built like it: this room defines four of libcrypto's functions
 * in the executable (symbol interposition), and libssh's calls of them arrive here. Outside of a section, on a thread
 * that has not started, or when switched off, each is the real function and nothing else. Inside of one:
 *
 *   RAND_bytes                    Draws of less than 32 bytes (the padding of a packet, a cookie: nothing secret) come
 *                                 from a pool that libcrypto has filled. Larger ones, keys among them, go to libcrypto.
 *                                 crypto_allow_draws bounds how many are answered: libssh 0.10 packs empty packets
 *                                 without end for a peer that takes packets of 10 bytes, and a draw refused ends it.
 *   RAND_add                      Nothing. libssh stirs the time of day in after each accept, "in case we fork"; we do
 *                                 not, and libcrypto fetches 48 bytes from the kernel for it each time.
 *   EVP_PKEY_new_raw_private_key  libssh 0.10 and 0.11 build a key object anew for each use, which computes the public
 *                                 half each time. The same Ed25519 key as last time: that object, with one reference
 *                                 more. The X25519 key that this session has just read out of an object: that object.
 *   EVP_PKEY_get_raw_private_key  Remembers that object.
 *
 * What keeps this as safe as it was:
 *   - Every random byte is libcrypto's, is handed out once, and is wiped from the pool as it goes.
 *   - The pool and the cached key lie in one page per thread that the kernel wipes in a child (MADV_WIPEONFORK): no
 *     two processes can draw the same bytes, however they were forked. Where the kernel cannot, the room stays off.
 *     fork(3) wipes it as well, for emulators that only say that they can.
 *     The page is left out of core files.
 *   - An X25519 key lives in the session's crypto_kept from its making until its one use, or until the session ends:
 *     libssh itself keeps the raw bytes longer. The Ed25519 key lives until crypto_shortcuts_stop or until another
 *     takes its place; whoever uses the room holds that key himself for as long. libcrypto wipes both when their last
 *     reference goes.
 *   - Keys are compared by content, in constant time; a key that differs in one bit is built by libcrypto.
 *
 * Owns: the page of each thread. Knows libcrypto's headers and libssh's ssh_get_random, for the probe.
 */
#ifndef SSHECHO_CRYPTO_SHORTCUTS_H
#define SSHECHO_CRYPTO_SHORTCUTS_H

#include <stdbool.h>
#include <stdint.h>

/* Of one session; all zero at first. */
struct crypto_kept {
    void *x25519; /* an EVP_PKEY of which we hold a reference, or NULL */
};

/* What a thread has been served since it started, for the log. */
struct crypto_served {
    uint64_t draws, draws_refused, host_keys, ephemeral_keys;
};

/* Whether the room is in the build at all (make CRYPTO_SHORTCUTS=1, the default where libcrypto's headers are). */
bool crypto_shortcuts_are_built(void);

/* For the calling thread. Start asks libssh for random bytes and looks whether it comes here and to the same libcrypto;
 * returns false, and leaves everything to libcrypto, where it does not (or out of memory). Safe when started. */
bool crypto_shortcuts_start(void);
bool crypto_shortcuts_are_on(void);
/* Wipes and frees what the thread has. Safe when not started. */
void crypto_shortcuts_stop(void);
struct crypto_served crypto_shortcuts_served(void);

/* Between these two, libssh is served. kept: that of the session which is driven; NULL: none. They do not nest. */
void crypto_enter(struct crypto_kept *kept);
void crypto_leave(void);

/* In the rest of this section, at most so many draws of random bytes succeed. crypto_allow_any ends that. */
#define CRYPTO_ANY UINT64_MAX
void crypto_allow_draws(uint64_t draws);

/* At the end of a session. */
void crypto_kept_free(struct crypto_kept *kept);

#endif
