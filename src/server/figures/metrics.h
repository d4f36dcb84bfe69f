/*
 * metrics.h - room: the figures, over HTTP.
 *
 * /metrics in Prometheus's text format, /healthz (somebody serves) and /readyz (new connections are welcome). Lives in
 * the master: libmicrohttpd without a thread of its own, its epoll fd watched by the master's loop. Owns its listening
 * socket, its clients and its watchers. Reads the scoreboard and never writes it. Built without libmicrohttpd it
 * refuses to start.
 */
#ifndef SERVER_FIGURES_METRICS_H
#define SERVER_FIGURES_METRICS_H

#include <ev.h>

#include "server/figures/metrics_text.h"

struct metrics;

/* Fills in what the master knows at this moment. */
typedef void metrics_look(void *data, struct metrics_view *view);

/* Serves at config->metrics_listen, which is set. NULL with *error. */
struct metrics *metrics_start(struct ev_loop *loop, const struct config *config, metrics_look *look, void *data,
                              struct option_error *error);
/* Whether it serves what this configuration asks for; metrics may be NULL. */
bool metrics_fits(const struct metrics *metrics, const struct config *config);
void metrics_stop(struct metrics *metrics);
/* In a child: lets go of the sockets without a word to the clients, who are the master's. */
void metrics_forked(struct metrics *metrics);

#endif
