/*
 * sink.h - room: lines to a descriptor, never waiting for whoever reads it.
 *
 * A line that the descriptor does not take at once goes into a bounded queue; what does not fit there is counted. A
 * sink never sets O_NONBLOCK on what it was given: that flag belongs to the open file description, which a shell, a
 * sibling or a user's terminal may share. Instead a pipe or terminal is opened anew through /proc/self/fd, which makes
 * a description of our own; a socket (the journal) takes MSG_DONTWAIT; where neither can be had, poll(2) is asked
 * first, which is right but for the moment between the question and the write. Files are written as ever: they do not
 * stall.
 *
 * Belongs to one thread. After a fork the child calls sink_forget: the queue stays the parent's to write.
 */
#ifndef SSHECHO_SINK_H
#define SSHECHO_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINK_QUEUE_BYTES ((size_t)256 * 1024)

enum sink_way { SINK_PLAIN, SINK_SOCKET, SINK_OWN, SINK_POLLED };

struct sink {
    int fd;  /* borrowed; -1: none */
    int own; /* the description opened anew, -1 where there is none */
    enum sink_way way;
    char *queue; /* SINK_QUEUE_BYTES, made when first needed */
    size_t start, length;
    uint64_t lost; /* lines, since sink_open */
};

#define SINK_NONE                                                                                                      \
    {                                                                                                                  \
        .fd = -1, .own = -1                                                                                            \
    }

/* Borrows fd. `wait`: as write(2) does, nothing is queued. Never fails: the worst is SINK_POLLED. */
void sink_open(struct sink *sink, int fd, bool wait);
/* Frees the queue and what was opened anew; not fd. */
void sink_close(struct sink *sink);

/* Writes, queues or counts one whole line, its end included. */
void sink_line(struct sink *sink, const char *line, size_t length);
/* Writes it if nothing waits and the descriptor takes it now; else leaves it. Returns whether. */
bool sink_try(struct sink *sink, const char *line, size_t length);
/* Writes what the descriptor takes now. True if nothing is left. */
bool sink_flush(struct sink *sink);
/* The same for at most so long. */
bool sink_flush_within(struct sink *sink, int64_t wait_us);

/* In a forked child: nothing is queued, nothing was lost. */
void sink_forget(struct sink *sink);

#endif
