/*
 * children.h - room: several of this program at once.
 *
 * Each is a run in a process of its own, a child of ours; all of them are waited for, and whoever tells us to stop
 * tells them.
 */
#ifndef LOAD_CAMPAIGN_CHILDREN_H
#define LOAD_CAMPAIGN_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child_run {
    char **words; /* what follows "sshload", [count] */
    size_t count;
    pid_t pid;
    bool running;
    int code; /* exit code, or -1: could not be started, or was killed */
};

/* Runs all of them to their ends. A run that does not even begin (exit code 2) ends the others. Returns how often we
 * were told to stop meanwhile. */
int children_run(struct child_run *runs, size_t count);

#endif
