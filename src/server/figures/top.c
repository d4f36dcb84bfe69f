#include "server/figures/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sshecho/clock.h"
#include "sshecho/net.h"

#define INTERVAL_MS 1000
#define ANSWER_MS 3000
#define PAGE_MAX ((size_t)1024 * 1024) /* 256 workers' figures fit twice */
#define WORKERS_MAX 256
#define PREFIX "sshechod_"

#define WORKER_FIELDS(X)                                                                                               \
    X(pid, "worker_pid")                                                                                               \
    X(connections, "worker_connections")                                                                               \
    X(channels, "worker_channels")                                                                                     \
    X(held, "worker_held_bytes")                                                                                       \
    X(pending, "worker_pending_bytes")                                                                                 \
    X(draining, "worker_draining")                                                                                     \
    X(handshakes, "worker_handshakes_total")                                                                           \
    X(echoes, "worker_echoes_total")                                                                                   \
    X(received, "worker_received_bytes_total")                                                                         \
    X(sent, "worker_sent_bytes_total")                                                                                 \
    X(cpu_s, "worker_cpu_seconds_total")                                                                               \
    X(resident, "worker_resident_memory_bytes")                                                                        \
    X(beat_age_s, "worker_heartbeat_age_seconds")

struct worker_sample {
#define DECLARE(field, name) double field;
    WORKER_FIELDS(DECLARE)
#undef DECLARE
};

struct sample {
    mono_time at;
    double open, login, accepted, refused, closed, failures, restarts, ready, backlog;
    struct worker_sample workers[WORKERS_MAX];
};

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static bool wait_for(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    return poll(&poll_fd, 1, ANSWER_MS) == 1;
}

/* The whole answer to one HTTP/1.0 request, NUL at the end; NULL with errno. */
static char *ask(const struct net_address *address)
{
    static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
    size_t have = 0;
    char *page = malloc(PAGE_MAX + 1);
    int fd = page != NULL ? net_connect(address, NULL) : -1;
    if (fd < 0) {
        goto bad;
    }
    if (!wait_for(fd, POLLOUT)) {
        errno = ETIMEDOUT;
        goto bad;
    }
    errno = net_connect_error(fd);
    if (errno != 0 || send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1) {
        goto bad;
    }
    for (;;) {
        if (have == PAGE_MAX || !wait_for(fd, POLLIN)) {
            errno = ETIMEDOUT;
            goto bad;
        }
        ssize_t n = recv(fd, page + have, PAGE_MAX - have, 0);
        if (n < 0) {
            goto bad;
        }
        if (n == 0) {
            break;
        }
        have += (size_t)n;
    }
    (void)close(fd);
    page[have] = '\0';
    return page;
bad:
    if (fd >= 0) {
        (void)close(fd);
    }
    free(page);
    return NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void take_worker(struct sample *sample, const char *name, unsigned long worker, double value)
{
    if (worker >= WORKERS_MAX) {
        return;
    }
    struct worker_sample *w = &sample->workers[worker];
#define TAKE(field, text)                                                                                              \
    if (strcmp(name, text) == 0) {                                                                                     \
        w->field = value;                                                                                              \
    }
    WORKER_FIELDS(TAKE)
#undef TAKE
}

static void take_total(struct sample *sample, const char *name, const char *labels, double value)
{
    if (strcmp(name, "connections") == 0) {
        *(strstr(labels, "open") != NULL ? &sample->open : &sample->login) = value;
    } else if (strcmp(name, "connections_accepted_total") == 0) {
        sample->accepted = value;
    } else if (strcmp(name, "connections_refused_total") == 0) {
        sample->refused += value;
    } else if (strcmp(name, "connections_closed_total") == 0) {
        sample->closed += value;
    } else if (strcmp(name, "login_failures_total") == 0) {
        sample->failures += value;
    } else if (strcmp(name, "worker_restarts_total") == 0) {
        sample->restarts = value;
    } else if (strcmp(name, "ready") == 0) {
        sample->ready = value;
    } else if (strcmp(name, "backlog_connections") == 0) {
        sample->backlog += value;
    }
}

/* sshechod_NAME{LABELS} VALUE, or without labels. */
static void take_line(struct sample *sample, char *line)
{
    char *value = strrchr(line, ' ');
    if (strncmp(line, PREFIX, sizeof PREFIX - 1) != 0 || value == NULL) {
        return;
    }
    *value++ = '\0';
    char *name = line + sizeof PREFIX - 1;
    char *labels = strchr(name, '{');
    if (labels != NULL) {
        *labels++ = '\0';
    }
    if (labels != NULL && strncmp(labels, "worker=\"", 8) == 0) {
        take_worker(sample, name, strtoul(labels + 8, NULL, 10), strtod(value, NULL));
    } else {
        take_total(sample, name, labels != NULL ? labels : "", strtod(value, NULL));
    }
}

static int take_sample(const struct net_address *address, struct sample *sample)
{
    char *page = ask(address);
    *sample = (struct sample){.at = mono_now()};
    if (page == NULL) {
        return -1;
    }
    char *rest = strstr(page, "\r\n\r\n");
    bool good = rest != NULL && strncmp(page, "HTTP/1.", 7) == 0 && strstr(rest, PREFIX "build_info") != NULL;
    while (good && rest != NULL) {
        take_line(sample, strsep(&rest, "\n"));
    }
    free(page);
    errno = good ? 0 : EPROTO;
    return good ? 0 : -1;
}

/* ---- showing ----------------------------------------------------------------------------------------------------- */

static double rate(double before, double now, double seconds)
{
    return now > before && seconds > 0 ? (now - before) / seconds : 0;
}

static void show_row(const char *name, const struct worker_sample *before, const struct worker_sample *now,
                     double seconds, const char *state)
{
    (void)printf("%-8s %8.0f %6.1f %9.1f %9.0f %9.0f %9.1f %10.0f %10.2f %10.2f %9.1f %9.1f  %s\n", name, now->pid,
                 100.0 * rate(before->cpu_s, now->cpu_s, seconds), now->resident / 1e6, now->connections, now->channels,
                 rate(before->handshakes, now->handshakes, seconds), rate(before->echoes, now->echoes, seconds),
                 rate(before->received, now->received, seconds) / 1e6, rate(before->sent, now->sent, seconds) / 1e6,
                 now->held / 1e3, now->pending / 1e3, state);
}

static void add(struct worker_sample *total, const struct worker_sample *w)
{
#define ADD(field, name) total->field += w->field;
    WORKER_FIELDS(ADD)
#undef ADD
    total->pid = 0;
}

static void show(const char *where, const struct sample *before, const struct sample *now)
{
    double seconds = mono_s_between(before->at, now->at);
    struct worker_sample total_before = {0}, total_now = {0}, none = {0};
    (void)printf("sshechod at %s  %s  open %.0f  logging in %.0f  queue %.0f\n", where,
                 now->ready > 0 ? "ready" : "NOT READY", now->open, now->login, now->backlog);
    (void)printf("per second: accepted %.1f  refused %.1f  closed %.1f  login failures %.1f   worker restarts %.0f\n\n",
                 rate(before->accepted, now->accepted, seconds), rate(before->refused, now->refused, seconds),
                 rate(before->closed, now->closed, seconds), rate(before->failures, now->failures, seconds),
                 now->restarts);
    (void)printf("%-8s %8s %6s %9s %9s %9s %9s %10s %10s %10s %9s %9s\n", "WORKER", "PID", "CPU%", "RSS MB", "CONN",
                 "CHANNELS", "KEX/s", "ECHOES/s", "IN MB/s", "OUT MB/s", "HELD kB", "PEND kB");
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        const struct worker_sample *w = &now->workers[i], *was = &before->workers[i];
        char name[16];
        if (w->pid <= 0) {
            continue;
        }
        if (was->pid != w->pid) {
            was = &none; /* another process in the same slot: no rates across the change */
        }
        bool is_new = was == &none;
        (void)snprintf(name, sizeof name, "%u", i);
        show_row(name, is_new ? w : was, w, seconds,
                 w->draining > 0     ? "draining"
                 : w->beat_age_s > 1 ? "STUCK"
                 : is_new            ? "new"
                                     : "");
        add(&total_now, w);
        add(&total_before, is_new ? w : was);
    }
    show_row("all", &total_before, &total_now, seconds, "");
    (void)fflush(stdout);
}

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

int top_run(const struct config *config)
{
    struct net_address address;
    struct option_error error = {""};
    static struct sample samples[2];
    bool live = isatty(STDOUT_FILENO) != 0;
    if (config->metrics_listen == NULL) {
        (void)fprintf(stderr, "sshechod: top: metrics-listen is not set: say whose figures, e.g. "
                              "--metrics-listen 127.0.0.1:9222\n");
        return 2;
    }
    if (config_metrics_address(config, &address, &error) != 0) {
        (void)fprintf(stderr, "sshechod: %s\n", error.text);
        return 2;
    }
    char where[NET_ADDRESS_TEXT_MAX];
    (void)net_print(&address, where, sizeof where);
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    for (unsigned turn = 0; !stopped; turn++) {
        struct sample *now = &samples[turn % 2], *before = &samples[(turn + 1) % 2];
        if (take_sample(&address, now) != 0) {
            (void)fprintf(stderr, "sshechod: top: no figures from http://%s/metrics: %s\n", where, strerror(errno));
            return 1;
        }
        if (turn > 0) {
            (void)fputs(live ? "\033[H\033[2J" : "", stdout);
            show(where, before, now);
            if (!live) {
                break;
            }
        }
        (void)poll(NULL, 0, INTERVAL_MS); /* a signal ends it */
    }
    return ferror(stdout) != 0 ? 1 : 0;
}
