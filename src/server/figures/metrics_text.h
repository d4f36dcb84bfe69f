/*
 * metrics_text.h - room: the figures as text.
 *
 * Writes the scoreboard and what the master knows in Prometheus's text format (version 0.0.4), names and units by
 * Prometheus's rules, and answers whether the server is alive and ready. Pure but for the kernel's own figures about
 * the listening sockets and the workers' processes, which it looks up.
 */
#ifndef SERVER_FIGURES_METRICS_TEXT_H
#define SERVER_FIGURES_METRICS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "server/config.h"
#include "server/entry/listener.h"
#include "server/figures/scoreboard.h"

/* Everything borrowed, for the length of a call. */
struct metrics_view {
    const struct scoreboard *board;
    const struct listeners *listeners;
    const struct config *config;
    uint64_t connections_max; /* what limits or file descriptors allow */
    bool announced, draining; /* all workers have been up; a stop has been asked for */
};

void metrics_write(const struct metrics_view *view, FILE *out);
/* Both return NULL when all is well, else a word for why not. */
const char *metrics_why_not_alive(const struct metrics_view *view);
const char *metrics_why_not_ready(const struct metrics_view *view);

#endif
