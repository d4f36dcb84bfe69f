/*
 * agents.h - room: one run on several machines.
 *
 * Starts this program on each by OpenSSH's ssh, as a shard of the run, and merges what they send back. Knows of a host
 * but its name: how it is reached is ssh's matter. Owns the ssh processes while they run; writes no file.
 */
#ifndef LOAD_CAMPAIGN_AGENTS_H
#define LOAD_CAMPAIGN_AGENTS_H

#include "load/result/result.h"
#include "load/settings.h"

/* argv is that of the whole program. *merged is what the agents measured (result_free), if *any. Returns the exit code
 * of what went wrong, having said so, or 0. */
int agents_run(const struct settings *settings, int argc, char **argv, struct result *merged, bool *any);

/* `sshload clock`: answers each line of input with the time, until there is no more. Returns the exit code. */
int agents_clock(void);

#endif
