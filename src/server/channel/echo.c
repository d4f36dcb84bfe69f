#include "server/channel/echo.h"

#include <string.h>

#include "server/channel/terminal.h"
#include "sshecho/version.h"

/* libssh 0.10 (poll.c, channels.c) lets a channel have 1,280,000 bytes granted beyond up to 640,000 unread ones; from
 * 0.11 on 2 MiB in all. A tenth on top for clients that count a little differently. */
#define GRANT_MAX_0_10 1920000U
#define GRANT_MAX_0_11 (2U * 1024 * 1024)

/* The window that a channel begins with. */
#define OPENING_WINDOW_BYTES 32000U

/* On 0.10 echoed bytes are consumed by reading only when at most this much would stay unread: its ssh_channel_read
 * grants a full window without counting what is unread. 32,000 is the window it opens with. */
#define UNREAD_AT_READ_MAX OPENING_WINDOW_BYTES

/* What is copied out of libssh's buffer for one write; also what one ssh_channel_read takes. One thread per process,
 * and never across a call that could come back here with it in use. */
static uint8_t scratch[LIBSSH_PACKET_BYTES];

static uint32_t overrun_limit(void)
{
    static uint32_t limit;
    if (limit == 0) {
        uint32_t grant = version_libssh_number() < LIBSSH_VERSION_0_11 ? GRANT_MAX_0_10 : GRANT_MAX_0_11;
        limit = grant + grant / 10;
    }
    return limit;
}

void echo_begin(struct echo *echo, struct outputs *outputs, ssh_channel ssh, struct channel_record *record)
{
    *echo = (struct echo){.host = outputs->host,
                          .output = {.all = outputs, .ssh = ssh, .record = record, .portion_bytes = OUTPUT_ALL}};
}

void echo_serve(struct echo *echo, enum echo_mode mode, struct misbehaviour *misbehaviour, const char *note)
{
    echo->mode = mode;
    echo->misbehaviour = misbehaviour;
    echo->note = note;
    if (misbehaviour != NULL) {
        misbehave_arrived(misbehaviour, echo_held_bytes(echo), mono_now());
    }
}

static void count_echo(struct channel_host *host)
{
    host->totals.echoes++;
    counters_add(&host->counters->echoes, 1);
}

/* ---- in libssh's callback -------------------------------------------------------------------------------------- */

/* Notes where in libssh's buffer the bytes are that came; returns how many are new. */
static uint32_t note_arrival(struct echo *echo, struct stream *stream, const uint8_t *data, uint32_t length)
{
    struct channel_host *host = echo->host;
    uint32_t fresh = length - stream->echoed_bytes - stream->held_bytes;
    host->totals.bytes_in += fresh;
    counters_add(&host->counters->bytes_in, fresh);
    record_data(echo->output.record, fresh, length, stream == &echo->streams[1], *host->turn_at);
    stream->held = data + stream->echoed_bytes;
    stream->held_bytes = length - stream->echoed_bytes;
    return fresh;
}

static void discard(struct stream *stream)
{
    stream->echoed_bytes += stream->held_bytes;
    stream->held_bytes = 0;
}

/* Of what has been echoed, how much libssh may have back. */
static uint32_t consumed_now(const struct echo *echo, struct stream *stream)
{
    uint32_t n = echo->output.all->quiet ? 0 : stream->echoed_bytes;
    stream->echoed_bytes -= n;
    return n;
}

enum echo_verdict echo_take(struct echo *echo, const uint8_t *data, uint32_t length, bool is_stderr, uint32_t *consumed)
{
    struct stream *stream = &echo->streams[is_stderr ? 1 : 0];
    const struct stream *other = &echo->streams[is_stderr ? 0 : 1];
    uint32_t fresh = note_arrival(echo, stream, data, length);
    *consumed = 0;
    if (length > overrun_limit() - other->held_bytes - other->echoed_bytes) {
        return ECHO_OVERRUN;
    }
    if (echo->mode == ECHO_CLOSED) {
        return ECHO_DONE;
    }
    if (echo->mode == ECHO_DISCARD) {
        discard(stream);
        *consumed = consumed_now(echo, stream);
        return ECHO_DONE;
    }
    if (echo->misbehaviour != NULL) {
        misbehave_arrived(echo->misbehaviour, fresh, mono_now());
    }
    if (echo->mode != ECHO_BYTES || echo->misbehaviour != NULL || !output_is_free(&echo->output)) {
        return ECHO_HELD;
    }
    uint32_t n = output_allows(&echo->output, stream->held_bytes);
    n -= n > LIBSSH_PACKET_BYTES ? n % LIBSSH_PACKET_BYTES : 0; /* tails wait for the next message, or the turn's end */
    int64_t written = n > 0 ? output_write(&echo->output, stream->held, n, is_stderr) : 0;
    if (written > 0) {
        stream->held += written;
        stream->held_bytes -= (uint32_t)written;
        stream->echoed_bytes += (uint32_t)written;
        count_echo(echo->host);
    }
    *consumed = consumed_now(echo, stream);
    return stream->held_bytes > 0 ? ECHO_HELD : ECHO_DONE;
}

void echo_open_window(struct echo *echo)
{
    const struct stream *streams = echo->streams;
    bool anything = echo_held_bytes(echo) + streams[0].echoed_bytes + streams[1].echoed_bytes > 0;
    if (version_libssh_number() >= LIBSSH_VERSION_0_11 || anything) {
        return; /* data has opened it; 0.11 has nothing else that would */
    }
    /* Asked for more than the window allows, 0.10 opens it. There is nothing to read, and inside a callback nothing can
     * come. */
    (void)ssh_channel_read_timeout(echo->output.ssh, scratch, OPENING_WINDOW_BYTES + 1, 0, 0);
}

/* ---- outside of callbacks -------------------------------------------------------------------------------------- */

/* Misbehaviour has a word: of n bytes, how many may go now. */
static uint32_t paced(struct echo *echo, uint32_t n)
{
    struct channel_host *host = echo->host;
    uint64_t permitted = 0;
    int64_t wait_us = 0;
    switch (misbehave_limit(echo->misbehaviour, mono_now(), n, &permitted, &wait_us)) {
    case MISBEHAVE_GO:
        return (uint32_t)permitted;
    case MISBEHAVE_WAIT:
        if (wait_us > 0) {
            host->wake_after(host->data, wait_us);
        }
        break;
    case MISBEHAVE_DROP:
        host->close(host->data, REASON_ON_REQUEST);
        break;
    case MISBEHAVE_RESET:
        host->reset(host->data);
        break;
    case MISBEHAVE_EXIT:
        echo->over = true;
        break;
    }
    return 0;
}

/* One write of at most `want` bytes of what is held. Returns false when no more can go now. */
static bool echo_some(struct echo *echo, struct stream *stream, uint32_t want, bool is_stderr)
{
    uint32_t n = output_allows(&echo->output, want);
    n = echo->misbehaviour != NULL && n > 0 ? paced(echo, n) : n;
    if (n == 0) {
        return false;
    }
    n = n < sizeof scratch ? n : (uint32_t)sizeof scratch;
    /* A copy: outside of callbacks the write may read the socket, and new data may move the buffer under us. */
    memcpy(scratch, stream->held, n);
    int64_t written = output_write_outside(&echo->output, scratch, n, is_stderr);
    if (written < 0) {
        stream->held_bytes = 0; /* the client has closed: nobody wants it */
        return false;
    }
    stream->held += written;
    stream->held_bytes -= (uint32_t)written;
    stream->echoed_bytes += (uint32_t)written;
    if (echo->misbehaviour != NULL) {
        misbehave_passed(echo->misbehaviour, (uint64_t)written);
    }
    if (written < n) {
        return false; /* keys are being re-exchanged */
    }
    count_echo(echo->host);
    return true;
}

static void drain_stream(struct echo *echo, struct stream *stream, bool is_stderr)
{
    is_stderr = is_stderr || (echo->misbehaviour != NULL && echo->misbehaviour->to_stderr);
    while (stream->held_bytes > 0 && echo_some(echo, stream, stream->held_bytes, is_stderr)) {
    }
}

/* Runs of bytes that are their own echo, and the answers to the others between them. */
static void drain_terminal(struct echo *echo)
{
    struct stream *stream = &echo->streams[0];
    for (;;) {
        if (echo->answer != NULL) {
            echo->answer = output_write_text(&echo->output, echo->answer, false);
        }
        if (echo->answer != NULL) {
            return;
        }
        if (echo->ends) {
            stream->echoed_bytes += stream->held_bytes;
            stream->held_bytes = 0;
            echo->over = true;
            return;
        }
        if (stream->held_bytes == 0) {
            return;
        }
        size_t plain = terminal_plain_bytes(stream->held, stream->held_bytes);
        if (plain == 0) {
            echo->answer = terminal_answer(*stream->held, &echo->ends);
            stream->held++;
            stream->held_bytes--;
            stream->echoed_bytes++;
        } else if (!echo_some(echo, stream, (uint32_t)plain, false)) {
            return;
        }
    }
}

/* Tells libssh that what has been echoed is consumed. Bytes it still holds stay in place, so `held` stays right. */
static void consume_echoed(struct echo *echo, struct stream *stream)
{
    if (echo->output.all->quiet ||
        (version_libssh_number() < LIBSSH_VERSION_0_11 && stream->held_bytes > UNREAD_AT_READ_MAX)) {
        return; /* later; or the next data callback will, by the right rule */
    }
    while (stream->echoed_bytes > 0) {
        uint32_t n = stream->echoed_bytes < sizeof scratch ? stream->echoed_bytes : (uint32_t)sizeof scratch;
        int got = ssh_channel_read_nonblocking(echo->output.ssh, scratch, n, stream == &echo->streams[1]);
        if (got <= 0) {
            stream->echoed_bytes = 0; /* closed */
            break;
        }
        stream->echoed_bytes -= (uint32_t)got;
    }
}

/* Misbehaviour: an end that needs no input. */
static void look_at_time(struct echo *echo)
{
    int64_t wait_us = 0;
    if (echo->misbehaviour == NULL) {
        return;
    }
    if (misbehave_over(echo->misbehaviour, mono_now(), &wait_us)) {
        echo->over = true;
    } else if (wait_us > 0) {
        echo->host->wake_after(echo->host->data, wait_us);
    }
}

void echo_forget_note(struct echo *echo)
{
    echo->note = NULL;
}

void echo_drain(struct echo *echo)
{
    struct stream *streams = echo->streams;
    if (echo->mode == ECHO_NOT_YET || echo->mode == ECHO_CLOSED) {
        return;
    }
    if (echo->mode == ECHO_DISCARD) {
        discard(&streams[0]);
        discard(&streams[1]);
    } else {
        if (echo->note != NULL) {
            echo->note = output_write_text(&echo->output, echo->note, true);
        }
        drain_stream(echo, &streams[1], true); /* rare, and short: first */
        if (echo->mode == ECHO_TERMINAL) {
            drain_terminal(echo);
        } else {
            drain_stream(echo, &streams[0], false);
        }
    }
    consume_echoed(echo, &streams[1]);
    consume_echoed(echo, &streams[0]);
    look_at_time(echo);
}

uint64_t echo_held_bytes(const struct echo *echo)
{
    return (uint64_t)echo->streams[0].held_bytes + echo->streams[1].held_bytes;
}

bool echo_is_complete(const struct echo *echo)
{
    return echo_held_bytes(echo) == 0 && echo->answer == NULL;
}
