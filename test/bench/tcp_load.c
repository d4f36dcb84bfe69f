/*
 * tcp_load.c - room: the load of sshload on plain TCP, for tcp-echo.
 *
 * The same four modes with the same meaning (see sshload(1)), closed loop, one thread. The JSON holds those fields of
 * sshload's that the benchmarks read, under the same names. Counts what comes back, does not compare it.
 *
 *   tcp-load -m ping|stream|connect|hold -c CONNECTIONS -d SECONDS [-w SECONDS] [-s BYTES] -J FILE ADDR:PORT
 */
#include "sshecho/clock.h"
#include "sshecho/histogram.h"
#include "sshecho/net.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define IN_FLIGHT_BYTES                                                                                                \
    (1024 * 1024)         /* stream: sent and not yet back, per connection; libssh's window is of this order */
#define CONNECTING_MAX 64 /* at once, far below the listener's backlog */
#define BUFFER_BYTES (256 * 1024)

enum mode { PING, STREAM, CONNECT, HOLD, MODES };
static const char *const mode_names[MODES] = {"ping", "stream", "connect", "hold"};

struct load;

struct client {
    ev_io io;
    struct load *load;
    mono_time began; /* of the operation that is under way */
    uint64_t sent, back;
    bool connected; /* the first echo came back */
};

struct load {
    enum mode mode;
    size_t connections, size;
    double duration_s, warmup_s;
    struct net_address address;
    struct client *clients;
    struct ev_loop *loop;
    size_t begun, up; /* clients whose connect was started; that have had their first echo */
    bool traffic, measuring;
    mono_time measure_from, measure_to;
    int64_t started_us; /* since 1970: the start of traffic */
    ev_timer phase;
    ev_signal interrupt, terminate;
    uint64_t echoes, bytes, handshakes, errors;
    double cpu_from_s, cpu_s;
    struct histogram latency, handshake;
};

static char buffer[BUFFER_BYTES];

static double cpu_now_s(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events);
static void client_fail(struct client *client);

static void client_watch(struct client *client, int events)
{
    if ((client->io.events & (EV_READ | EV_WRITE)) != events) {
        ev_io_stop(client->load->loop, &client->io);
        ev_io_set(&client->io, client->io.fd, events);
        ev_io_start(client->load->loop, &client->io);
    }
}

static void client_connect(struct client *client)
{
    client->began = mono_now();
    client->sent = client->back = 0;
    client->connected = false;
    int fd = net_connect(&client->load->address, NULL);
    if (fd < 0) {
        client->io.fd = -1;
        client_fail(client);
        return;
    }
    ev_io_init(&client->io, on_ready, fd, EV_WRITE);
    client->io.data = client;
    ev_io_start(client->load->loop, &client->io);
}

/* A reset leaves no TIME_WAIT behind, of which a fast connect run would pile up more than there are ports. */
static void client_close(struct client *client)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (client->io.fd >= 0) {
        ev_io_stop(client->load->loop, &client->io);
        (void)setsockopt(client->io.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        (void)close(client->io.fd);
        client->io.fd = -1;
    }
}

static void client_fail(struct client *client)
{
    client->load->errors++;
    client_close(client);
    if (!client->load->traffic) {
        ev_break(client->load->loop, EVBREAK_ALL); /* the ramp would never end */
    }
}

/* Before traffic begins, and in modes that send single messages, one message is in flight; else a window's worth. */
static uint64_t allowed_in_flight(const struct client *client)
{
    const struct load *load = client->load;
    return load->mode == STREAM && load->traffic && client->connected ? IN_FLIGHT_BYTES : load->size;
}

static void client_send(struct client *client)
{
    while (client->sent - client->back < allowed_in_flight(client)) {
        size_t length = client->load->size - client->sent % client->load->size;
        length = length < sizeof buffer ? length : sizeof buffer;
        ssize_t sent = send(client->io.fd, buffer, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                client_fail(client);
            } else {
                client_watch(client, EV_READ | EV_WRITE);
            }
            return;
        }
        client->sent += (uint64_t)sent;
        if (client->load->mode != STREAM && client->sent % client->load->size == 0) {
            break;
        }
    }
    client_watch(client, EV_READ);
}

static void begin_measure(struct load *load)
{
    load->measuring = true;
    load->measure_from = mono_now();
    load->cpu_from_s = cpu_now_s();
    ev_timer_set(&load->phase, load->duration_s, 0.0);
    ev_timer_start(load->loop, &load->phase);
}

static void begin_traffic(struct load *load)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    load->started_us = (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / NS_PER_US;
    load->traffic = true;
    (void)printf("load sessions=%zu\n", load->up);
    (void)fflush(stdout);
    ev_now_update(load->loop);
    if (load->warmup_s > 0.0) {
        ev_timer_set(&load->phase, load->warmup_s, 0.0);
        ev_timer_start(load->loop, &load->phase);
    } else {
        begin_measure(load);
    }
    for (size_t i = 0; i < load->connections && (load->mode == PING || load->mode == STREAM); i++) {
        if (load->clients[i].io.fd >= 0) {
            load->clients[i].began = mono_now();
            client_send(&load->clients[i]);
        }
    }
}

static void on_phase(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct load *load = timer->data;
    (void)events;
    if (!load->measuring) {
        begin_measure(load);
    } else {
        ev_break(loop, EVBREAK_ALL);
    }
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)signal;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void first_echo(struct client *client)
{
    struct load *load = client->load;
    client->connected = true;
    histogram_record(&load->handshake, mono_us_between(client->began, mono_now()));
    if (load->traffic) { /* connect mode, after the first round */
        return;
    }
    load->up++;
    if (load->begun < load->connections) {
        client_connect(&load->clients[load->begun++]);
    }
    if (load->up == load->connections) {
        begin_traffic(load);
    }
}

static void message_done(struct client *client)
{
    struct load *load = client->load;
    mono_time now = mono_now();
    if (load->measuring) {
        load->echoes++;
        load->handshakes += load->mode == CONNECT ? 1 : 0;
        histogram_record(&load->latency, mono_us_between(client->began, now));
    }
    client->began = now;
    if (load->mode == CONNECT) {
        client_close(client);
        client_connect(client);
    } else if (load->mode != HOLD) {
        client_send(client);
    }
}

static void client_receive(struct client *client)
{
    struct load *load = client->load;
    ssize_t got = recv(client->io.fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            client_fail(client);
        }
        return;
    }
    uint64_t messages_before = client->back / load->size;
    client->back += (uint64_t)got;
    load->bytes += load->measuring ? (uint64_t)got : 0;
    if (client->back > client->sent) {
        client_fail(client); /* more than was sent: no echo server */
        return;
    }
    uint64_t messages = client->back / load->size - messages_before;
    if (messages > 0 && !client->connected) {
        bool was_traffic = load->traffic;
        first_echo(client);
        if (!was_traffic && load->mode != CONNECT) {
            return; /* waits for the others, or has been set going by begin_traffic */
        }
    }
    if (load->mode == STREAM) {
        load->echoes += load->measuring ? messages : 0;
        client_send(client);
    } else if (messages > 0) {
        message_done(client);
    }
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *client = io->data;
    (void)loop;
    if ((events & EV_WRITE) != 0) {
        int problem = client->sent == 0 ? net_connect_error(io->fd) : 0;
        if (problem != 0) {
            client_fail(client);
            return;
        }
        client_send(client);
    }
    if ((events & EV_READ) != 0 && io->fd >= 0) {
        client_receive(client);
    }
}

static void put_figures(FILE *out, const char *name, const struct histogram *h)
{
    (void)fprintf(out, " \"%s\": {\"count\": %llu", name, (unsigned long long)h->total);
    static const struct {
        const char *name;
        double percentile;
    } marks[] = {{"p50", 50.0}, {"p90", 90.0}, {"p99", 99.0}, {"p99_9", 99.9}};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        (void)fprintf(out, ", \"%s\": %lld", marks[i].name, (long long)histogram_percentile(h, marks[i].percentile));
    }
    (void)fprintf(out, ", \"max\": %lld, \"mean\": %.3f},\n", (long long)h->max, histogram_mean(h));
}

static int report(const struct load *load, const char *path)
{
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        (void)fprintf(stderr, "tcp-load: %s: %s\n", path, strerror(errno));
        return 1;
    }
    double seconds = load->measuring ? mono_s_between(load->measure_from, load->measure_to) : 0.0;
    double per_s = seconds > 0.0 ? 1.0 / seconds : 0.0;
    (void)fprintf(
        out,
        "{\"schema\": \"tcp-load/1\", \"mode\": \"%s\", \"started_at_s\": %.6f,\n \"phases\": {\"warmup_s\": %g},\n",
        mode_names[load->mode], (double)load->started_us / 1e6, load->warmup_s);
    (void)fprintf(out,
                  " \"summary\": {\"echoes\": %llu, \"bytes\": %llu, \"handshakes\": %llu, \"sessions_up\": %zu, "
                  "\"errors\": %llu,"
                  " \"seconds\": %.6f, \"echoes_per_s\": %.3f, \"mb_per_s\": %.3f, \"handshakes_per_s\": %.3f},\n",
                  (unsigned long long)load->echoes, (unsigned long long)load->bytes,
                  (unsigned long long)load->handshakes, load->up, (unsigned long long)load->errors, seconds,
                  (double)load->echoes * per_s, (double)load->bytes / 1e6 * per_s, (double)load->handshakes * per_s);
    put_figures(out, "latency_us", &load->latency);
    put_figures(out, "handshake_us", &load->handshake);
    (void)fprintf(out, " \"generator\": {\"cpu_s\": %.3f, \"client_bound\": false, \"remarks\": []}}\n", load->cpu_s);
    return fclose(out) == 0 && load->errors == 0 && load->measuring ? 0 : 1;
}

static bool parse(int argc, char **argv, struct load *load, const char **json)
{
    int option;
    char error[256];
    load->mode = MODES;
    load->size = 0;
    while ((option = getopt(argc, argv, "m:c:d:w:s:J:")) != -1) {
        switch (option) {
        case 'm':
            for (load->mode = PING; load->mode < MODES && strcmp(optarg, mode_names[load->mode]) != 0; load->mode++) {
            }
            break;
        case 'c':
            load->connections = strtoul(optarg, NULL, 10);
            break;
        case 'd':
            load->duration_s = strtod(optarg, NULL);
            break;
        case 'w':
            load->warmup_s = strtod(optarg, NULL);
            break;
        case 's':
            load->size = strtoul(optarg, NULL, 10);
            break;
        case 'J':
            *json = optarg;
            break;
        default:
            return false;
        }
    }
    load->size = load->size > 0 ? load->size : load->mode == STREAM ? 32768 : 64;
    return load->mode < MODES && load->connections > 0 && load->duration_s > 0.0 && *json != NULL &&
           optind + 1 == argc && net_parse(argv[optind], 0, false, &load->address, error, sizeof error) == 0;
}

int main(int argc, char **argv)
{
    static struct load load;
    const char *json = NULL;
    if (!parse(argc, argv, &load, &json)) {
        (void)fputs(
            "usage: tcp-load -m ping|stream|connect|hold -c N -d SECONDS [-w SECONDS] [-s BYTES] -J FILE ADDR:PORT\n",
            stderr);
        return 2;
    }
    (void)net_raise_fd_limit();
    load.loop = ev_default_loop(EVBACKEND_EPOLL);
    load.clients = calloc(load.connections, sizeof *load.clients);
    if (load.loop == NULL || load.clients == NULL) {
        (void)fputs("tcp-load: out of memory\n", stderr);
        return 1;
    }
    ev_init(&load.phase, on_phase);
    load.phase.data = &load;
    ev_signal_init(&load.interrupt, on_signal, SIGINT);
    ev_signal_init(&load.terminate, on_signal, SIGTERM);
    ev_signal_start(load.loop, &load.interrupt);
    ev_signal_start(load.loop, &load.terminate);
    for (size_t i = 0; i < load.connections; i++) {
        load.clients[i].load = &load;
        load.clients[i].io.fd = -1;
    }
    while (load.begun < load.connections && load.begun < CONNECTING_MAX) {
        client_connect(&load.clients[load.begun++]);
    }
    ev_run(load.loop, 0);
    load.measure_to = mono_now();
    load.cpu_s = cpu_now_s() - load.cpu_from_s;
    for (size_t i = 0; i < load.connections; i++) {
        client_close(&load.clients[i]);
    }
    int code = report(&load, json);
    free(load.clients);
    return code;
}
