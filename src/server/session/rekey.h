/*
 * rekey.h - room: the key re-exchanges of a connection.
 *
 * Tells those that our own settings had due from those that the client wanted, and holds the latter to their rate.
 * libssh does not say who began, but it counts as we do: bytes in one direction, or time, since the last keys. Pure.
 */
#ifndef SERVER_SESSION_REKEY_H
#define SERVER_SESSION_REKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"
#include "sshecho/clock.h"
#include "sshecho/token_bucket.h"

struct rekey {
    uint64_t limit_bytes, interval_us;      /* what has us begin one; interval 0: never by time */
    uint64_t bytes_in_mark, bytes_out_mark; /* under which counts the keys in use began */
    mono_time keys_at;
    struct token_bucket clients;
    uint64_t count;
    bool ours;   /* the last one was */
    bool forced; /* the next one is ours, whatever the counts say */
};

void rekey_init(struct rekey *rekey, const struct config *config, mono_time now);
/* The test bench has set another limit, and one exchange is due now. */
void rekey_every(struct rekey *rekey, uint64_t limit_bytes);
/* One of ours begins now, before it would be due. */
void rekey_begun(struct rekey *rekey);
/* New keys are in use: the first ones; later ones. The counts are of bytes under keys since the connection began (at
 * least as many as libssh counts). rekey_done returns false when the client has caused more than its rate allows. */
void rekey_first_keys(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now);
bool rekey_done(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now);

#endif
