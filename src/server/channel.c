#include "server/channel.h"

#include <libssh/server.h>
#include <stdlib.h>
#include <string.h>

#include "sshecho/log.h"
#include "sshecho/version.h"

/* Room below this is none: packets of a few bytes cost as much as full ones. */
#define LEAST_ROOM_BYTES 4096

/* What is copied out of libssh's buffer for one write; also what one ssh_channel_read takes. */
#define CHUNK_BYTES 32768

/* libssh 0.10 (poll.c, channels.c) lets a channel have 1,280,000 bytes granted beyond up to 640,000 unread ones; from
 * 0.11 on 2 MiB in all. A tenth on top for clients that count a little differently. */
#define GRANT_MAX_0_10 1920000U
#define GRANT_MAX_0_11 (2U * 1024 * 1024)
#define VERSION_0_11 (0 << 16 | 11 << 8)

/* On 0.10 echoed bytes are consumed by reading only when at most this much would stay unread: its ssh_channel_read
 * grants a full window without counting what is unread. 32,000 is the window it opens with. */
#define UNREAD_AT_READ_MAX 32000U

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

static void make_hungry(struct channel *channel)
{
    struct channel_host *host = channel->host;
    if (channel->hungry) {
        return;
    }
    channel->hungry = true;
    channel->next_hungry = NULL;
    if (host->last_hungry != NULL) {
        host->last_hungry->next_hungry = channel;
    } else {
        host->first_hungry = channel;
    }
    host->last_hungry = channel;
}

/* How much of `want` may be written now: the peer's window and our cap on pending output decide. */
static uint32_t allowed(struct channel_host *host, ssh_channel ssh, uint64_t want)
{
    uint32_t window = ssh_channel_window_size(ssh);
    uint64_t n = want < window ? want : window;
    if (n == 0) {
        return 0;
    }
    size_t pending = pump_pending_bytes(host->pump);
    uint64_t cap = host->config->pending_bytes;
    if (pending + LEAST_ROOM_BYTES > cap) {
        host->waiting_for_room = true;
        return 0;
    }
    uint64_t room = cap - pending;
    return (uint32_t)(n < room ? n : room);
}

/* Returns what libssh took, which may be less than n while keys are re-exchanged, or -1 when the channel can carry no
 * more. */
static int64_t write_out(struct channel_host *host, ssh_channel ssh, const void *data, uint32_t n, bool is_stderr)
{
    int written = is_stderr ? ssh_channel_write_stderr(ssh, data, n) : ssh_channel_write(ssh, data, n);
    if (written > 0) {
        pump_note_written(host->pump, (size_t)written);
        host->bytes_out += (uint64_t)written;
        stats_add(&host->stats->bytes_out, (uint64_t)written);
    }
    return written == SSH_AGAIN ? 0 : written;
}

/* ---- callbacks of libssh: take, echo, mark; never free --------------------------------------------------------- */

/* Data is all that is unconsumed. Returns how much of it is consumed by now. */
static int on_data(ssh_session session, ssh_channel ssh, void *data, uint32_t length, int is_stderr, void *user)
{
    (void)session;
    struct channel *channel = user;
    struct channel_host *host = channel->host;
    struct stream *stream = &channel->streams[is_stderr ? 1 : 0];
    const struct stream *other = &channel->streams[is_stderr ? 0 : 1];

    uint32_t fresh = length - stream->echoed_bytes - stream->held_bytes;
    host->bytes_in += fresh;
    stats_add(&host->stats->bytes_in, fresh);
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
        channel->service.kind == SERVICE_COMPLAIN) {
        stream->held_bytes = stream->echoed_bytes = 0;
        return (int)length;
    }
    if (channel->service.bench != NULL) {
        bench_arrived(channel->service.bench, fresh, mono_now());
    }
    if (channel->draining || host->waiting_for_room || channel->service.kind == SERVICE_NONE ||
        channel->service.bench != NULL) {
        make_hungry(channel);
        return 0;
    }
    uint32_t n = allowed(host, ssh, stream->held_bytes);
    int64_t written = n > 0 ? write_out(host, ssh, stream->held, n, is_stderr != 0) : 0;
    if (written > 0) {
        stream->held += written;
        stream->held_bytes -= (uint32_t)written;
        host->echoes++;
        stats_add(&host->stats->echoes, 1);
    }
    if (stream->held_bytes > 0 || written < 0) {
        make_hungry(channel);
    }
    uint32_t consumed = stream->echoed_bytes + (written > 0 ? (uint32_t)written : 0);
    stream->echoed_bytes = 0;
    return (int)consumed;
}

static void on_eof(ssh_session session, ssh_channel ssh, void *user)
{
    (void)session;
    (void)ssh;
    struct channel *channel = user;
    channel->eof_received = true;
    make_hungry(channel);
}

static void on_close(ssh_session session, ssh_channel ssh, void *user)
{
    (void)session;
    (void)ssh;
    struct channel *channel = user;
    channel->close_received = true;
    make_hungry(channel);
}

/* Common to all requests: counts, and says whether the connection may go on asking. */
static bool request_welcome(struct channel *channel)
{
    stats_add(&channel->host->stats->requests, 1);
    return channel->host->request_allowed(channel->host->data);
}

static int start_service(struct channel *channel, const char *kind, const char *words)
{
    if (!request_welcome(channel) || channel->service.kind != SERVICE_NONE || channel->finished) {
        stats_add(&channel->host->stats->requests_refused, 1);
        return 1; /* RFC 4254, 6.5: only one of these requests can succeed per channel */
    }
    struct service service;
    if (service_parse(words, channel->host->config->test_bench, &service) != 0) {
        return 1;
    }
    if (service.bench != NULL) {
        if (service.bench->refuse) {
            service_free(&service);
            stats_add(&channel->host->stats->requests_refused, 1);
            return 1;
        }
        bench_arrived(service.bench, channel->streams[0].held_bytes + channel->streams[1].held_bytes, mono_now());
        if (service.bench->rekey_every_bytes != 0) {
            channel->host->rekey_every(channel->host->data, service.bench->rekey_every_bytes);
        }
    }
    channel->service = service;
    log_line(LOG_DEBUG, "service", log_u64("conn", channel->host->connection_id), log_str("request", kind),
             log_str("words", words));
    make_hungry(channel); /* what came before the request, or what is to be generated */
    return 0;
}

static int on_shell(ssh_session session, ssh_channel ssh, void *user)
{
    (void)session;
    (void)ssh;
    return start_service(user, "shell", NULL);
}

static int on_exec(ssh_session session, ssh_channel ssh, const char *command, void *user)
{
    (void)session;
    (void)ssh;
    return start_service(user, "exec", command);
}

static int on_subsystem(ssh_session session, ssh_channel ssh, const char *name, void *user)
{
    (void)session;
    (void)ssh;
    return start_service(user, "subsystem", name);
}

static int on_pty(ssh_session session, ssh_channel ssh, const char *term, int columns, int rows, int width, int height,
                  void *user)
{
    (void)session;
    (void)ssh;
    (void)term;
    (void)columns;
    (void)rows;
    (void)width;
    (void)height;
    return request_welcome(user) ? 0 : 1;
}

static int on_window_change(ssh_session session, ssh_channel ssh, int columns, int rows, int width, int height,
                            void *user)
{
    (void)session;
    (void)ssh;
    (void)columns;
    (void)rows;
    (void)width;
    (void)height;
    return request_welcome(user) ? 0 : 1;
}

static int on_env(ssh_session session, ssh_channel ssh, const char *name, const char *value, void *user)
{
    (void)session;
    (void)ssh;
    (void)name;
    (void)value;
    return request_welcome(user) ? 0 : 1;
}

static void on_signal(ssh_session session, ssh_channel ssh, const char *name, void *user)
{
    (void)session;
    (void)ssh;
    (void)name;
    (void)request_welcome(user);
}

/* ---- residue --------------------------------------------------------------------------------------------------- */

/* The test bench has a word: of n bytes, how many may go now. */
static uint32_t benched(struct channel *channel, uint32_t n)
{
    struct channel_host *host = channel->host;
    uint64_t permitted = 0;
    int64_t wait_us = 0;
    switch (bench_limit(channel->service.bench, mono_now(), n, &permitted, &wait_us)) {
    case BENCH_GO:
        return (uint32_t)permitted;
    case BENCH_WAIT:
        if (wait_us > 0) {
            host->wake_after(host->data, wait_us);
        }
        break;
    case BENCH_DROP:
        host->violated(host->data, REASON_TEST_BENCH);
        break;
    case BENCH_RESET:
        host->reset(host->data);
        break;
    case BENCH_EXIT:
        channel->exit_now = true;
        break;
    }
    return 0;
}

static void drain_stream(struct channel *channel, struct stream *stream, bool is_stderr)
{
    struct channel_host *host = channel->host;
    struct bench *bench = channel->service.bench;
    is_stderr = is_stderr || (bench != NULL && bench->to_stderr);
    while (stream->held_bytes > 0) {
        uint32_t n = allowed(host, channel->ssh, stream->held_bytes);
        n = bench != NULL && n > 0 ? benched(channel, n) : n;
        if (n == 0) {
            break;
        }
        n = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        /* A copy: outside of callbacks the write may read the socket, and new data may move the buffer under us. */
        memcpy(scratch, stream->held, n);
        channel->draining = true;
        int64_t written = write_out(host, channel->ssh, scratch, n, is_stderr);
        channel->draining = false;
        if (written < 0) {
            stream->held_bytes = 0; /* the client has closed: nobody wants it */
            break;
        }
        stream->held += written;
        stream->held_bytes -= (uint32_t)written;
        stream->echoed_bytes += (uint32_t)written;
        if (bench != NULL) {
            bench_passed(bench, (uint64_t)written);
        }
        if (written < n) {
            break; /* keys are being re-exchanged */
        }
        host->echoes++;
        stats_add(&host->stats->echoes, 1);
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

/* Both generators: RFC 864 on stdout, a complaint on stderr. Returns true when everything is out. */
static bool generate(struct channel *channel)
{
    struct service *service = &channel->service;
    bool complain = service->kind == SERVICE_COMPLAIN;
    for (;;) {
        uint64_t left = complain ? strlen(service->complaint) - service->position_bytes : service->left_bytes;
        if (left == 0) {
            return true;
        }
        uint32_t n = allowed(channel->host, channel->ssh, left < SERVICE_CHUNK_BYTES ? left : SERVICE_CHUNK_BYTES);
        if (n == 0) {
            return false;
        }
        const char *from =
            complain ? service->complaint + service->position_bytes : service_chargen_at(service->position_bytes);
        channel->draining = true;
        int64_t written = write_out(channel->host, channel->ssh, from, n, complain);
        channel->draining = false;
        if (written <= 0) {
            return written < 0;
        }
        service->position_bytes += (uint64_t)written;
        if (!complain && service->left_bytes != UINT64_MAX) {
            service->left_bytes -= (uint64_t)written;
        }
    }
}

/* RFC 4254, 5.3 and 6.10: everything echoed, then exit-status, EOF, CLOSE. */
static void finish(struct channel *channel)
{
    channel->finished = true;
    channel->host->unclosed_count++;
    const struct bench *bench = channel->service.bench;
    if (bench != NULL && bench->exit_signal[0] != '\0') {
        (void)ssh_channel_request_send_exit_signal(channel->ssh, bench->exit_signal, 0, "as you asked", "");
    } else if (channel->service.kind != SERVICE_NONE) {
        int status = channel->service.kind == SERVICE_COMPLAIN ? 2 : bench != NULL ? bench->exit_status : 0;
        (void)ssh_channel_request_send_exit_status(channel->ssh, status);
    }
    (void)ssh_channel_send_eof(channel->ssh);
    (void)ssh_channel_close(channel->ssh);
}

static bool everything_echoed(const struct channel *channel)
{
    return channel->streams[0].held_bytes == 0 && channel->streams[1].held_bytes == 0;
}

/* Returns true while there is something left to do on this channel. */
static bool channel_drain(struct channel *channel)
{
    bool generated = false;
    if (channel->finished || channel->close_received) {
        return false;
    }
    switch (channel->service.kind) {
    case SERVICE_NONE:
        if (!channel->eof_received) {
            return true;
        }
        break;
    case SERVICE_ECHO:
        drain_stream(channel, &channel->streams[1], true); /* rare, and short: first */
        drain_stream(channel, &channel->streams[0], false);
        break;
    case SERVICE_DISCARD:
        for (unsigned i = 0; i < 2; i++) { /* what came before the request */
            channel->streams[i].echoed_bytes += channel->streams[i].held_bytes;
            channel->streams[i].held_bytes = 0;
        }
        break;
    case SERVICE_CHARGEN:
    case SERVICE_COMPLAIN:
        generated = generate(channel);
        if (!generated) {
            return true;
        }
        break;
    }
    consume_echoed(channel, &channel->streams[1], true);
    consume_echoed(channel, &channel->streams[0], false);
    if (generated || channel->exit_now || (channel->eof_received && everything_echoed(channel)) ||
        (channel->eof_received && channel->service.kind == SERVICE_NONE)) {
        finish(channel);
        return false;
    }
    return !everything_echoed(channel);
}

bool channels_drain(struct channel_host *host)
{
    struct channel *end = host->last_hungry;
    host->waiting_for_room = false;
    while (host->first_hungry != NULL) {
        struct channel *channel = host->first_hungry;
        host->first_hungry = channel->next_hungry;
        if (host->first_hungry == NULL) {
            host->last_hungry = NULL;
        }
        channel->hungry = false;
        bool last = channel == end;
        bool unfinished = channel_drain(channel);
        if (channel->close_received) {
            channel_destroy(channel);
        } else if (unfinished) {
            make_hungry(channel); /* behind the others: they come first next time */
        }
        if (last) {
            break;
        }
    }
    return host->waiting_for_room;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

struct channel *channel_create(struct channel_host *host, ssh_session session)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return NULL;
    }
    channel->host = host;
    channel->callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = channel,
        .channel_data_function = on_data,
        .channel_eof_function = on_eof,
        .channel_close_function = on_close,
        .channel_shell_request_function = on_shell,
        .channel_exec_request_function = on_exec,
        .channel_subsystem_request_function = on_subsystem,
        .channel_pty_request_function = on_pty,
        .channel_pty_window_change_function = on_window_change,
        .channel_env_request_function = on_env,
        .channel_signal_function = on_signal,
    };
    ssh_callbacks_init(&channel->callbacks);
    channel->ssh = ssh_channel_new(session);
    if (channel->ssh == NULL || ssh_set_channel_callbacks(channel->ssh, &channel->callbacks) != SSH_OK) {
        ssh_channel_free(channel->ssh);
        free(channel);
        return NULL;
    }
    channel->next = host->first;
    if (host->first != NULL) {
        host->first->previous = channel;
    }
    host->first = channel;
    host->open_count++;
    host->opened_count++;
    stats_add(&host->stats->channels, 1);
    stats_add(&host->stats->channels_opened, 1);
    return channel;
}

static void forget_hungry(struct channel *channel)
{
    struct channel_host *host = channel->host;
    struct channel *before = NULL;
    for (struct channel *c = host->first_hungry; c != NULL; before = c, c = c->next_hungry) {
        if (c == channel) {
            if (before != NULL) {
                before->next_hungry = c->next_hungry;
            } else {
                host->first_hungry = c->next_hungry;
            }
            if (host->last_hungry == c) {
                host->last_hungry = before;
            }
            return;
        }
    }
}

static void unlink_channel(struct channel *channel)
{
    struct channel_host *host = channel->host;
    if (channel->hungry) {
        forget_hungry(channel);
    }
    if (channel->previous != NULL) {
        channel->previous->next = channel->next;
    } else {
        host->first = channel->next;
    }
    if (channel->next != NULL) {
        channel->next->previous = channel->previous;
    }
    host->open_count--;
    host->unclosed_count -= channel->finished ? 1 : 0;
    stats_sub(&host->stats->channels, 1);
}

void channel_destroy(struct channel *channel)
{
    unlink_channel(channel);
    (void)ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
    ssh_channel_free(channel->ssh);
    service_free(&channel->service);
    free(channel);
}

void channels_destroy_all(struct channel_host *host)
{
    struct channel *next = NULL;
    for (struct channel *channel = host->first; channel != NULL; channel = next) {
        next = channel->next;
        unlink_channel(channel);
        (void)ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
        service_free(&channel->service);
        free(channel); /* the ssh_channel goes with its session */
    }
}

uint64_t channels_held_bytes(const struct channel_host *host)
{
    uint64_t held = 0;
    for (const struct channel *channel = host->first; channel != NULL; channel = channel->next) {
        held += channel->streams[0].held_bytes + channel->streams[1].held_bytes;
    }
    return held;
}
