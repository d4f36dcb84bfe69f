#include "load/observe/observer.h"

#include "load/observe/source.h"
#include "sshecho/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How often, at most; and what a reading costs, it costs in twenty times as long. */
#define EVERY_NS (20 * INT64_C(1000000))
#define MEMORY_EVERY_NS (200 * INT64_C(1000000))
#define COST_SHARE 20
/* Of a long run every second reading goes when there are so many. */
#define READINGS_MOST 60000U
/* A time that ends later than this after the last reading is not known. */
#define SLACK_NS (2 * NS_PER_S)

struct reading {
    int64_t at_ns;
    double cpu_s;
    double bytes; /* negative: not read */
};

struct observer {
    struct source *source;
    pthread_t thread;
    pthread_mutex_t lock; /* for over alone: the rest is the thread's until it has ended */
    pthread_cond_t changed;
    bool over;
    struct reading *readings;
    size_t count;
    int64_t memory_due_ns, memory_cost_ns;
    double bytes_before;
    char complaint[256];
};

static struct source *open_source(const struct observed *what, char *error, size_t error_size)
{
    return what->metrics_url != NULL ? source_page(what->metrics_url, error, error_size)
           : what->group != NULL     ? source_group(what->group, error, error_size)
                                     : source_process(what->pid, error, error_size);
}

static void keep(struct observer *observer, const struct reading *reading)
{
    if (observer->count == READINGS_MOST) {
        for (size_t i = 1; i < observer->count / 2; i++) {
            struct reading kept = observer->readings[2 * i];
            kept.bytes = kept.bytes < 0.0 ? observer->readings[2 * i - 1].bytes : kept.bytes; /* they are rare */
            observer->readings[i] = kept;
        }
        observer->count /= 2;
    }
    observer->readings[observer->count++] = *reading;
}

/* How long it took, or -1. */
static int64_t look(struct observer *observer, bool with_memory)
{
    struct source_reading read;
    mono_time before = mono_now();
    with_memory = with_memory || before.ns >= observer->memory_due_ns;
    if (observer->source->read(observer->source, with_memory, &read, observer->complaint, sizeof observer->complaint) !=
        0) {
        return -1;
    }
    mono_time after = mono_now();
    int64_t cost_ns = after.ns - before.ns;
    if (with_memory) {
        observer->memory_due_ns =
            after.ns + (cost_ns * COST_SHARE > MEMORY_EVERY_NS ? cost_ns * COST_SHARE : MEMORY_EVERY_NS);
    }
    keep(observer, &(struct reading){.at_ns = before.ns + cost_ns / 2, .cpu_s = read.cpu_s, .bytes = read.bytes});
    return with_memory ? 0 : cost_ns;
}

/* False: it is over. */
static bool pause_for(struct observer *observer, int64_t ns)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t at_ns = until.tv_nsec + ns;
    until.tv_sec += (time_t)(at_ns / NS_PER_S);
    until.tv_nsec = (long)(at_ns % NS_PER_S);
    (void)pthread_mutex_lock(&observer->lock);
    int rc = 0;
    while (!observer->over && rc == 0) {
        rc = pthread_cond_timedwait(&observer->changed, &observer->lock, &until);
    }
    bool goes_on = !observer->over;
    (void)pthread_mutex_unlock(&observer->lock);
    return goes_on;
}

static void *watch(void *argument)
{
    struct observer *observer = argument;
    int64_t every_ns = EVERY_NS;
    while (pause_for(observer, every_ns)) {
        int64_t cost_ns = look(observer, false);
        int64_t wanted_ns = cost_ns < 0 ? NS_PER_S : cost_ns * COST_SHARE;
        every_ns = wanted_ns > EVERY_NS ? wanted_ns : EVERY_NS;
    }
    (void)look(observer, false);
    return NULL;
}

static int start_thread(struct observer *observer)
{
    pthread_condattr_t attributes;
    sigset_t all;
    sigset_t before;
    (void)pthread_mutex_init(&observer->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&observer->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    int rc = pthread_create(&observer->thread, NULL, watch, observer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)pthread_cond_destroy(&observer->changed);
        (void)pthread_mutex_destroy(&observer->lock);
    }
    return rc;
}

int observer_start(const struct observed *what, struct observer **out, char *error, size_t error_size)
{
    *out = NULL;
    if (what->metrics_url == NULL && what->group == NULL && what->pid == 0) {
        return 0;
    }
    struct observer *observer = calloc(1, sizeof *observer);
    if (observer != NULL) {
        observer->readings = calloc(READINGS_MOST, sizeof *observer->readings); /* no page is there before it is used */
    }
    if (observer == NULL || observer->readings == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        free(observer);
        return -1;
    }
    observer->source = open_source(what, error, error_size);
    if (observer->source == NULL || look(observer, true) < 0 || start_thread(observer) != 0) {
        if (observer->source != NULL) {
            (void)snprintf(error, error_size, "%s",
                           observer->complaint[0] != '\0' ? observer->complaint : "no thread to be had");
            observer->source->close(observer->source);
        }
        free(observer->readings);
        free(observer);
        return -1;
    }
    observer->bytes_before = observer->readings[0].bytes;
    *out = observer;
    return 0;
}

int observer_try(const struct observed *what, char *error, size_t error_size)
{
    struct observer *observer = NULL;
    if (observer_start(what, &observer, error, error_size) != 0) {
        return -1;
    }
    observer_stop(observer);
    observer_free(observer);
    return 0;
}

void observer_stop(struct observer *observer)
{
    if (observer == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&observer->lock);
    observer->over = true;
    (void)pthread_cond_signal(&observer->changed);
    (void)pthread_mutex_unlock(&observer->lock);
    (void)pthread_join(observer->thread, NULL);
    (void)pthread_cond_destroy(&observer->changed);
    (void)pthread_mutex_destroy(&observer->lock);
}

void observer_free(struct observer *observer)
{
    if (observer != NULL) {
        observer->source->close(observer->source);
        free(observer->readings);
        free(observer);
    }
}

const char *observer_name(const struct observer *observer)
{
    return observer == NULL ? NULL : observer->source->name;
}

const char *observer_complaint(const struct observer *observer)
{
    return observer == NULL ? "" : observer->complaint;
}

/* Index of the first reading that is not before that time. */
static size_t first_from(const struct observer *observer, int64_t at_ns)
{
    size_t low = 0;
    size_t high = observer->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (observer->readings[middle].at_ns < at_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* On the line between two readings; negative: not known. */
static double cpu_at_s(const struct observer *observer, int64_t at_ns)
{
    size_t next = first_from(observer, at_ns);
    if (next == observer->count) {
        const struct reading *last = &observer->readings[observer->count - 1];
        return at_ns - last->at_ns <= SLACK_NS ? last->cpu_s : -1.0;
    }
    const struct reading *after = &observer->readings[next];
    if (next == 0) {
        return after->cpu_s;
    }
    const struct reading *before = after - 1;
    double part = (double)(at_ns - before->at_ns) / (double)(after->at_ns - before->at_ns);
    return before->cpu_s + (after->cpu_s - before->cpu_s) * part;
}

double observer_cpu_between_s(const struct observer *observer, int64_t from_ns, int64_t to_ns)
{
    if (observer == NULL) {
        return -1.0;
    }
    double from_s = cpu_at_s(observer, from_ns);
    double to_s = cpu_at_s(observer, to_ns);
    return from_s < 0.0 || to_s < 0.0 ? -1.0 : to_s - from_s;
}

double observer_bytes_in(const struct observer *observer, int64_t from_ns, int64_t to_ns)
{
    if (observer == NULL) {
        return -1.0;
    }
    for (size_t i = first_from(observer, to_ns); i-- > 0 && observer->readings[i].at_ns >= from_ns;) {
        if (observer->readings[i].bytes >= 0.0) {
            return observer->readings[i].bytes;
        }
    }
    return -1.0;
}

double observer_bytes_before(const struct observer *observer)
{
    return observer == NULL ? -1.0 : observer->bytes_before;
}
