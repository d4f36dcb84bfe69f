/*
 * crew.h - room: several of this program at once.
 *
 * Each member is a run in a process of its own; all of them are waited for, and whoever tells us to stop tells them.
 */
#ifndef LOAD_CAMPAIGN_CREW_H
#define LOAD_CAMPAIGN_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct crew_member {
    char **words; /* what follows "sshload", [count] */
    size_t count;
    pid_t pid;
    bool running;
    int code; /* exit code, or -1: could not be started, or was killed */
};

/* Runs all of them to their ends. A member that does not even begin (exit code 2) ends the others. Returns how often we
 * were told to stop meanwhile. */
int crew_run(struct crew_member *members, size_t count);

#endif
