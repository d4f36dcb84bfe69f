/*
 * metrics.h - room: the figures, over HTTP.
 *
 * /metrics in Prometheus's text format, /healthz (somebody serves) and /readyz (new connections are welcome). The
 * master opens the socket; a process of its own (process/metrics_process) answers, with libmicrohttpd and without a
 * thread. Reads the scoreboard and never writes it. Built without libmicrohttpd it refuses to start.
 */
#ifndef SERVER_FIGURES_METRICS_H
#define SERVER_FIGURES_METRICS_H

#include "server/config.h"
#include "server/figures/metrics_text.h"

#define METRICS_PROCESS_NAME "sshechod-http" /* as ps shows it */

struct metrics;

/* The listening socket for config->metrics_listen, which is set: a copy of the kept one (-1: none) if that was for the
 * same address. Returns the fd, or -1 with *error; *asked: the address in the configuration. */
int metrics_open(const struct config *config, int kept_fd, const struct net_address *kept, struct net_address *asked,
                 struct option_error *error);

/* In the process that serves them. NULL if the HTTP server does not start. */
struct metrics *metrics_start(int fd, const struct scoreboard *board);
_Noreturn void metrics_run(struct metrics *metrics);

#endif
