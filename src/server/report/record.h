/*
 * record.h - room: what was observed of one client.
 *
 * A few hundred bytes a connection and as many a channel, filled in where things happen anyway: phases, login answers,
 * data callbacks, writes, key re-exchanges. No judgement (remarks.h) and no words (report_json.h). Pure: numbers and
 * moments come as arguments. A record belongs to its connection, a channel's record to the record, which keeps it when
 * the channel is gone: how many of those is bounded.
 */
#ifndef SERVER_REPORT_RECORD_H
#define SERVER_REPORT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "server/report/offers.h"
#include "sshecho/clock.h"

/* Kept in detail; the rest is counted. */
#define RECORD_TRIES 12
#define RECORD_REQUESTS 16
#define RECORD_REKEYS 32
/* Closed channels: of a connection whose report somebody wants, and of any other. */
#define RECORD_CLOSED_WANTED 64
#define RECORD_CLOSED 1

/* Packets by size: the first bucket holds the empty ones, bucket n those of up to 2^(n-1) bytes, the last all larger.
 */
#define RECORD_SIZES 18

/* A stream is taken for bulk while so much of it has come by the time it is looked at. */
#define RECORD_BULK_TURN_BYTES 16384
#define RECORD_BULK_TURN_PACKETS 4

/* A packet smaller than any segment that comes in two pieces, the second so much later, was written in two pieces. */
#define RECORD_PIECES_BYTES 1000
#define RECORD_PIECES_WAIT_US (10 * US_PER_MS)

enum record_outcome { RECORD_REFUSED, RECORD_WOULD_DO, RECORD_PARTIAL, RECORD_ACCEPTED };

struct record_try {
    uint8_t method; /* index into record_methods */
    int8_t key;     /* enum ssh_keytypes_e, 0: none */
    uint8_t outcome;
    bool is_signed;
};

enum record_request {
    RECORD_PTY,
    RECORD_ENV,
    RECORD_SHELL,
    RECORD_EXEC,
    RECORD_SUBSYSTEM,
    RECORD_WINDOW_CHANGE,
    RECORD_SIGNAL,
    RECORD_OTHER,
    RECORD_REQUEST_KINDS
};

/* Moments; ns 0: has not come. A channel's last_data stays 0: see record_last_data. */
struct record_times {
    mono_time channel, request, first_data, last_data, eof, close;
};

/* The client's window. It is told of each adjustment, and looks besides: with each packet, write and turn. Where nobody
 * tells (libssh_log.h has no effect, or too many channels are open), adjustments between two looks count as one. */
struct record_window {
    uint32_t now, least; /* first: with each packet */
    mono_time shut_at;   /* while something waits for it; 0: it does not */
    uint32_t initial, most;
    uint32_t adjustments, adjustments_at_empty; /* at_empty: while it was shut */
    uint32_t smallest_adjustment, largest_adjustment;
    uint32_t shuts;
    uint64_t adjusted_bytes;
    int64_t shut_us;
    bool seen;
};

/* What changes with each packet lies together in front: with thousands of channels it is the cache that costs. */
/* With so much unanswered our window may be all but shut: libssh keeps from 640,000 bytes (0.10) of it up. */
#define RECORD_WINDOW_SCARCE_BYTES 500000U

struct channel_record {
    mono_time turn; /* of the loop, the last in which something came, and what that was */
    uint32_t turn_bytes, turn_packets;
    uint64_t bytes_in, bytes_out; /* each way in all */
    uint32_t packets_in, packets_out;
    uint32_t largest_out; /* bytes a packet, on the average of one write: what the client takes */
    bool eof, data_after_eof, close_without_eof;
    bool killed; /* exit-signal was sent */
    struct record_window window;
    uint32_t sizes[RECORD_SIZES];

    struct channel_record *next, *previous;
    struct channel_record *next_gone; /* that went after it */
    struct record_times at;
    uint64_t stderr_in, stderr_out;
    uint32_t bulk_packets;
    uint64_t bulk_bytes;
    uint32_t number; /* 1: the first of its connection */
    uint32_t requests;
    uint8_t request[RECORD_REQUESTS];
    uint16_t granted;    /* bit n: request n was */
    int16_t exit_status; /* -1: none was sent */
    mono_time finished;  /* our CLOSE */
    const char *service; /* static; NULL: none yet */
};

struct record_rekey {
    mono_time at;
    uint64_t bytes_in, bytes_out; /* under the keys before */
    int64_t took_us;
    bool ours;
};

struct record {
    mono_time piece_at; /* a small piece of a packet has come, and nothing since; in front: with each turn */
    uint64_t piece_mark, packets_mark;
    mono_time accepted_at, version_line, kexinit;
    int64_t accepted_wall_us;  /* since 1970 */
    const struct offer *offer; /* NULL: not seen */
    struct record_times at;    /* the first or last of all channels */
    struct channel_record *first, *last;
    struct channel_record *first_gone, *last_gone; /* in the order in which they went */
    struct record_rekey *rekeys;                   /* RECORD_REKEYS, made with the first one */
    mono_time rekey_began;
    uint64_t most_bytes_under_key; /* from the client */
    uint64_t least_rekey_bytes;    /* both ways, when the client began one */
    int64_t least_rekey_us;
    mono_time keys_at;
    uint32_t rekey_count, client_rekeys;
    uint32_t channels, channels_left_out, closed_kept;
    struct record_try tries[RECORD_TRIES];
    uint32_t try_count, keys_refused;
    uint32_t pieces;
    int64_t pieces_wait_us;
    uint8_t version_faults; /* enum version_fault */
    bool version_seen;
    bool none_tried;
    bool wanted; /* a report will be written, or has been asked for */
    int8_t key;  /* of the login request being judged */
    bool is_signed;
};

/* Bits. */
enum version_fault {
    VERSION_PROTOCOL = 1,   /* does not begin with SSH-2.0- */
    VERSION_NO_CR = 2,      /* ends in LF alone */
    VERSION_LONG = 4,       /* more than 255 characters */
    VERSION_CHARACTERS = 8, /* something else than printable US-ASCII */
    VERSION_MINUS = 16,     /* a minus sign in the software's version */
    VERSION_EMPTY = 32      /* no software's version */
};

extern const char *const record_methods[];
extern const char *const record_request_names[RECORD_REQUEST_KINDS];

void record_begin(struct record *record, mono_time accepted_at, bool wanted);
void record_end(struct record *record);

/* libssh's progress bar: 0.5 version line read, 0.6 the client's KEXINIT. */
void record_progress(struct record *record, float status);
/* What the client began with, as far as it could be read. */
void record_arrived(struct record *record, const struct kexinit *kexinit);
/* A version line, its end included, as it came. */
unsigned record_version_faults(const char *line, size_t size);

/* The key of the login request that record_login will tell of. */
void record_login_key(struct record *record, int key_type, bool is_signed);
void record_login(struct record *record, const char *method, enum record_outcome outcome);

void record_rekey_begins(struct record *record, mono_time now);
/* With the bytes that the keys before have carried. */
void record_rekey_done(struct record *record, bool ours, uint64_t bytes_in, uint64_t bytes_out, mono_time now);

/* After a turn in an open session: all bytes and packets that have come until now. */
void record_turned(struct record *record, uint64_t wire_in, uint64_t packets_in, uint64_t wire_in_before);

/* NULL without memory. */
struct channel_record *record_channel(struct record *record, mono_time now);
/* Its channel is no more. It may be freed in here. */
void record_channel_gone(struct record *record, struct channel_record *channel);

void record_request(struct record *record, struct channel_record *channel, enum record_request kind, bool granted);
/* Request `number` (from 0) was not granted after all. */
void record_refused(struct channel_record *channel, unsigned number);
void record_window_grew(struct record_window *window, uint32_t bytes);
/* The client has opened its window, of which so many bytes were left, by `by`. */
void record_window_adjusted(struct record_window *window, uint32_t left, uint32_t by);
/* What came together in the last turn was bulk, or the first there was. */
void record_turn_over(struct channel_record *channel);
mono_time record_last_data(const struct channel_record *channel);

/* ---- what happens with every packet -------------------------------------------------------------------------------
 */

/* A look at the client's window. `waits`: there is something to send. */
static inline void record_window(struct record_window *window, uint32_t bytes, bool waits)
{
    if (bytes != window->now) {
        record_window_grew(window, bytes);
    }
    if (bytes == 0 && waits && window->shut_at.ns == 0) {
        window->shut_at = mono_now();
        window->shuts++;
    }
}

static inline void record_written(struct channel_record *channel, uint32_t bytes, uint64_t packets, bool is_stderr)
{
    struct record_window *window = &channel->window;
    window->now -= bytes < window->now ? bytes : window->now;
    window->least = window->now < window->least ? window->now : window->least;
    channel->bytes_out += bytes;
    channel->packets_out += (uint32_t)packets;
    if (is_stderr) {
        channel->stderr_out += bytes;
    }
    if (packets == 1 ? bytes > channel->largest_out : packets > 1 && bytes / packets > channel->largest_out) {
        channel->largest_out = (uint32_t)(bytes / packets);
    }
}

/* `turn` is when this turn of the loop began; `waiting_bytes` is what lies unanswered with these. */
static inline void record_data(struct channel_record *channel, uint32_t bytes, uint32_t waiting_bytes, bool is_stderr,
                               mono_time turn)
{
    unsigned bucket = bytes <= 1 ? bytes : 33U - (unsigned)__builtin_clz(bytes - 1);
    channel->sizes[bucket < RECORD_SIZES ? bucket : RECORD_SIZES - 1]++;
    channel->bytes_in += bytes;
    channel->data_after_eof = channel->data_after_eof || channel->eof;
    if (is_stderr) {
        channel->stderr_in += bytes;
    }
    if (channel->turn.ns != turn.ns) {
        if (channel->turn_packets >= RECORD_BULK_TURN_PACKETS || channel->packets_in == 0) {
            record_turn_over(channel);
        }
        channel->turn = turn;
        channel->turn_bytes = channel->turn_packets = 0;
    }
    channel->packets_in++;
    if (waiting_bytes < RECORD_WINDOW_SCARCE_BYTES) { /* else the size of its packets is what our window left it */
        channel->turn_bytes += bytes;
        channel->turn_packets++;
    }
}

#endif
