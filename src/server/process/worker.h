/*
 * worker.h - room: one worker process.
 *
 * One libev loop, its connections, its page of counters. Accepts from the shared listening sockets a bounded number per
 * turn, leaves connections to workers that hold fewer, stamps its heartbeat, drains when told. No threads, no locks;
 * everything it is given is read-only but its own page. Created by fork; runs until it has nothing left to do.
 */
#ifndef SERVER_PROCESS_WORKER_H
#define SERVER_PROCESS_WORKER_H

#include <sys/types.h>

#include "server/config.h"
#include "server/entry/listener.h"
#include "server/figures/scoreboard.h"
#include "server/identity/hostkeys.h"
#include "server/login/credentials.h"

struct worker_setup {
    const struct config *config;
    const struct credentials *credentials;
    const struct hostkeys *keys;
    const struct listeners *listeners;
    struct scoreboard *board;
    int report_fd; /* -1: no reports are wanted */
    unsigned slot;
    unsigned siblings; /* workers of this generation, itself included */
    uint64_t fd_limit;
    pid_t master;
};

/* Runs the worker to its end; returns its exit status. The caller has blocked all signals; they are unblocked in here.
 */
int worker_run(const struct worker_setup *setup);

#endif
