#include "server/figures/metrics_text.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sshecho/clock.h"
#include "sshecho/net.h"
#include "sshecho/version.h"

/* A worker whose loop has not turned for so long serves nobody; its loop turns four times a second at least. */
#define ALIVE_US (5 * US_PER_S)

#define PREFIX "sshechod_"

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    (void)fprintf(out, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void labelled(FILE *out, const char *name, const char *label, const char *text, uint64_t value)
{
    (void)fprintf(out, PREFIX "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, text, value);
}

static void histogram(FILE *out, const char *name, const char *help, const struct counters_histogram *h,
                      const uint64_t bounds_us[COUNTERS_BUCKETS - 1])
{
    uint64_t below = 0;
    head(out, name, "histogram", help);
    for (unsigned i = 0; i < COUNTERS_BUCKETS - 1; i++) {
        below += counters_get(&h->count[i]);
        (void)fprintf(out, PREFIX "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)bounds_us[i] / 1e6, below);
    }
    below += counters_get(&h->count[COUNTERS_BUCKETS - 1]);
    (void)fprintf(out, PREFIX "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, below);
    (void)fprintf(out, PREFIX "%s_sum %.6f\n", name, (double)counters_get(&h->sum_us) / 1e6);
    (void)fprintf(out, PREFIX "%s_count %" PRIu64 "\n", name, below);
}

/* ---- the server as a whole --------------------------------------------------------------------------------------- */

static void write_build(FILE *out)
{
    head(out, "build_info", "gauge", "Versions in use; the value is 1.");
    (void)fprintf(out, PREFIX "build_info{version=\"%s\",libssh=\"%s\",libev=\"%s\"} 1\n", SSHECHO_VERSION,
                  version_libssh(), version_libev());
}

static void write_connections(const struct counters *total, const struct scoreboard *board, FILE *out)
{
    uint64_t connections = counters_get(&total->connections), outside = counters_get(&total->unauthenticated);
    head(out, "connections", "gauge", "Connections held, by state: login (not logged in yet) or open.");
    labelled(out, "connections", "state", "login", outside);
    labelled(out, "connections", "state", "open", connections > outside ? connections - outside : 0);
    one(out, "connections_max", "gauge", "Connections that limits and file descriptors allow.",
        counters_get(&board->connections_max));
    one(out, "connections_accepted_total", "counter", "Connections taken in.", counters_get(&total->accepted));
    head(out, "connections_refused_total", "counter", "Connections refused before any SSH work, by reason.");
    for (unsigned i = 0; i < REFUSE_REASON_COUNT; i++) {
        labelled(out, "connections_refused_total", "reason", counters_refuse_name((enum refuse_reason)i),
                 counters_get(&total->refused[i]));
    }
    head(out, "connections_closed_total", "counter", "Connections that have ended, by reason.");
    for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
        labelled(out, "connections_closed_total", "reason", counters_close_name((enum close_reason)i),
                 counters_get(&total->closed[i]));
    }
    one(out, "accept_pauses_total", "counter", "Times a worker stopped accepting for lack of room or file descriptors.",
        counters_get(&total->accept_pauses));
}

static void write_logins(const struct counters *total, FILE *out)
{
    one(out, "handshakes_total", "counter", "First key exchanges finished.", counters_get(&total->handshakes));
    histogram(out, "handshake_duration_seconds", "From accept to the end of the first key exchange.", &total->handshake,
              counters_handshake_bounds_us);
    one(out, "rekeys_total", "counter", "Key re-exchanges finished, whoever began.", counters_get(&total->rekeys));
    one(out, "logins_total", "counter", "Clients that have logged in.", counters_get(&total->logins));
    head(out, "login_failures_total", "counter", "Failed attempts to log in, by method.");
    labelled(out, "login_failures_total", "method", "none", counters_get(&total->login_failures_none));
    labelled(out, "login_failures_total", "method", "password", counters_get(&total->login_failures_password));
    labelled(out, "login_failures_total", "method", "publickey", counters_get(&total->login_failures_publickey));
    labelled(out, "login_failures_total", "method", "keyboard-interactive",
             counters_get(&total->login_failures_keyboard));
    one(out, "password_checks_total", "counter", "Password hashes computed.", counters_get(&total->password_checks));
    one(out, "password_checks_waiting", "gauge", "Passwords that wait for their turn.",
        counters_get(&total->password_checks_waiting));
}

static void write_channels(const struct counters *total, FILE *out)
{
    one(out, "channels", "gauge", "Channels open.", counters_get(&total->channels));
    one(out, "channels_opened_total", "counter", "Channels opened.", counters_get(&total->channels_opened));
    one(out, "channels_refused_total", "counter", "Channels refused.", counters_get(&total->channels_refused));
    one(out, "requests_total", "counter", "Channel requests answered.", counters_get(&total->requests));
    one(out, "requests_refused_total", "counter", "Channel requests refused.", counters_get(&total->requests_refused));
    one(out, "echoes_total", "counter", "Data messages echoed.", counters_get(&total->echoes));
    one(out, "received_bytes_total", "counter", "Channel data received.", counters_get(&total->bytes_in));
    one(out, "sent_bytes_total", "counter", "Channel data sent.", counters_get(&total->bytes_out));
    one(out, "wire_received_bytes_total", "counter", "TCP payload received on connections that have ended.",
        counters_get(&total->wire_bytes_in));
    one(out, "wire_sent_bytes_total", "counter", "TCP payload sent on connections that have ended.",
        counters_get(&total->wire_bytes_out));
    one(out, "held_bytes", "gauge", "Channel data received and not echoed yet.", counters_get(&total->held_bytes));
    one(out, "pending_bytes", "gauge", "Output that the sockets have not taken yet.",
        counters_get(&total->pending_bytes));
}

static void write_process(const struct scoreboard *board, const struct counters *total, FILE *out)
{
    one(out, "worker_restarts_total", "counter", "Workers that died and were replaced.",
        counters_get(&board->worker_restarts));
    one(out, "reloads_total", "counter", "Configurations taken over.", counters_get(&board->reloads));
    one(out, "reload_failures_total", "counter", "Configurations refused at a reload.",
        counters_get(&board->reload_failures));
    one(out, "reports_total", "counter", "Reports on connections, for report-file.", counters_get(&total->reports));
    one(out, "reports_lost_total", "counter", "Reports that report-file would not take.",
        counters_get(&total->reports_lost));
    one(out, "log_lines_lost_total", "counter", "Log lines that nobody took in time.",
        counters_get(&board->log_lines_lost) + counters_get(&total->log_lines_lost));
    one(out, "start_time_seconds", "gauge", "Start of the master, Unix time.", counters_get(&board->started_unix_s));
    one(out, "ready", "gauge", "1 while new connections are welcome, as /readyz says.",
        metrics_why_not_ready(board) == NULL ? 1 : 0);
    histogram(out, "turn_duration_seconds", "One turn of a worker's loop, waiting not counted.", &total->turn,
              counters_turn_bounds_us);
}

static void write_backlog(const struct scoreboard *board, FILE *out)
{
    uint64_t half = atomic_load_explicit(&board->queues_half, memory_order_acquire);
    const struct accept_queues *queues = &board->queues[half];
    for (int part = 0; part < 2; part++) {
        const char *name = part == 0 ? "backlog_connections" : "backlog_connections_max";
        head(out, name, "gauge",
             part == 0 ? "Connections in the accept queue of a listening socket." : "What the accept queue can hold.");
        for (size_t i = 0; i < queues->count && i < SCOREBOARD_QUEUES; i++) {
            char text[NET_ADDRESS_TEXT_MAX];
            labelled(out, name, "listener", net_print(&queues->queues[i].bound, text, sizeof text),
                     part == 0 ? queues->queues[i].length : queues->queues[i].max);
        }
    }
}

/* ---- each worker ------------------------------------------------------------------------------------------------- */

static double heartbeat_age_s(const struct counters *counters)
{
    uint64_t beat_ns = counters_get(&counters->heartbeat_ns);
    int64_t age_ns = beat_ns != 0 ? mono_now().ns - (int64_t)beat_ns : 0;
    return age_ns > 0 ? (double)age_ns / 1e9 : 0;
}

/* Counters of a worker that are told as they are. */
static const struct worker_field {
    size_t offset;
    const char *name, *type, *help;
} worker_fields[] = {
    {offsetof(struct counters, connections), "worker_connections", "gauge", "Connections held by a worker."},
    {offsetof(struct counters, unauthenticated), "worker_unauthenticated_connections", "gauge",
     "Of them, not logged in yet."},
    {offsetof(struct counters, channels), "worker_channels", "gauge", "Channels open in a worker."},
    {offsetof(struct counters, held_bytes), "worker_held_bytes", "gauge",
     "Channel data that a worker has not echoed yet."},
    {offsetof(struct counters, pending_bytes), "worker_pending_bytes", "gauge",
     "Output of a worker that sockets have not taken yet."},
    {offsetof(struct counters, draining), "worker_draining", "gauge",
     "1 while a worker finishes its connections and takes no more."},
    {offsetof(struct counters, pid), "worker_pid", "gauge", "Process id of a worker."},
    {offsetof(struct counters, accepted), "worker_connections_accepted_total", "counter",
     "Connections taken in by a worker."},
    {offsetof(struct counters, handshakes), "worker_handshakes_total", "counter",
     "First key exchanges finished by a worker."},
    {offsetof(struct counters, echoes), "worker_echoes_total", "counter", "Data messages echoed by a worker."},
    {offsetof(struct counters, bytes_in), "worker_received_bytes_total", "counter",
     "Channel data received by a worker."},
    {offsetof(struct counters, bytes_out), "worker_sent_bytes_total", "counter", "Channel data sent by a worker."},
};

static void worker_counts(const struct scoreboard *board, const struct worker_field *field, FILE *out)
{
    head(out, field->name, field->type, field->help);
    for (unsigned i = 0; i < scoreboard_slots(board); i++) {
        const char *counters = (const char *)&board->workers[i];
        if (counters_get(&board->workers[i].pid) != 0) {
            const _Atomic uint64_t *value = (const _Atomic uint64_t *)(const void *)(counters + field->offset);
            (void)fprintf(out, PREFIX "%s{worker=\"%u\"} %" PRIu64 "\n", field->name, i, counters_get(value));
        }
    }
}

static double cpu_seconds(const struct scoreboard *board, unsigned slot)
{
    return (double)counters_get(&board->samples[slot].cpu_us) / 1e6;
}

static double resident_bytes(const struct scoreboard *board, unsigned slot)
{
    return (double)counters_get(&board->samples[slot].resident_bytes);
}

static double heartbeat_age(const struct scoreboard *board, unsigned slot)
{
    return heartbeat_age_s(&board->workers[slot]);
}

static void worker_measures(const struct scoreboard *board, const char *name, const char *type, const char *help,
                            double (*measure)(const struct scoreboard *, unsigned), FILE *out)
{
    head(out, name, type, help);
    for (unsigned i = 0; i < scoreboard_slots(board); i++) {
        const struct counters *counters = &board->workers[i];
        if (counters_get(&counters->pid) != 0) {
            (void)fprintf(out, PREFIX "%s{worker=\"%u\"} %.15g\n", name, i, measure(board, i));
        }
    }
}

static void write_workers(const struct scoreboard *board, FILE *out)
{
    for (size_t i = 0; i < sizeof worker_fields / sizeof worker_fields[0]; i++) {
        worker_counts(board, &worker_fields[i], out);
    }
    worker_measures(board, "worker_cpu_seconds_total", "counter", "Processor time a worker has used.", cpu_seconds,
                    out);
    worker_measures(board, "worker_resident_memory_bytes", "gauge", "Memory a worker holds.", resident_bytes, out);
    worker_measures(board, "worker_heartbeat_age_seconds", "gauge", "Since a worker's loop has last turned.",
                    heartbeat_age, out);
}

void metrics_write(const struct scoreboard *board, FILE *out)
{
    struct counters total;
    scoreboard_total(board, &total);
    write_build(out);
    write_connections(&total, board, out);
    write_logins(&total, out);
    write_channels(&total, out);
    write_process(board, &total, out);
    write_backlog(board, out);
    write_workers(board, out);
}

/* ---- alive, ready ------------------------------------------------------------------------------------------------ */

const char *metrics_why_not_alive(const struct scoreboard *board)
{
    for (unsigned i = 0; i < scoreboard_slots(board); i++) {
        const struct counters *counters = &board->workers[i];
        if (counters_get(&counters->pid) != 0 && counters_get(&counters->heartbeat_ns) != 0 &&
            heartbeat_age_s(counters) * (double)US_PER_S < (double)ALIVE_US) {
            return NULL;
        }
    }
    return counters_get(&board->announced) != 0 ? "no worker turns" : NULL; /* starting is not being dead */
}

const char *metrics_why_not_ready(const struct scoreboard *board)
{
    if (counters_get(&board->draining) != 0) {
        return "draining";
    }
    if (counters_get(&board->announced) == 0) {
        return "starting";
    }
    if (metrics_why_not_alive(board) != NULL) {
        return "no worker turns";
    }
    return scoreboard_connections(board) >= counters_get(&board->connections_max) ? "full" : NULL;
}
