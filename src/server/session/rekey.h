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
    uint64_t bytes_out_at_begin; /* of the one under way */
    mono_time began_at;
    bool under_way;
    uint64_t bytes_in, bytes_out; /* under the keys that the last one replaced */
    struct token_bucket clients;
    uint64_t count;
    bool ours;   /* the last one was */
    bool forced; /* the next one is ours, whatever the counts say */
};

void rekey_init(struct rekey *rekey, const struct config *config, mono_time now);
/* Misbehaviour on request has set another limit, and one exchange is due now. */
void rekey_every(struct rekey *rekey, uint64_t limit_bytes);
/* The next one is ours: it has been asked for now, before it would be due. */
void rekey_asked_for(struct rekey *rekey);
/* The first keys are in use. All counts are of bytes under keys since the connection began (at least as many as libssh
 * counts). */
void rekey_first_keys(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now);
/* An exchange has begun: the client's KEXINIT is here, and what we have to send waits. Now is decided whose it is: what
 * has waited goes out under our new keys before the client's NEWKEYS arrives, and counts with those. */
void rekey_begins(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now);
/* It is over. Returns false when the client has caused more than its rate allows. */
bool rekey_done(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now);

#endif
