/*
 * misbehave.h - room: misbehaviour on request, for people who test their SSH clients.
 *
 * What a client may ask of its own channel by exec or subsystem words (sshechod(8), TEST BENCH): delay, rate, stall,
 * drop, reset, exit, stderr, split, rekey, refuse. Pure: it says how many of the bytes that wait may go now, or when to
 * ask again; the channel does it. Nothing is stored: what may not go yet stays in libssh's buffer, with the window shut
 * behind it.
 */
#ifndef SERVER_CHANNEL_MISBEHAVE_H
#define SERVER_CHANNEL_MISBEHAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sshecho/clock.h"

#define MISBEHAVE_MARKS 64 /* arrivals told apart by their due time; when they run out, late ones share the latest */
#define MISBEHAVE_SIGNAL_MAX 16

struct misbehaviour {
    uint64_t delay_us, jitter_us;
    uint64_t life_us; /* 0: as long as the client likes */
    uint64_t rate_bytes_per_s;
    uint64_t stall_after_bytes, stall_for_us;                       /* stall_for 0: no stall */
    uint64_t drop_after_bytes, reset_after_bytes, exit_after_bytes; /* UINT64_MAX: never */
    uint64_t split_bytes, rekey_every_bytes;
    int exit_status;
    char exit_signal[MISBEHAVE_SIGNAL_MAX]; /* "" : exit with a status */
    bool to_stderr, refuse;

    /* state, of misbehave.c alone */
    uint64_t arrived_bytes, passed_bytes;
    struct {
        uint64_t end_bytes;
        mono_time due;
    } marks[MISBEHAVE_MARKS];
    unsigned first_mark, mark_count;
    double tokens;
    mono_time tokens_at, stalled_until, ends_at;
    bool stalling, stalled;
    unsigned short dice[3];
};

enum misbehave_verdict { MISBEHAVE_GO, MISBEHAVE_WAIT, MISBEHAVE_DROP, MISBEHAVE_RESET, MISBEHAVE_EXIT };

/* True if the words are this language's: the first is one of its verbs, and the second, if any, another or a key=value.
 */
bool misbehave_understands(const char *words);
/* Returns 0, or -1 with one sentence in complaint. */
int misbehave_parse(const char *words, struct misbehaviour *out, char *complaint, size_t complaint_size);

/* `bytes` have come in on the channel. */
void misbehave_arrived(struct misbehaviour *misbehaviour, uint64_t bytes, mono_time now);
/* Of `want` bytes that wait, *allowed may go now (MISBEHAVE_GO); or none may before *wait_us have passed
 * (MISBEHAVE_WAIT; 0: until something happens). */
enum misbehave_verdict misbehave_limit(struct misbehaviour *misbehaviour, mono_time now, uint64_t want,
                                       uint64_t *allowed, int64_t *wait_us);
/* Whether it is to end now, whatever else may come. Where time decides that later, *wait_us says when. */
bool misbehave_over(struct misbehaviour *misbehaviour, mono_time now, int64_t *wait_us);
void misbehave_passed(struct misbehaviour *misbehaviour, uint64_t bytes);

#endif
