/*
 * scoreboard.h - room: the memory that master and workers share.
 *
 * One anonymous shared mapping, made by the master before the first fork: a page of counters and a table of sources per
 * worker, each written by that worker alone; the counters of the departed and the list of held-off sources, written by
 * the master alone. No locks: every word has one writer and is read with relaxed atomics.
 */
#ifndef SERVER_FIGURES_SCOREBOARD_H
#define SERVER_FIGURES_SCOREBOARD_H

#include <stdbool.h>

#include "server/figures/counters.h"

#define SCOREBOARD_WORKERS 256  /* workers of all generations at once */
#define SCOREBOARD_SOURCES 4096 /* source addresses one worker can count; more are admitted uncounted */
#define SCOREBOARD_HELD_OFF 256

struct source_slot {
    _Atomic uint64_t key; /* 0: free */
    _Atomic uint64_t count;
};

struct held_off {
    _Atomic uint64_t key;
    _Atomic uint64_t strikes;
    _Atomic uint64_t until_ns; /* monotonic */
};

struct scoreboard {
    struct counters departed;
    struct held_off held_off[SCOREBOARD_HELD_OFF];
    _Atomic uint64_t worker_restarts, reloads, reload_failures, started_unix_s;
    _Atomic uint64_t log_lines_lost;  /* of the master's own */
    _Atomic uint64_t next_connection; /* ids are unique over all workers of a run */
    struct counters workers[SCOREBOARD_WORKERS];
    struct source_slot sources[SCOREBOARD_WORKERS][SCOREBOARD_SOURCES];
};

struct scoreboard *scoreboard_create(void); /* NULL with errno */
void scoreboard_destroy(struct scoreboard *board);

/* Sum over living workers and the departed. */
void scoreboard_total(const struct scoreboard *board, struct counters *total);
uint64_t scoreboard_connections(const struct scoreboard *board);
uint64_t scoreboard_unauthenticated(const struct scoreboard *board);

/* Master: the worker in `slot` is gone; its deeds are kept and its places cleared. */
void scoreboard_bury(struct scoreboard *board, unsigned slot);
/* Worker: adds `delta` to what it holds for a source; returns false if the table is full. */
bool scoreboard_source_add(struct scoreboard *board, unsigned slot, uint64_t key, int delta);
/* Connections of a source over all workers. */
uint64_t scoreboard_source_count(const struct scoreboard *board, uint64_t key);

/* Master: this source was being served when a worker went down. Held off after the second time, longer each time. */
void scoreboard_strike(struct scoreboard *board, uint64_t key, uint64_t now_ns);
bool scoreboard_is_held_off(const struct scoreboard *board, uint64_t key, uint64_t now_ns);

#endif
