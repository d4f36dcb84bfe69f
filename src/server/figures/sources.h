/*
 * sources.h - room: what is known of the addresses that connections come from.
 *
 * Two tables that lie in shared memory (scoreboard.h): how many connections of each source a worker has, written by
 * that worker alone, and which sources are held off, written by the master alone. A key is net_source_key()'s; all
 * words are read with relaxed atomics. Here and not beside admission, because who counts is not who asks: a connection
 * counts itself in and out, the master strikes, admission reads both.
 */
#ifndef SERVER_FIGURES_SOURCES_H
#define SERVER_FIGURES_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#define SOURCES_COUNTED 4096 /* addresses that one worker can count; more are admitted uncounted */
#define SOURCES_HELD_OFF 256

struct source_counts {
    struct source_count {
        _Atomic uint64_t key; /* 0: free */
        _Atomic uint64_t connections;
    } slots[SOURCES_COUNTED];
};

struct source_hold_offs {
    struct source_hold_off {
        _Atomic uint64_t key;
        _Atomic uint64_t strikes;
        _Atomic uint64_t until_ns; /* monotonic */
    } entries[SOURCES_HELD_OFF];
};

/* Worker: one connection more of this source. False if the table is full: it is not counted, and not to be removed. */
bool source_counts_add(struct source_counts *counts, uint64_t key);
/* Worker: one that was counted has ended. */
void source_counts_remove(struct source_counts *counts, uint64_t key);
uint64_t source_counts_of(const struct source_counts *counts, uint64_t key);

/* Master: this source was being served when a worker went down. Held off after the second time, longer each time. */
void source_strike(struct source_hold_offs *hold_offs, uint64_t key, uint64_t now_ns);
bool source_is_held_off(const struct source_hold_offs *hold_offs, uint64_t key, uint64_t now_ns);

#endif
