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

#include "server/config.h"
#include "server/figures/counters.h"
#include "server/figures/sources.h"
#include "sshecho/net.h"

#define SCOREBOARD_WORKERS (2 * CONFIG_WORKERS_MAX) /* a generation that serves, and one that comes or goes */
#define SCOREBOARD_QUEUES 64                        /* listening sockets */

/* What the kernel says of a worker. */
struct worker_sample {
    _Atomic uint64_t cpu_us, resident_bytes;
};

struct accept_queue {
    struct net_address bound;
    uint64_t length, max;
};

struct accept_queues {
    uint64_t count;
    struct accept_queue queues[SCOREBOARD_QUEUES];
};

struct scoreboard {
    struct counters departed;
    struct source_hold_offs hold_offs;
    _Atomic uint64_t slots; /* workers[] from here on are empty: who looks at all of them stops here */
    _Atomic uint64_t worker_restarts, reloads, reload_failures, started_unix_s;
    _Atomic uint64_t log_lines_lost;      /* of the master's own */
    _Atomic uint64_t announced, draining; /* all workers have been up; a stop has been asked for */
    _Atomic uint64_t connections_max;     /* what limits or file descriptors allow */
    struct worker_sample samples[SCOREBOARD_WORKERS];
    struct accept_queues queues[2]; /* one is being written while the other is read */
    _Atomic uint64_t queues_half;   /* the one to read */
    /* written by every worker: ids of connections are unique over all workers of a run */
    alignas(COUNTERS_LINE_BYTES) _Atomic uint64_t next_connection;
    struct counters workers[SCOREBOARD_WORKERS];
    alignas(COUNTERS_LINE_BYTES) struct source_counts sources[SCOREBOARD_WORKERS];
};
static_assert(sizeof(struct source_counts) % COUNTERS_LINE_BYTES == 0, "one cache line per writer");

/* Whether two programs mean the same by it: raise the number when a word changes its place or meaning. */
#define SCOREBOARD_LAYOUT ((UINT64_C(1) << 48) + sizeof(struct scoreboard) + 31 * sizeof(struct counters))

/* An unnamed file of its size, so that a program executed in our place can map it again; -1 with errno. */
int scoreboard_memory(void);
struct scoreboard *scoreboard_map(int fd);  /* NULL with errno */
struct scoreboard *scoreboard_create(void); /* both, for who leaves nothing behind; NULL with errno */
void scoreboard_destroy(struct scoreboard *board);

/* Sum over living workers and the departed. */
void scoreboard_total(const struct scoreboard *board, struct counters *total);
uint64_t scoreboard_connections(const struct scoreboard *board);
uint64_t scoreboard_unauthenticated(const struct scoreboard *board);

/* Slots that are or may be in use. */
unsigned scoreboard_slots(const struct scoreboard *board);
/* Master: a worker gets this slot. */
void scoreboard_enlist(struct scoreboard *board, unsigned slot, uint64_t pid);
/* Master: the worker in `slot` is gone; its deeds are kept and its places cleared. */
void scoreboard_bury(struct scoreboard *board, unsigned slot);
/* Connections of a source over all workers. */
uint64_t scoreboard_source_count(const struct scoreboard *board, uint64_t key);

#endif
