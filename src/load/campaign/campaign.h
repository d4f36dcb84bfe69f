/*
 * campaign.h - room: questions that take more than one run.
 *
 * find, the highest load that keeps a promise; run, several loads at once as a file describes them. Each run is a
 * process of its own (tools/spawn), and what is said is made of its result. This header is what commands.h sees.
 */
#ifndef LOAD_CAMPAIGN_CAMPAIGN_H
#define LOAD_CAMPAIGN_CAMPAIGN_H

#include "sshecho/options.h"

/* Takes the command line itself, since most of its words belong to the runs. Returns the exit code. */
extern const struct option_table find_option_table;
int find_run(int argc, char **argv);

/* `run FILE`: the values of its table, and the file. */
extern const struct option_table scenario_option_table;
int scenario_run(const void *values, const struct string_list *files);

#endif
