#include "sshecho/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sshecho/clock.h"

/* A description of our own for the same pipe or terminal; -1 where it cannot be had (no /proc, another user's pipe). */
static int open_anew(int fd)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void sink_open(struct sink *sink, int fd, bool wait)
{
    struct stat st;
    *sink = (struct sink){.fd = fd, .own = -1, .way = SINK_PLAIN};
    if (wait || fstat(fd, &st) != 0) {
        return;
    }
    if (S_ISSOCK(st.st_mode)) {
        sink->way = SINK_SOCKET;
    } else if (S_ISFIFO(st.st_mode) || isatty(fd)) {
        sink->own = open_anew(fd);
        sink->way = sink->own >= 0 ? SINK_OWN : SINK_POLLED;
    }
}

void sink_close(struct sink *sink)
{
    if (sink->own >= 0) {
        (void)close(sink->own);
    }
    free(sink->queue);
    *sink = (struct sink)SINK_NONE;
}

void sink_forget(struct sink *sink)
{
    sink->start = sink->length = 0;
    sink->lost = 0;
}

static bool would_take(int fd, int wait_ms)
{
    struct pollfd ask = {.fd = fd, .events = POLLOUT};
    return poll(&ask, 1, wait_ms) > 0; /* an error on it is a reason to write too: the write will tell */
}

/* One write: as write(2), but 0 means "not now". */
static ssize_t attempt(const struct sink *sink, const char *data, size_t size)
{
    ssize_t written;
    do {
        if (sink->way == SINK_SOCKET) {
            written = sendto(sink->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
        } else if (sink->way == SINK_POLLED && !would_take(sink->fd, 0)) {
            return 0;
        } else {
            written = write(sink->way == SINK_OWN ? sink->own : sink->fd, data, size);
        }
    } while (written < 0 && errno == EINTR);
    return written < 0 && errno == EAGAIN && sink->way != SINK_PLAIN ? 0 : written;
}

static bool enqueue(struct sink *sink, const char *data, size_t size)
{
    if (sink->queue == NULL) {
        sink->queue = malloc(SINK_QUEUE_BYTES);
    }
    if (sink->queue == NULL || sink->length + size > SINK_QUEUE_BYTES) {
        return false;
    }
    if (sink->start + sink->length + size > SINK_QUEUE_BYTES) {
        memmove(sink->queue, sink->queue + sink->start, sink->length);
        sink->start = 0;
    }
    memcpy(sink->queue + sink->start + sink->length, data, size);
    sink->length += size;
    return true;
}

/* How much of the queue to write at once: whole lines, and no more than a pipe takes in one piece. */
static size_t next_piece(const struct sink *sink)
{
    const char *first = sink->queue + sink->start;
    if (first == NULL || sink->length <= PIPE_BUF) { /* never NULL; for gcc */
        return sink->length;
    }
    const char *end = memrchr(first, '\n', PIPE_BUF);
    if (end == NULL) { /* a line longer than that */
        end = memchr(first, '\n', sink->length);
    }
    return end != NULL ? (size_t)(end - first) + 1 : sink->length;
}

static uint64_t lines_in(const char *data, size_t size)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n' ? 1 : 0;
    }
    return lines;
}

bool sink_flush(struct sink *sink)
{
    while (sink->length > 0) {
        size_t piece = next_piece(sink);
        ssize_t written = attempt(sink, sink->queue + sink->start, piece);
        if (written == 0) {
            return false;
        }
        if (written < 0) { /* e.g. the reader has gone for good */
            sink->lost += lines_in(sink->queue + sink->start, piece);
            written = (ssize_t)piece;
        }
        sink->start += (size_t)written;
        sink->length -= (size_t)written;
    }
    sink->start = 0;
    return true;
}

bool sink_flush_within(struct sink *sink, int64_t wait_us)
{
    mono_time end = mono_add_us(mono_now(), wait_us);
    while (!sink_flush(sink)) {
        int64_t left_us = mono_us_between(mono_now(), end);
        if (left_us <= 0) {
            return false;
        }
        (void)would_take(sink->way == SINK_OWN ? sink->own : sink->fd, (int)(left_us / 1000) + 1);
    }
    return true;
}

void sink_line(struct sink *sink, const char *line, size_t length)
{
    size_t done = 0;
    if (sink_flush(sink)) {
        ssize_t written = attempt(sink, line, length);
        if (written < 0 || (sink->way == SINK_PLAIN && written != (ssize_t)length)) {
            /* The rest of a short write to a file (the disk is full) is given up: a second one could land inside
             * somebody else's line. */
            sink->lost++;
            return;
        }
        done = (size_t)written;
    }
    if (done < length && !enqueue(sink, line + done, length - done)) {
        sink->lost++;
    }
}

bool sink_try(struct sink *sink, const char *line, size_t length)
{
    ssize_t written = sink->length == 0 ? attempt(sink, line, length) : 0;
    if (written <= 0) {
        return false;
    }
    return (size_t)written == length || enqueue(sink, line + written, length - (size_t)written);
}
