#undef _FORTIFY_SOURCE /* its inline recv and poll would clash with the definitions below */
#include "sshecho/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SSHECHO_TRANSPORT
#define SSHECHO_TRANSPORT 1
#endif

/* fds beyond this use the plain path; 8 MiB of address space, of which only touched pages exist. */
#define TABLE_FDS (1 << 20)

/* The largest amount received per turn; also the size of the shared input buffer. */
#define INPUT_BYTES ((size_t)128 * 1024)

/* Output is handed to the kernel as soon as this much has been collected, so that the peer works while we go on. */
#define FLUSH_BYTES ((size_t)128 * 1024)

enum { SAW_RECV = 1, SAW_SEND = 2, SAW_POLL = 4 };

static _Atomic(struct transport *) table[TABLE_FDS];

/* What all transports of a thread share: only one is in a turn at a time. */
struct shared {
    uint8_t *input;
    size_t input_start, input_end;
    uint8_t *output;
    size_t output_bytes, output_capacity;
};
static _Thread_local struct shared shared;

bool transport_is_built(void)
{
    return SSHECHO_TRANSPORT != 0;
}

bool transport_was_reached(const struct transport *t)
{
    return t->calls_seen == (SAW_RECV | SAW_SEND | SAW_POLL);
}

void transport_release_buffers(void)
{
    free(shared.input);
    free(shared.output);
    shared = (struct shared){0};
}

int transport_open(struct transport *t, int fd)
{
    *t = (struct transport){.fd = -1};
    if (fd < 0 || fd >= TABLE_FDS) {
        return -1;
    }
    if (shared.input == NULL) {
        shared.input = malloc(INPUT_BYTES);
        if (shared.input == NULL) {
            return -1;
        }
    }
    t->fd = fd;
    atomic_store_explicit(&table[fd], t, memory_order_relaxed);
    return 0;
}

/* The kernel's view of one send: how much it took, 0 for "not now"; a failure is kept in write_errno. */
static size_t send_some(struct transport *t, const uint8_t *data, size_t size)
{
    if (t->write_errno != 0) {
        return size; /* nobody will ever get it */
    }
    ssize_t sent = sendto(t->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
    if (sent >= 0) {
        t->out_bytes += (uint64_t)sent;
        return (size_t)sent;
    }
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
        t->write_errno = errno;
        if (t->read_errno == 0) {
            t->read_errno = errno;
        }
        return size;
    }
    return 0;
}

static bool grow(uint8_t **buffer, size_t *capacity, size_t wanted)
{
    if (*buffer != NULL && wanted <= *capacity) {
        return true;
    }
    size_t size = *capacity < 16384 ? 16384 : *capacity;
    while (size < wanted) {
        size *= 2;
    }
    uint8_t *larger = realloc(*buffer, size);
    if (larger == NULL) {
        return false;
    }
    *buffer = larger;
    *capacity = size;
    return true;
}

static bool backlog_append(struct transport *t, const uint8_t *data, size_t size)
{
    if (t->backlog_start > 0 && t->backlog_start + t->backlog_bytes + size > t->backlog_capacity) {
        memmove(t->backlog, t->backlog + t->backlog_start, t->backlog_bytes);
        t->backlog_start = 0;
    }
    if (!grow(&t->backlog, &t->backlog_capacity, t->backlog_start + t->backlog_bytes + size)) {
        t->write_errno = ENOMEM; /* a hole in the stream is worse than an end */
        t->read_errno = ENOMEM;
        return false;
    }
    memcpy(t->backlog + t->backlog_start + t->backlog_bytes, data, size);
    t->backlog_bytes += size;
    return true;
}

static void backlog_send(struct transport *t)
{
    if (t->backlog_bytes == 0) {
        return;
    }
    size_t sent = send_some(t, t->backlog + t->backlog_start, t->backlog_bytes);
    t->backlog_start += sent;
    t->backlog_bytes -= sent;
    if (t->backlog_bytes == 0) { /* an idle session keeps no buffer */
        free(t->backlog);
        t->backlog = NULL;
        t->backlog_start = t->backlog_capacity = 0;
    }
}

void transport_flush(struct transport *t)
{
    backlog_send(t);
    if (!t->in_turn || shared.output_bytes == 0) {
        return;
    }
    size_t sent = 0;
    if (t->backlog_bytes == 0) {
        sent = send_some(t, shared.output, shared.output_bytes);
    }
    if (sent < shared.output_bytes) {
        (void)backlog_append(t, shared.output + sent, shared.output_bytes - sent);
    }
    shared.output_bytes = 0;
}

void transport_begin(struct transport *t, size_t budget_bytes, bool receive)
{
    t->in_turn = true;
    shared.input_start = shared.input_end = 0;
    shared.output_bytes = 0;
    backlog_send(t);
    if (!receive || t->closed || t->peer_eof || t->read_errno != 0) {
        return;
    }
    size_t size = budget_bytes < INPUT_BYTES ? budget_bytes : INPUT_BYTES;
    ssize_t got = recvfrom(t->fd, shared.input, size, MSG_DONTWAIT, NULL, NULL);
    if (got > 0) {
        shared.input_end = (size_t)got;
        t->in_bytes += (uint64_t)got;
    } else if (got == 0) {
        t->peer_eof = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        t->read_errno = errno;
    }
}

void transport_end(struct transport *t)
{
    transport_flush(t);
    t->in_turn = false;
    shared.input_start = shared.input_end = 0; /* left over only when libssh has given the session up */
}

void transport_close(struct transport *t)
{
    if (t->fd < 0) {
        return;
    }
    transport_flush(t);
    int fd = t->fd;
    atomic_store_explicit(&table[fd], NULL, memory_order_relaxed);
    free(t->backlog);
    *t = (struct transport){.fd = -1};
    (void)syscall(SYS_close, fd);
}

size_t transport_input_left(const struct transport *t)
{
    return t->in_turn ? shared.input_end - shared.input_start : 0;
}

bool transport_has_news(const struct transport *t)
{
    return transport_input_left(t) > 0 || t->peer_eof || t->read_errno != 0;
}

const uint8_t *transport_input(const struct transport *t, size_t *size)
{
    *size = transport_input_left(t);
    return shared.input + shared.input_start;
}

void transport_limit_input(struct transport *t, size_t size)
{
    if (size < transport_input_left(t)) {
        shared.input_end = shared.input_start + size;
    }
}

void transport_hold_newkeys(struct transport *t)
{
    t->hold_newkeys = true;
}

size_t transport_pending_bytes(const struct transport *t)
{
    return t->backlog_bytes + (t->in_turn ? shared.output_bytes : 0);
}

/* ---- what libssh calls ---------------------------------------------------------------------------------------- */

#if SSHECHO_TRANSPORT

static struct transport *find(int fd)
{
    if (fd < 0 || fd >= TABLE_FDS) {
        return NULL;
    }
    return atomic_load_explicit(&table[fd], memory_order_relaxed);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    struct transport *t = find(fd);
    if (t == NULL) {
        return recvfrom(fd, buffer, size, flags, NULL, NULL);
    }
    t->calls_seen |= SAW_RECV;
    size_t left = transport_input_left(t);
    if (left > 0) {
        size_t n = left < size ? left : size;
        memcpy(buffer, shared.input + shared.input_start, n);
        shared.input_start += n;
        return (ssize_t)n;
    }
    if (t->read_errno != 0) {
        errno = t->read_errno;
        return -1;
    }
    if (t->peer_eof) {
        return 0;
    }
    errno = EAGAIN; /* not reached through libssh: it polls first, and poll said no */
    return -1;
}

/* Output that libssh has sent: collected in a turn, else kept for the next. */
static void take_output(struct transport *t, const void *data, size_t size)
{
    if (t->write_errno == 0 && t->in_turn && t->backlog_bytes == 0 &&
        grow(&shared.output, &shared.output_capacity, shared.output_bytes + size)) {
        memcpy(shared.output + shared.output_bytes, data, size);
        shared.output_bytes += size;
        if (shared.output_bytes >= FLUSH_BYTES) {
            transport_flush(t);
        }
    } else if (t->write_errno == 0) {
        transport_flush(t); /* keeps the order should growing have failed */
        (void)backlog_append(t, data, size);
    }
}

/* How much of it may go now: all, or all but the NEWKEYS it ends with. */
static size_t hold_back(struct transport *t, const uint8_t *data, size_t size)
{
    static const uint8_t newkeys[] = {0, 0, 0, TRANSPORT_NEWKEYS_BYTES - 4, TRANSPORT_NEWKEYS_BYTES - 6, 21};
    if (t->held_bytes > 0) {
        take_output(t, t->held, t->held_bytes);
        t->held_bytes = 0;
        return size;
    }
    const uint8_t *tail = data + size - TRANSPORT_NEWKEYS_BYTES;
    if (size < TRANSPORT_NEWKEYS_BYTES || memcmp(tail, newkeys, sizeof newkeys) != 0) {
        return size;
    }
    memcpy(t->held, tail, sizeof t->held);
    t->held_bytes = sizeof t->held;
    t->hold_newkeys = false;
    return size - sizeof t->held;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    struct transport *t = find(fd);
    if (t == NULL) {
        return sendto(fd, data, size, flags, NULL, 0);
    }
    t->calls_seen |= SAW_SEND;
    size_t now = t->hold_newkeys || t->held_bytes > 0 ? hold_back(t, data, size) : size;
    if (now > 0) {
        take_output(t, data, now);
    }
    if (t->write_errno != 0) {
        errno = t->write_errno;
        return -1;
    }
    return (ssize_t)size;
}

static short readiness(const struct transport *t, short events)
{
    short ready = 0;
    if ((events & POLLIN) != 0 && transport_has_news(t)) {
        ready |= POLLIN;
    }
    if ((events & POLLOUT) != 0 && t->write_errno == 0) {
        ready |= POLLOUT;
    }
    return ready;
}

#if defined(__GNUC__) && !defined(__clang__)
/* glibc declares poll's array as written only, which would be news to the kernel. */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct transport *first = count > 0 ? find(fds[0].fd) : NULL;
    if (first == NULL) {
        struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000L};
        return ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
    }
    /* One session, one ssh_event, one fd: never a mixture. A wait is never wanted either: our sessions do not block. */
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        struct transport *t = find(fds[i].fd);
        fds[i].revents = 0;
        if (t != NULL) {
            t->calls_seen |= SAW_POLL;
            fds[i].revents = readiness(t, fds[i].events);
        }
        ready += fds[i].revents != 0 ? 1 : 0;
    }
    return ready;
}

int close(int fd)
{
    struct transport *t = find(fd);
    if (t == NULL) {
        return (int)syscall(SYS_close, fd);
    }
    t->closed = true; /* the fd itself goes in transport_close, after its watcher */
    return 0;
}

#endif
