/*
 * campaign.h - room: questions that take more than one run.
 *
 * find, the highest load that keeps a promise. Each run is a process of its own (tools/spawn), and what is said is made
 * of its result. This header is what commands.h sees.
 */
#ifndef LOAD_CAMPAIGN_CAMPAIGN_H
#define LOAD_CAMPAIGN_CAMPAIGN_H

#include "sshecho/options.h"

/* Takes the command line itself, since most of its words belong to the runs. Returns the exit code. */
extern const struct option_table find_option_table;
int find_run(int argc, char **argv);

#endif
