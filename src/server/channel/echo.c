#include "server/channel/echo.h"

#include <string.h>

#include "server/channel/first_write.h"
#include "server/channel/terminal.h"
#include "sshecho/version.h"

/* Room below this is none: packets of a few bytes cost as much as full ones. */
#define LEAST_ROOM_BYTES 4096

/* What libssh puts into one packet for a peer that takes packets of 32 KiB, as nearly all do: it leaves ten bytes for
 * headers. A message of 32 KiB echoed as it came would go out as two packets, the second of ten bytes, at nearly the
 * cost of the first; so tails wait for the next message, or for the end of the turn. */
#define FLOW_PACKET_BYTES (32768 - 10)

/* What is copied out of libssh's buffer for one write; also what one ssh_channel_read takes. */
#define CHUNK_BYTES FLOW_PACKET_BYTES

/* libssh 0.10 (poll.c, channels.c) lets a channel have 1,280,000 bytes granted beyond up to 640,000 unread ones; from
 * 0.11 on 2 MiB in all. A tenth on top for clients that count a little differently. */
#define GRANT_MAX_0_10 1920000U
#define GRANT_MAX_0_11 (2U * 1024 * 1024)
#define VERSION_0_11 (0 << 16 | 11 << 8)

/* The window that a channel begins with. */
#define OPENING_WINDOW_BYTES 32000U

/* Who asks for re-keys more often than this finds the window small until data has opened it, as libssh has it: asyncssh
 * goes on sending behind its own KEXINIT, and with a whole window in flight at the first re-key its session ends. */
#define EARLY_REKEY_BYTES (UINT64_C(64) * 1024 * 1024)

/* On 0.10 echoed bytes are consumed by reading only when at most this much would stay unread: its ssh_channel_read
 * grants a full window without counting what is unread. 32,000 is the window it opens with. */
#define UNREAD_AT_READ_MAX OPENING_WINDOW_BYTES

static uint8_t
    scratch[CHUNK_BYTES]; /* one thread per process, and never across a call that could come back here with it in use */

static uint32_t overrun_limit(void)
{
    static uint32_t limit;
    if (limit == 0) {
        uint32_t grant = version_libssh_number() < VERSION_0_11 ? GRANT_MAX_0_10 : GRANT_MAX_0_11;
        limit = grant + grant / 10;
    }
    return limit;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The cap on pending output, and what is left below it. */
static uint64_t room_below_cap(struct channel_host *host)
{
    size_t pending = pump_pending_bytes(host->pump);
    uint64_t cap = host->config->pending_bytes;
    return pending + LEAST_ROOM_BYTES > cap ? 0 : cap - pending;
}

bool echo_has_room(struct channel_host *host)
{
    return pump_turn_left_bytes(host->pump) > 0 && room_below_cap(host) > 0;
}

/* How many bytes this turn's budget still pays for, in whole packets of this channel's: a peer may take packets of one
 * byte, and each costs as much time as kilobytes of a full one. */
static uint64_t room_in_turn(const struct channel *channel)
{
    size_t left = pump_turn_left_bytes(channel->host->pump);
    if (left == 0) {
        return 0;
    }
    if (channel->packet_bytes == 0) {
        return first_write_bytes(channel);
    }
    return (left / (channel->packet_bytes + PUMP_PACKET_COST_BYTES) + 1) * channel->packet_bytes;
}

/* How much of `want` may be written now: the peer's window, our cap on pending output, the turn and the channel's
 * portion of it decide. */
static uint32_t allowed(struct channel *channel, uint64_t want)
{
    struct channel_host *host = channel->host;
    uint32_t window = ssh_channel_window_size(channel->ssh);
    record_window(&channel->record->window, window, want > 0);
    uint64_t n = least(want, window);
    n = least(n, channel->portion_bytes);
    if (n == 0 || (channel->packet_bytes == 0 && host->writes_wait)) {
        return 0;
    }
    n = least(n, least(room_below_cap(host), room_in_turn(channel)));
    host->waiting_for_room = host->waiting_for_room || n == 0;
    return (uint32_t)n;
}

/* Learns from one write how large this channel's packets may be. */
static void learn_packet_size(struct channel *channel, uint32_t written, uint64_t packets)
{
    if (packets > 0 && written / packets > channel->packet_bytes) {
        channel->packet_bytes = (uint32_t)(written / packets);
    } else if (packets > 0 && channel->packet_bytes == 0) {
        channel->packet_bytes = 1;
    }
}

/* Returns what libssh took, which may be less than n while keys are re-exchanged, or -1 when the channel can carry no
 * more. */
static int64_t write_out(struct channel *channel, const void *data, uint32_t n, bool is_stderr)
{
    struct channel_host *host = channel->host;
    ssh_channel ssh = channel->ssh;
    bool first = channel->packet_bytes == 0;
    if (first) {
        first_write_begin(channel, n);
    }
    uint64_t packets_before = pump_packets_out(host->pump);
    int written = is_stderr ? ssh_channel_write_stderr(ssh, data, n) : ssh_channel_write(ssh, data, n);
    if (first && !first_write_end()) {
        host->violated(host->data, REASON_PROTOCOL);
    }
    if (written > 0) {
        pump_note_written(host->pump, (size_t)written);
        uint64_t packets = pump_packets_out(host->pump) - packets_before;
        learn_packet_size(channel, (uint32_t)written, packets);
        host->writes_wait = host->writes_wait || packets == 0;
        record_written(channel->record, (uint32_t)written, packets, is_stderr);
        channel->portion_bytes -= channel->portion_bytes == UINT32_MAX ? 0 : (uint32_t)written;
        host->bytes_out += (uint64_t)written;
        counters_add(&host->counters->bytes_out, (uint64_t)written);
    }
    return written == SSH_AGAIN ? 0 : written;
}

int echo_on_data(ssh_session session, ssh_channel ssh, void *data, uint32_t length, int is_stderr, void *user)
{
    (void)session;
    (void)ssh;
    struct channel *channel = user;
    struct channel_host *host = channel->host;
    struct stream *stream = &channel->streams[is_stderr ? 1 : 0];
    const struct stream *other = &channel->streams[is_stderr ? 0 : 1];

    uint32_t fresh = length - stream->echoed_bytes - stream->held_bytes;
    host->bytes_in += fresh;
    counters_add(&host->counters->bytes_in, fresh);
    record_data(channel->record, fresh, is_stderr != 0, *host->turn_at);
    stream->held = (const uint8_t *)data + stream->echoed_bytes;
    stream->held_bytes = length - stream->echoed_bytes;
    if (length > overrun_limit() - other->held_bytes - other->echoed_bytes) {
        host->violated(host->data, REASON_WINDOW_OVERRUN);
        return 0;
    }
    if (channel->finished) {
        return 0; /* consuming would grant more window on a channel that we have closed */
    }
    if (channel->service.kind == SERVICE_DISCARD || channel->service.kind == SERVICE_CHARGEN ||
        channel->service.kind == SERVICE_REPORT || channel->service.kind == SERVICE_COMPLAIN) {
        stream->held_bytes = stream->echoed_bytes = 0;
        return (int)length;
    }
    if (channel->service.misbehaviour != NULL) {
        misbehave_arrived(channel->service.misbehaviour, fresh, mono_now());
    }
    if (channel->draining || host->waiting_for_room || channel->service.kind == SERVICE_NONE ||
        channel->service.kind == SERVICE_TERMINAL || channel->service.misbehaviour != NULL) {
        channel_queue(channel);
        return 0;
    }
    uint32_t n = allowed(channel, stream->held_bytes);
    n -= n > FLOW_PACKET_BYTES ? n % FLOW_PACKET_BYTES : 0;
    int64_t written = n > 0 ? write_out(channel, stream->held, n, is_stderr != 0) : 0;
    if (written > 0) {
        stream->held += written;
        stream->held_bytes -= (uint32_t)written;
        host->echoes++;
        counters_add(&host->counters->echoes, 1);
    }
    if (stream->held_bytes > 0 || written < 0) {
        channel_queue(channel);
    }
    uint32_t consumed = stream->echoed_bytes + (written > 0 ? (uint32_t)written : 0);
    stream->echoed_bytes = 0;
    return (int)consumed;
}

/* The test bench has a word: of n bytes, how many may go now. */
static uint32_t paced(struct channel *channel, uint32_t n)
{
    struct channel_host *host = channel->host;
    uint64_t permitted = 0;
    int64_t wait_us = 0;
    switch (misbehave_limit(channel->service.misbehaviour, mono_now(), n, &permitted, &wait_us)) {
    case MISBEHAVE_GO:
        return (uint32_t)permitted;
    case MISBEHAVE_WAIT:
        if (wait_us > 0) {
            host->wake_after(host->data, wait_us);
        }
        break;
    case MISBEHAVE_DROP:
        host->violated(host->data, REASON_TEST_BENCH);
        break;
    case MISBEHAVE_RESET:
        host->reset(host->data);
        break;
    case MISBEHAVE_EXIT:
        channel->exit_now = true;
        break;
    }
    return 0;
}

/* One write of at most `want` bytes of what is held. Returns false when no more can go now. */
static bool echo_some(struct channel *channel, struct stream *stream, uint32_t want, bool is_stderr)
{
    struct channel_host *host = channel->host;
    struct misbehaviour *misbehaviour = channel->service.misbehaviour;
    uint32_t n = allowed(channel, want);
    n = misbehaviour != NULL && n > 0 ? paced(channel, n) : n;
    if (n == 0) {
        return false;
    }
    n = n < CHUNK_BYTES ? n : CHUNK_BYTES;
    /* A copy: outside of callbacks the write may read the socket, and new data may move the buffer under us. */
    memcpy(scratch, stream->held, n);
    channel->draining = true;
    int64_t written = write_out(channel, scratch, n, is_stderr);
    channel->draining = false;
    if (written < 0) {
        stream->held_bytes = 0; /* the client has closed: nobody wants it */
        return false;
    }
    stream->held += written;
    stream->held_bytes -= (uint32_t)written;
    stream->echoed_bytes += (uint32_t)written;
    if (misbehaviour != NULL) {
        misbehave_passed(misbehaviour, (uint64_t)written);
    }
    if (written < n) {
        return false; /* keys are being re-exchanged */
    }
    host->echoes++;
    counters_add(&host->counters->echoes, 1);
    return true;
}

static void drain_stream(struct channel *channel, struct stream *stream, bool is_stderr)
{
    const struct misbehaviour *misbehaviour = channel->service.misbehaviour;
    is_stderr = is_stderr || (misbehaviour != NULL && misbehaviour->to_stderr);
    while (stream->held_bytes > 0 && echo_some(channel, stream, stream->held_bytes, is_stderr)) {
    }
}

/* Outside of callbacks. Returns what follows the part of the text that could be sent; NULL when that was all of it, or
 * the client has closed. */
static const char *send_text(struct channel *channel, const char *text, bool is_stderr)
{
    while (*text != '\0') {
        uint32_t n = allowed(channel, strlen(text));
        channel->draining = true;
        int64_t written = n > 0 ? write_out(channel, text, n, is_stderr) : 0;
        channel->draining = false;
        if (written <= 0) {
            return written < 0 ? NULL : text;
        }
        text += written;
    }
    return NULL;
}

/* Runs of bytes that are their own echo, and the answers to the others between them. */
static void drain_terminal(struct channel *channel)
{
    struct stream *stream = &channel->streams[0];
    for (;;) {
        if (channel->answer != NULL) {
            channel->answer = send_text(channel, channel->answer, false);
        }
        if (channel->answer != NULL) {
            return;
        }
        if (channel->ends) {
            stream->echoed_bytes += stream->held_bytes;
            stream->held_bytes = 0;
            channel->exit_now = true;
            return;
        }
        if (stream->held_bytes == 0) {
            return;
        }
        size_t plain = terminal_plain_bytes(stream->held, stream->held_bytes);
        if (plain == 0) {
            channel->answer = terminal_answer(*stream->held, &channel->ends);
            stream->held++;
            stream->held_bytes--;
            stream->echoed_bytes++;
        } else if (!echo_some(channel, stream, (uint32_t)plain, false)) {
            return;
        }
    }
}

/* Tells libssh that what has been echoed is consumed. Bytes it still holds stay in place, so `held` stays right. */
static void consume_echoed(struct channel *channel, struct stream *stream, bool is_stderr)
{
    if (version_libssh_number() < VERSION_0_11 && stream->held_bytes > UNREAD_AT_READ_MAX) {
        return; /* the next data callback will, by the right rule */
    }
    while (stream->echoed_bytes > 0) {
        uint32_t n = stream->echoed_bytes < CHUNK_BYTES ? stream->echoed_bytes : CHUNK_BYTES;
        int got = ssh_channel_read_nonblocking(channel->ssh, scratch, n, is_stderr);
        if (got <= 0) {
            stream->echoed_bytes = 0; /* closed */
            break;
        }
        stream->echoed_bytes -= (uint32_t)got;
    }
}

void echo_open_window(struct channel *channel)
{
    const struct stream *streams = channel->streams;
    bool anything =
        streams[0].held_bytes + streams[0].echoed_bytes + streams[1].held_bytes + streams[1].echoed_bytes > 0;
    uint64_t rekey_bytes = channel->host->config->rekey_bytes;
    if (version_libssh_number() >= VERSION_0_11 || anything || (rekey_bytes != 0 && rekey_bytes < EARLY_REKEY_BYTES)) {
        return; /* data has opened it; 0.11 has nothing else that would */
    }
    /* Asked for more than the window allows, 0.10 opens it. There is nothing to read, and inside a callback nothing can
     * come. */
    (void)ssh_channel_read_timeout(channel->ssh, scratch, OPENING_WINDOW_BYTES + 1, 0, 0);
}

bool echo_generate(struct channel *channel)
{
    struct service *service = &channel->service;
    bool complain = service->kind == SERVICE_COMPLAIN, text = complain || service->kind == SERVICE_REPORT;
    for (;;) {
        uint64_t left = text ? strlen(service->text) - service->position_bytes : service->left_bytes;
        if (left == 0) {
            return true;
        }
        uint32_t n = allowed(channel, least(left, SERVICE_CHUNK_BYTES));
        if (n == 0) {
            return false;
        }
        const char *from = text ? service->text + service->position_bytes : service_chargen_at(service->position_bytes);
        channel->draining = true;
        int64_t written = write_out(channel, from, n, complain);
        channel->draining = false;
        if (written <= 0) {
            return written < 0;
        }
        service->position_bytes += (uint64_t)written;
        if (!text && service->left_bytes != UINT64_MAX) {
            service->left_bytes -= (uint64_t)written;
        }
    }
}

void echo_held(struct channel *channel)
{
    if (channel->note != NULL) {
        channel->note = channel->eof_received ? NULL : send_text(channel, channel->note, true);
    }
    drain_stream(channel, &channel->streams[1], true); /* rare, and short: first */
    if (channel->service.kind == SERVICE_TERMINAL) {
        drain_terminal(channel);
    } else {
        drain_stream(channel, &channel->streams[0], false);
    }
    consume_echoed(channel, &channel->streams[1], true);
    consume_echoed(channel, &channel->streams[0], false);
}

void echo_discard(struct channel *channel)
{
    for (unsigned i = 0; i < 2; i++) {
        channel->streams[i].echoed_bytes += channel->streams[i].held_bytes;
        channel->streams[i].held_bytes = 0;
        consume_echoed(channel, &channel->streams[i], i == 1);
    }
}

bool echo_is_complete(const struct channel *channel)
{
    return channel->streams[0].held_bytes == 0 && channel->streams[1].held_bytes == 0 && channel->answer == NULL;
}
