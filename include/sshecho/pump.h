/*
 * pump.h - room: the one place where libev meets libssh.
 *
 * A pump binds one libssh session to one libev loop. On readiness of the socket it drives libssh until it has nothing
 * more or the turn budget is spent, lets its owner move residue (`turned`), sends, and sets the watcher to what is
 * wanted next, touching libev only on change. It works on two paths with the same contract: batched (transport.h,
 * default) and plain (libssh does its own I/O). While it drives libssh, crypto_shortcuts.h serves it.
 *
 * Many pumps may share their loop's time (struct pump_turns): who needs little has its turn at once, all others stand
 * in a line that is given a bounded time in each turn of the loop. Otherwise a turn is as long as the portions of all
 * who have something, and fifty clients that push make everybody wait for fifty portions.
 *
 * Ownership: from pump_open on the pump owns the session, its ssh_event, the watcher and the fd; pump_close ends all
 * four. Callbacks of libssh run inside pump calls only. Nothing may free the session or the pump inside `turned`;
 * `dead` comes last in a pump call, from the loop, and the owner may destroy everything there.
 */
#ifndef SSHECHO_PUMP_H
#define SSHECHO_PUMP_H

#include <ev.h>
#include <libssh/libssh.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sshecho/crypto_shortcuts.h"
#include "sshecho/transport.h"

/* Bytes taken from one socket per turn: four packets of 32 KiB. At 256 KiB a quiet session behind eight bulk streams
 * waits twice as long for the same CPU per byte, at 64 KiB the bytes cost a twentieth more. */
#define PUMP_TURN_BYTES ((size_t)128 * 1024)

/* What one turn may cost, in bytes, whatever direction they have: those taken, their echo, as much again of what could
 * not go before, and room for the cost of packets. A peer that takes whatever it gets, under a window of 4 GiB, gets a
 * portion as large as anybody's. Less room costs bulk streams: with 320 KiB in all what is held once stays held, and
 * moving it takes a copy more (a fifth of the CPU per byte). */
#define PUMP_TURN_BUDGET_BYTES(portion) ((portion)*3 + (portion) / 2)

/* The portion of who has its turn at once: more than a quiet session has to say. Who fills it stands in line from then
 * on, until a turn of his was smaller. */
#define PUMP_SMALL_TURN_BYTES ((size_t)16 * 1024)

/* Length, padding and sequence number of a packet, at most. */
#define PUMP_PACKET_OVERHEAD_BYTES 32

/* What a packet costs beyond its bytes, in bytes: a one-byte packet takes 2 to 3 us, the bytes of a full one 18 us. */
#define PUMP_PACKET_COST_BYTES 1024

/* While more than this waits to be sent, nothing is read from the socket: replies alone (window adjustments, failures
 * of a request flood) must not grow our memory when the peer does not read. */
#define PUMP_READ_STOP_BYTES ((size_t)1024 * 1024)

struct pump;

struct pump_owner {
    /* Batched path, while pump_read_along says so: what has come from the socket, before libssh has it. Returns how
     * much of it libssh may have; less than all only where the owner gives the session up. May be NULL. */
    size_t (*arrived)(struct pump *pump, void *data, const uint8_t *bytes, size_t size);
    /* Before libssh is driven; may be NULL. */
    void (*turning)(struct pump *pump, void *data);
    /* After libssh has been driven: move what can be moved (read residue, write). Returns true if it held output back
     * because pump_pending_bytes was high or pump_turn_left_bytes had come to its end: it is called again as soon as
     * there is room, without new input. */
    bool (*turned)(struct pump *pump, void *data);
    /* The turn is over and its output sent as far as the socket took it; may be NULL. */
    void (*settled)(struct pump *pump, void *data);
    /* The session cannot go on: socket closed or failed, protocol error. Called once. */
    void (*dead)(struct pump *pump, void *data);
};

/* The line of one loop. */
struct pump_turns {
    struct ev_loop *loop;
    ev_check serve;
    ev_idle more; /* keeps the loop from waiting while somebody stands in line */
    struct pump *first, *last;
};

struct pump {
    ssh_session session;
    ssh_event event;
    struct ev_loop *loop;
    ev_io io;
    struct transport transport;
    struct crypto_kept crypto;
    struct ssh_counter_struct wire;    /* bytes through the socket, as libssh counts them */
    struct ssh_counter_struct payload; /* bytes and packets through libssh's packet layer */
    const struct pump_owner *owner;
    void *owner_data;
    uint64_t payload_out_seen; /* for pump_pending_bytes, see pump.c */
    uint64_t written_unsent;
    uint64_t plain_payload_mark, plain_wire_mark;
    uint64_t turn_cost_mark; /* pump_cost_bytes() when the turn began */
    size_t turn_bytes;       /* the portion of this turn */
    struct pump_turns *turns;
    struct pump *next_in_line, *previous_in_line;
    int fd;
    int events_watched;
    bool batched;
    bool in_turn;
    bool open;
    bool started;
    bool retired;
    bool death_told;
    bool read_paused;
    bool reading_along;
    bool in_line;
    bool stranger; /* pump_is_known has not been called */
    bool greedy;   /* has filled its portion */
};

/* A line for the pumps of this loop, which must all be closed before it is ended. */
void pump_turns_init(struct pump_turns *turns, struct ev_loop *loop);
void pump_turns_end(struct pump_turns *turns);

/* Global choice, before any pump is opened. Returns whether batching is really in force. */
bool pump_set_batching(bool wanted);
bool pump_batching(void);

/* Shares the loop's time with the others of `turns`; before pump_start. Until pump_is_known it always stands in line:
 * nobody knows what a stranger's next message costs, a key exchange least of all. */
void pump_share(struct pump *pump, struct pump_turns *turns);
void pump_is_known(struct pump *pump);

/* Prepares the pump for a session that already has its fd, is non-blocking and has a poll handle (on the server: after
 * ssh_bind_accept_fd). Does not start the watcher. Returns 0, or -1 out of memory (nothing is kept; the fd is still the
 * caller's, or libssh's). */
int pump_open(struct pump *pump, struct ev_loop *loop, ssh_session session, int fd, const struct pump_owner *owner,
              void *data);

/* Adds the session to the pump's event (after ssh_handle_key_exchange or ssh_connect has said SSH_AGAIN) and starts the
 * watcher. */
int pump_start(struct pump *pump);

/* Runs a turn now, from outside libssh (a timer, a decision of the owner's). May call `dead`. No-op inside a turn. */
void pump_turn(struct pump *pump);

/* Between these two, libssh functions that may write (or read) can be called from outside a turn. enter returns false
 * if the pump is in a turn already (then leave must not be called). leave sends and re-arms, and never calls `dead`. */
bool pump_enter(struct pump *pump);
void pump_leave(struct pump *pump);

/* The owner wrote `bytes` with ssh_channel_write (kept to see what a key re-exchange holds back). */
void pump_note_written(struct pump *pump, size_t bytes);

/* Output that libssh has taken from us and the kernel has not: queued behind a key re-exchange, in libssh's buffer, in
 * the transport. Exact in batched mode but for the queue, an upper estimate in plain mode. */
size_t pump_pending_bytes(struct pump *pump);

/* What is left of this turn's budget. Who writes asks before each write; what is left over goes on in the next turn. */
size_t pump_turn_left_bytes(const struct pump *pump);
/* Packets that have been sent: how many one write became tells how large they are. */
uint64_t pump_packets_out(const struct pump *pump);

/* Whether the session can still carry anything. */
bool pump_is_alive(const struct pump *pump);

/* The pump of this thread that is in a turn, or between enter and leave; NULL when there is none. For who is called by
 * libssh without being told for which session. */
struct pump *pump_driven(void);

/* Whether the owner wants to see what arrives (`arrived`); it does not at first. */
void pump_read_along(struct pump *pump, bool wanted);

/* Batched path: see transport_hold_newkeys. */
void pump_hold_newkeys(struct pump *pump);

/* Bytes through the socket since pump_open. */
uint64_t pump_wire_in(const struct pump *pump);
uint64_t pump_wire_out(const struct pump *pump);

/* Payload through libssh's packet layer since pump_open, with what a packet adds to it at most: no less than libssh
 * counts for its key re-exchanges. */
uint64_t pump_keyed_bytes_in(const struct pump *pump);
uint64_t pump_keyed_bytes_out(const struct pump *pump);

/* How a dead session ended: SSH_MSG_DISCONNECT, end of file on the socket, a socket error, or libssh refusing what
 * came. */
enum pump_end { PUMP_END_DISCONNECT, PUMP_END_EOF, PUMP_END_SOCKET, PUMP_END_PROTOCOL };
enum pump_end pump_end(const struct pump *pump);

/* No more turns: the owner has done with this session and will close the pump when its time comes. */
void pump_retire(struct pump *pump);

/* Stops reading from the peer; what is pending still goes out. */
void pump_pause_reading(struct pump *pump, bool paused);

/* Stops the watcher, sends what can be sent at once, frees the session (and with it its channels: their callbacks must
 * be gone) and closes the fd. Safe when not open, and twice. Never from inside a libssh callback or `turned`. */
void pump_close(struct pump *pump);

#endif
