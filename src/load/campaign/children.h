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
#include <stdint.h>
#include <sys/types.h>

struct child_run {
    char **words; /* what follows "sshload", [count] */
    size_t count;
    pid_t pid;
    bool running;
    int code; /* exit code, or -1: could not be started, or was killed */
    /* Another program: words[0], looked for in PATH. It has files for its output and its complaints, and is told to
     * stop, the first time, by the end of its input. */
    bool foreign;
    int output, complaints;
    int input; /* the pipe to it; -1: closed */
};

/* When none may still run, and who looks on meanwhile. */
struct children_limits {
    int64_t deadline_us; /* since 1970: those that run are told to stop; 0: never */
    int64_t grace_us;    /* after being told, until they are killed; 0: for ever */
    int64_t look_every_us;
    void (*look)(void *data); /* NULL: nobody */
    void *data;
};

/* Runs all of them to their ends. A run that does not even begin (exit code 2, or what ssh and a shell say: 126 and
 * more) or is killed ends the others. `limits` may be NULL. Returns how often we were told to stop meanwhile. */
int children_run(struct child_run *runs, size_t count, const struct children_limits *limits);

#endif
