/*
 * top.h - room: a live view of a server's figures.
 *
 * Asks the /metrics page of a running server once a second and shows totals, rates and each worker on the terminal.
 * A program of its own inside sshechod: touches nothing of the server but that page.
 */
#ifndef SERVER_FIGURES_TOP_H
#define SERVER_FIGURES_TOP_H

#include "server/config.h"

/* Until the user ends it; two samples and one picture when standard output is no terminal. Returns an exit status. */
int top_run(const struct config *config);

#endif
