/*
 * metrics_text.h - room: the figures as text.
 *
 * Writes the scoreboard in Prometheus's text format (version 0.0.4), names and units by Prometheus's rules, and answers
 * whether the server is alive and ready. Looks nothing up but the time: it is called where nothing else is allowed.
 */
#ifndef SERVER_FIGURES_METRICS_TEXT_H
#define SERVER_FIGURES_METRICS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "server/figures/scoreboard.h"

void metrics_write(const struct scoreboard *board, FILE *out);
/* Both return NULL when all is well, else a word for why not. */
const char *metrics_why_not_alive(const struct scoreboard *board);
const char *metrics_why_not_ready(const struct scoreboard *board);

#endif
