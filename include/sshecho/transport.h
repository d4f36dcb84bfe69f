/*
 * transport.h - room: batched socket I/O under libssh.
 *
 * libssh asks the kernel for 4 KiB at a time and sends each packet by itself. This room answers libssh's recv, send,
 * poll and close for the sockets registered here: one recv(2) per turn into a buffer that all sessions of the thread
 * share, output collected while input is processed, one send(2) at the end of the turn. It does so by defining those
 * four symbols in the executable (symbol interposition); for any other fd they are the plain system calls.
 * the pump finds out by a probe whether libssh really comes
 * here; where it does not (static libssh, -Bsymbolic),
 * or when switched off, the pump drives the plain path.
 *
 * Owns: the table fd -> transport, and per thread the shared input and output buffers. Each transport belongs to one
 * thread. It knows neither libssh's headers nor libev. A close(2) by libssh is only noted: the pump closes the fd,
 * after it has stopped its watcher, so an fd number can never come back while somebody still holds it.
 */
#ifndef SSHECHO_TRANSPORT_H
#define SSHECHO_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SSH_MSG_NEWKEYS, unencrypted: lengths, the message, padding to two blocks of eight. */
#define TRANSPORT_NEWKEYS_BYTES 16

struct transport {
    int fd;              /* -1: not registered */
    unsigned calls_seen; /* for transport_was_reached */
    bool in_turn;
    bool peer_eof;    /* recv said 0, and everything before it has been handed over */
    bool closed;      /* libssh closed it */
    int read_errno;   /* what the kernel's recv failed with, to be told to libssh once the input is used up */
    int write_errno;  /* what send failed with; output is dropped from then on */
    uint8_t *backlog; /* output the kernel has not taken yet; malloc'd, NULL when empty */
    size_t backlog_bytes, backlog_start, backlog_capacity;
    uint64_t in_bytes, out_bytes; /* through the kernel since registration */
    bool hold_newkeys;            /* see transport_hold_newkeys */
    uint8_t held_bytes;
    uint8_t held[TRANSPORT_NEWKEYS_BYTES];
};

/* Whether this room is in the build at all (make TRANSPORT=1, the default). */
bool transport_is_built(void);
/* Whether libssh's recv, send and poll have all arrived here for this fd since it was registered: the pump's probe
 * asks. */
bool transport_was_reached(const struct transport *t);
/* Frees the calling thread's shared buffers; at the end of a thread that has closed all its transports. */
void transport_release_buffers(void);

/* Registers fd. Returns 0, or -1 (ENOMEM, or fd beyond the table). */
int transport_open(struct transport *t, int fd);
/* One attempt to send what is left, unregisters and closes the fd. Safe when not open, and twice. */
void transport_close(struct transport *t);

/* A turn: begin receives once (at most budget_bytes, skipped unless `receive`), libssh is driven, end sends. Calls do
 * not nest. */
void transport_begin(struct transport *t, size_t budget_bytes, bool receive);
void transport_end(struct transport *t);
/* Sends what has been collected so far in this turn. */
void transport_flush(struct transport *t);

/* The same as bytes, and cut short: what is beyond the limit libssh never gets. */
const uint8_t *transport_input(const struct transport *t, size_t *size);
void transport_limit_input(struct transport *t, size_t size);
/* The next unencrypted SSH_MSG_NEWKEYS that libssh sends waits for what it sends after it, and both go together. Only
 * for a peer that sends its own NEWKEYS without having seen ours. */
void transport_hold_newkeys(struct transport *t);
/* Input of this turn that libssh has not taken yet. */
size_t transport_input_left(const struct transport *t);
/* Whether libssh has anything to hear of: input, the peer's EOF, or an error. */
bool transport_has_news(const struct transport *t);
/* Output accepted from libssh that the kernel has not taken. Exact. */
size_t transport_pending_bytes(const struct transport *t);

#endif
