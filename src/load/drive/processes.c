#include "load/drive/processes.h"

#include "load/drive/run.h"
#include "load/plan/plan.h"
#include "load/result/result_add.h"
#include "load/watch/exporter.h"
#include "load/watch/link.h"
#include "load/watch/live.h"
#include "load/watch/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of a process and of each of its threads: loops, timers, files, the standard streams. */
#define DESCRIPTORS_OF_PROCESS 64U
#define DESCRIPTORS_OF_THREAD 8U
/* What a real number needs to come back as it was. */
#define DIGITS_EXACT 17

struct part {
    struct crowd *crowd;
    unsigned index;
    pid_t pid; /* 0: none */
    int fd;    /* the link; -1: closed */
    int result_fd;
    ev_io watcher;
    bool ready;
    uint64_t cpu_us;
    struct tally_live live; /* as it told last */
};

/* Its link and its result, here; a moment longer the other end of the link. */
#define DESCRIPTORS_OF_PART 3

struct crowd {
    const struct settings *settings;
    struct part *parts;
    unsigned count, alive;
    struct ev_loop *loop; /* not libev's default one, which would reap the processes before we have their status */
    ev_signal interrupt, terminate;
    struct watched watched;
    struct progress progress;
    struct live live;
    struct exporter *exporter;
    _Atomic int64_t gate_ns; /* 0: not every session stands */
    _Atomic uint64_t cpu_us; /* of the processes below */
    unsigned signals;
    bool ended; /* one of them has failed, and the others were told to stop */
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

unsigned processes_for(const struct settings *settings, uint64_t descriptors)
{
    uint64_t most = settings->connections < PROCESSES_MOST ? settings->connections : PROCESSES_MOST;
    if (settings->processes > 0) {
        return (unsigned)(settings->processes < most ? settings->processes : most);
    }
    for (uint64_t count = 1; count <= most; count++) {
        uint64_t threads = (settings->threads + count - 1) / count;
        uint64_t needed = DESCRIPTORS_OF_PROCESS + threads * DESCRIPTORS_OF_THREAD +
                          (settings->connections + count - 1) / count + threads; /* shares differ by one a thread */
        if (needed <= descriptors) {
            bool parent_can = DESCRIPTORS_OF_PROCESS + count * DESCRIPTORS_OF_PART <= descriptors;
            return parent_can ? (unsigned)count : 1;
        }
    }
    return 1; /* no number is enough: what one cannot have is counted, as local-limit */
}

/* The same number of threads in each. */
static unsigned threads_of_each(const struct settings *settings, unsigned count)
{
    uint64_t most = settings->connections / count;
    unsigned each = (settings->threads + count - 1) / count;
    return each < most ? each : (unsigned)most;
}

static void take_share(struct settings *own, unsigned index, unsigned count)
{
    unsigned each = threads_of_each(own, count);
    own->threads = each;
    own->threads_in_all = each * count;
    own->first_thread = each * index;
    if (own->connecting > 0) {
        own->connecting = larger(plan_share(own->connecting, count, index), 1);
    }
}

/* ---- below ---- */

static _Noreturn void be_part(const struct part *part, const struct settings *settings, unsigned count, int fd)
{
    struct settings own = *settings;
    struct result result;
    char error[512] = "out of memory";
    int rc = -1;
    (void)setpgid(0, 0); /* a Ctrl-C reaches us once, through the process over us */
    take_share(&own, part->index, count);
    if (result_init(&result) == 0 && run_load(&own, fd, &result, error, sizeof error) == 0) {
        json_t *document = result_to_json(&result);
        rc = document == NULL ? -1 : json_dumpfd(document, part->result_fd, JSON_REAL_PRECISION(DIGITS_EXACT));
    }
    if (rc != 0) {
        (void)fprintf(stderr, "sshload: process %u of %u: %s\n", part->index + 1, count, error);
    }
    _exit(rc == 0 ? 0 : 1);
}

/* ---- above ---- */

static int start_part(struct crowd *crowd, unsigned index)
{
    struct part *part = &crowd->parts[index];
    int pair[2];
    *part = (struct part){.crowd = crowd, .index = index, .fd = -1};
    part->result_fd = memfd_create("sshload-result", MFD_CLOEXEC);
    if (part->result_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return -1;
    }
    part->fd = pair[0];
    (void)fflush(NULL); /* what is buffered is ours to write, once */
    part->pid = fork();
    if (part->pid == 0) {
        for (unsigned i = 0; i <= index; i++) { /* held open, they would hide the end of the process over us */
            (void)close(crowd->parts[i].fd);
        }
        be_part(part, crowd->settings, crowd->count, pair[1]);
    }
    int reason = errno;
    (void)close(pair[1]);
    errno = reason;
    if (part->pid < 0) {
        part->pid = 0;
        return -1;
    }
    crowd->alive++;
    return 0;
}

static void signal_all(const struct crowd *crowd, int number)
{
    for (unsigned i = 0; i < crowd->count; i++) {
        if (crowd->parts[i].fd >= 0) {
            (void)kill(crowd->parts[i].pid, number);
        }
    }
}

/* When the last one is ready. */
static void open_gate(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->count; i++) {
        if (!crowd->parts[i].ready) {
            return;
        }
    }
    struct link_go go = {.gate_ns = mono_now().ns, .gate_us = wall_us()};
    atomic_store(&crowd->gate_ns, go.gate_ns);
    for (unsigned i = 0; i < crowd->count; i++) {
        (void)send(crowd->parts[i].fd, &go, sizeof go, MSG_NOSIGNAL);
    }
}

static void part_ended(struct part *part)
{
    struct crowd *crowd = part->crowd;
    int status = 0;
    ev_io_stop(crowd->loop, &part->watcher);
    (void)close(part->fd);
    part->fd = -1;
    while (waitpid(part->pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        (void)fprintf(stderr, "sshload: process %u of %u was ended by signal %d\n", part->index + 1, crowd->count,
                      WTERMSIG(status));
    }
    if ((!WIFEXITED(status) || WEXITSTATUS(status) != 0) && !crowd->ended) {
        crowd->ended = true; /* without its share this is not the run that was asked for */
        signal_all(crowd, SIGTERM);
    }
    if (--crowd->alive == 0) {
        ev_break(crowd->loop, EVBREAK_ALL);
    }
}

static void take_figures(struct part *part, const struct link_figures *figures)
{
    (void)atomic_fetch_add(&part->crowd->cpu_us, figures->cpu_us - part->cpu_us);
    part->cpu_us = figures->cpu_us;
    part->ready = figures->ready;
    watched_tell(&part->live, &figures->counts);
}

static void on_figures(struct ev_loop *loop, ev_io *watcher, int revents)
{
    (void)loop;
    (void)revents;
    struct part *part = watcher->data;
    struct link_figures figures;
    ssize_t got = recv(part->fd, &figures, sizeof figures, MSG_DONTWAIT);
    if (got == (ssize_t)sizeof figures) {
        take_figures(part, &figures);
        if (atomic_load(&part->crowd->gate_ns) == 0) {
            open_gate(part->crowd);
        }
    } else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        part_ended(part);
    }
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    struct crowd *crowd = watcher->data;
    signal_all(crowd, watcher->signum);
    if (++crowd->signals > 1) {
        live_clear(&crowd->live);
        _exit(128 + watcher->signum);
    }
}

/* Who looks on sees the whole run here. No intervals: each process keeps its own until the end. */
static int start_watching(struct crowd *crowd, char *error, size_t error_size)
{
    crowd->watched = (struct watched){.settings = crowd->settings,
                                      .lives = calloc(crowd->count, sizeof *crowd->watched.lives),
                                      .live_count = crowd->count,
                                      .threads = threads_of_each(crowd->settings, crowd->count) * crowd->count,
                                      .cpu_us_below = &crowd->cpu_us,
                                      .gate_ns = &crowd->gate_ns,
                                      .started = mono_now()};
    if (crowd->watched.lives == NULL || live_start(&crowd->live, &crowd->watched, crowd->loop) != 0) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    for (unsigned i = 0; i < crowd->count; i++) {
        crowd->watched.lives[i] = &crowd->parts[i].live;
    }
    progress_start(&crowd->progress, &crowd->watched, crowd->loop);
    return exporter_start(&crowd->exporter, &crowd->watched, error, error_size);
}

static void stop_watching(struct crowd *crowd)
{
    progress_stop(&crowd->progress);
    live_stop(&crowd->live);
    exporter_stop(crowd->exporter);
    free(crowd->watched.lives);
}

static void watch(struct crowd *crowd)
{
    ev_signal_init(&crowd->interrupt, on_signal, SIGINT);
    ev_signal_init(&crowd->terminate, on_signal, SIGTERM);
    crowd->interrupt.data = crowd->terminate.data = crowd;
    ev_signal_start(crowd->loop, &crowd->interrupt);
    ev_signal_start(crowd->loop, &crowd->terminate);
    for (unsigned i = 0; i < crowd->count; i++) {
        struct part *part = &crowd->parts[i];
        ev_io_init(&part->watcher, on_figures, part->fd, EV_READ);
        part->watcher.data = part;
        ev_io_start(crowd->loop, &part->watcher);
    }
}

static int take_result(const struct part *part, struct result *out, char *error, size_t error_size)
{
    char why[256] = "it left none";
    (void)lseek(part->result_fd, 0, SEEK_SET);
    json_t *document = json_loadfd(part->result_fd, 0, NULL);
    int rc = document == NULL ? -1 : result_from_json(out, document, why, sizeof why);
    json_decref(document);
    if (rc != 0) {
        (void)snprintf(error, error_size, "process %u of %u has no result: %.200s", part->index + 1, part->crowd->count,
                       why);
    }
    return rc;
}

/* Of all of them; what describes the run is ours. */
static int gather(struct crowd *crowd, struct result *result, char *error, size_t error_size)
{
    json_t *about = result->about;
    int rc = 0;
    result->about = NULL;
    result_free(result); /* the parts' come in its place */
    for (unsigned i = 0; i < crowd->count && rc == 0; i++) {
        struct result next = {0};
        rc = take_result(&crowd->parts[i], i == 0 ? result : &next, error, error_size);
        if (rc == 0 && i > 0 && result_add(result, &next) != 0) {
            (void)snprintf(error, error_size, "out of memory");
            rc = -1;
        }
        if (i > 0) {
            result_free(&next);
        }
    }
    result->about = about;
    return rc;
}

int processes_run(const struct settings *settings, unsigned count, struct result *result, char *error,
                  size_t error_size)
{
    struct crowd crowd = {.settings = settings, .count = count, .parts = calloc(count, sizeof *crowd.parts)};
    unsigned made = 0;
    int rc = crowd.parts == NULL ? -1 : 0;
    while (rc == 0 && made < count) {
        rc = start_part(&crowd, made++);
    }
    if (rc != 0) {
        (void)snprintf(error, error_size, "process %u of %u cannot be started: %s", made, count, strerror(errno));
        crowd.count = made; /* closing their links ends them */
    } else if ((crowd.loop = ev_loop_new(EVFLAG_AUTO)) == NULL) {
        (void)snprintf(error, error_size, "no event loop to be had from the system");
        rc = -1;
    } else {
        rc = start_watching(&crowd, error, error_size);
        if (rc == 0) {
            watch(&crowd);
            ev_run(crowd.loop, 0);
        }
        stop_watching(&crowd);
        if (rc == 0) {
            rc = gather(&crowd, result, error, error_size);
            ev_signal_stop(crowd.loop, &crowd.interrupt);
            ev_signal_stop(crowd.loop, &crowd.terminate);
        }
        ev_loop_destroy(crowd.loop);
    }
    for (unsigned i = 0; i < crowd.count && crowd.parts != NULL; i++) {
        (void)close(crowd.parts[i].result_fd);
        if (crowd.parts[i].fd >= 0) {
            (void)close(crowd.parts[i].fd);
        }
    }
    free(crowd.parts);
    return rc;
}
