/* Inside the room of traffic.h: how it is made, and how it ends. */
#include "load/drive/traffic_parts.h"

#include "load/plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int make_clients(struct traffic *traffic)
{
    traffic->clients = calloc((size_t)traffic->client_count, sizeof *traffic->clients);
    bool good = traffic->clients != NULL;
    for (uint64_t i = 0; good && i < traffic->client_count; i++) {
        good = client_init(&traffic->clients[i], &traffic->shared, traffic->first_client + i) == 0;
    }
    return good ? 0 : -1;
}

int traffic_init(struct traffic *traffic, const struct settings *settings, unsigned worker, struct ev_loop *loop,
                 struct tally *tally, const struct traffic_events *events, void *events_data, char *error,
                 size_t error_size)
{
    const struct load_options *o = &settings->options;
    *traffic = (struct traffic){
        .shared = {.settings = settings,
                   .loop = loop,
                   .tally = tally,
                   .streams = {.settings = settings,
                               .tally = tally,
                               .measure_from_ns = INT64_MAX,
                               .measure_to_ns = INT64_MAX,
                               .outstanding_most = o->mode == MODE_STREAM ? UINT32_MAX : (uint32_t)o->pipeline,
                               .messages_are_operations = o->mode == MODE_PING || o->mode == MODE_STREAM},
                   .handshake = {.settings = settings, .login = &traffic->shared.login, .tally = tally},
                   .events = &traffic_client_events,
                   .events_data = traffic},
        .client_count = plan_share(settings->connections, settings->threads_in_all, worker),
        .first_client =
            settings->first_connection + plan_share_start(settings->connections, settings->threads_in_all, worker),
        .open = schedule_is_open(settings),
        .events = events,
        .events_data = events_data};
    schedule_init(&traffic->schedule, settings,
                  (struct schedule_part){
                      .worker = worker, .first_client = traffic->first_client, .client_count = traffic->client_count});
    if (settings->rate.count == 0 && o->count > 0) {
        uint64_t parts = (uint64_t)settings->shard.count * settings->threads_in_all;
        uint64_t part = (uint64_t)settings->shard.index * settings->threads_in_all + worker;
        traffic->remaining = plan_share(o->count, parts, part);
    }
    traffic->due_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (traffic->due_fd < 0) {
        (void)snprintf(error, error_size, "no timer to be had from the system");
        return -1;
    }
    if (by_target_init(&tally->by_target, settings->target_count) != 0) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    for (size_t i = 0; i < tally->by_target.count; i++) {
        (void)snprintf(tally->by_target.items[i].name, sizeof tally->by_target.items[i].name, "%s",
                       settings->targets[i].text);
    }
    if (login_prepare(&traffic->shared.login, settings, error, error_size) != 0) {
        return -1;
    }
    if (make_clients(traffic) != 0) {
        (void)snprintf(error, error_size, "out of memory for %llu connections",
                       (unsigned long long)traffic->client_count);
        return -1;
    }
    return 0;
}

void traffic_start(struct traffic *traffic)
{
    client_shared_start(&traffic->shared);
    ev_idle_init(&traffic->spin, traffic_on_spin);
    traffic->spin.data = traffic;
    ev_io_init(&traffic->due, traffic_on_due, traffic->due_fd, EV_READ);
    traffic->due.data = traffic;
    ev_set_priority(&traffic->due, EV_MAXPRI); /* what is due goes before what has come back */
    ev_io_start(traffic->shared.loop, &traffic->due);
}

void traffic_stop(struct traffic *traffic)
{
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        client_destroy(&traffic->clients[i]);
    }
    traffic->shared.reap = NULL;
    ev_io_stop(traffic->shared.loop, &traffic->due);
    client_shared_stop(&traffic->shared);
}

void traffic_free(struct traffic *traffic)
{
    if (traffic->shared.settings == NULL) {
        return; /* never made */
    }
    for (uint64_t i = 0; traffic->clients != NULL && i < traffic->client_count; i++) {
        client_destroy(&traffic->clients[i]);
    }
    free(traffic->clients);
    login_release(&traffic->shared.login);
    if (traffic->due_fd >= 0) {
        (void)close(traffic->due_fd);
    }
    *traffic = (struct traffic){.due_fd = -1};
}
