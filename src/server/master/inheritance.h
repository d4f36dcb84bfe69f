/*
 * inheritance.h - room: what a master leaves to the program that takes its place.
 *
 * An upgrade executes the new program in place of the old one: same process, same children, same descriptors. What the
 * memory held and the heir needs is written into an unnamed file (a memfd; a throw-away host key must be on no disk) of
 * one line a thing, named by its descriptor in the environment. Lines that a version does not know it skips. A
 * rehearsal reads the same and answers at its end.
 */
#ifndef SERVER_MASTER_INHERITANCE_H
#define SERVER_MASTER_INHERITANCE_H

#include <stdbool.h>

#include "server/figures/scoreboard.h"
#include "server/master/workers.h"
#include "server/process/generation.h"

#define INHERITANCE_VARIABLE "SSHECHOD_INHERITANCE"

enum inheritance_kind { INHERITS_NOTHING, INHERITS_REHEARSAL, INHERITS_ALL };

struct inheritance {
    enum inheritance_kind kind;
    int fd; /* the unnamed file; -1: none */
    struct generation
        *generation; /* what serves until the heir does: sockets, throw-away keys, hardly a configuration */
    int board_fd;    /* -1: none, or of another layout */
    pid_t metrics_pid;
    char version[64]; /* of who left it */
    struct {
        unsigned slot;
        pid_t pid;
        bool leaving;
    } workers[SCOREBOARD_WORKERS];
    unsigned worker_count;
};

/* Takes what the environment names, and the variable out of it. INHERITS_NOTHING with *error where it is there and not
 * usable. */
void inheritance_take(struct inheritance *inheritance, struct option_error *error);
/* Gives back what nobody has taken over. */
void inheritance_end(struct inheritance *inheritance);

/* What a master has to leave. */
struct estate {
    const struct generation *generation;
    const struct workers *workers;
    int board_fd;
    pid_t metrics_pid;
};
/* A new unnamed file with all of it. Returns its descriptor or -1 with errno. */
int inheritance_write(const struct estate *estate);
/* Whether the descriptors outlive an execve. */
int inheritance_keep(const struct estate *estate, int fd, bool keep);
/* Names it for the program that is executed next. */
int inheritance_name(enum inheritance_kind kind, int fd);

/* A rehearsal's answer, and whether it was given; version: of who gave it. */
int inheritance_answer(int fd);
bool inheritance_answered(int fd, char *version, size_t size);

#endif
