/*
 * report_file.h - room: where reports go, one line of JSON each.
 *
 * A regular file, opened by the master (a worker may open nothing) and appended to by all workers, each line with one
 * write. Nobody waits; what the file does not take is lost and counted. Owns the descriptor that it is given.
 */
#ifndef SERVER_REPORT_REPORT_FILE_H
#define SERVER_REPORT_REPORT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/figures/counters.h"
#include "sshecho/options.h"
#include "sshecho/sink.h"

struct report_file {
    struct sink sink;
    struct counters *counters;
    uint64_t lost, lost_told;
};

/* In the master: the descriptor, or -1 with *error. */
int report_file_make(const char *path, struct option_error *error);

/* In a worker. fd -1: no reports are wanted. */
void report_file_begin(struct report_file *file, int fd, struct counters *counters);
bool report_file_is_open(const struct report_file *file);
/* Writes one line and frees it; NULL (no memory for it) is a lost one. */
void report_file_write(struct report_file *file, char *line);
/* Now and then: tells in the log what was lost. */
void report_file_look(struct report_file *file);
void report_file_end(struct report_file *file);

#endif
