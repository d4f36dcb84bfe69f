#include "load/drive/roll_call.h"

#include "load/connection/streams.h"
#include "load/plan/plan.h"

/* Of all threads and shards together: a few hundredths of a core of a server. */
#define PINGS_PER_S 2000U
/* A million sessions are pinged faster than that. */
#define LENGTH_MOST_US (60 * US_PER_S)

static const struct settings *settings_of(const struct roll_call *roll_call)
{
    return roll_call->traffic->shared.settings;
}

static uint64_t places(const struct roll_call *roll_call)
{
    return roll_call->traffic->client_count * settings_of(roll_call)->options.channels;
}

void roll_call_begin(struct roll_call *roll_call, struct traffic *traffic, int64_t now_ns)
{
    const struct settings *settings = traffic->shared.settings;
    *roll_call = (struct roll_call){.traffic = traffic, .from_ns = now_ns};
    int64_t length_us = plan_due_us(settings->connections_total * settings->options.channels, PINGS_PER_S);
    roll_call->length_us = (uint64_t)(length_us < LENGTH_MOST_US ? length_us : LENGTH_MOST_US);
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        traffic->shared.tally->sessions_held += client_is_up(&traffic->clients[i]) ? 1 : 0;
    }
}

int64_t roll_call_go_on(struct roll_call *roll_call, int64_t now_ns)
{
    const uint64_t channels = settings_of(roll_call)->options.channels;
    const uint64_t all = places(roll_call);
    while (roll_call->called < all) {
        int64_t due_ns = roll_call->from_ns + plan_ramp_us(roll_call->called, all, roll_call->length_us) * NS_PER_US;
        if (due_ns > now_ns) {
            return due_ns;
        }
        struct client *client = &roll_call->traffic->clients[roll_call->called / channels];
        struct stream *stream = &client->streams[roll_call->called % channels];
        roll_call->called++;
        if (client_is_up(client) && stream_queue(stream, now_ns, false, false)) {
            client_send(client, stream);
        }
    }
    return INT64_MAX;
}

bool roll_call_is_over(const struct roll_call *roll_call)
{
    const struct traffic *traffic = roll_call->traffic;
    const uint64_t channels = settings_of(roll_call)->options.channels;
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        const struct client *client = &traffic->clients[i];
        if (!client_is_up(client)) {
            continue;
        }
        if (roll_call->called < (i + 1) * channels || streams_wait(client->streams, channels)) {
            return false;
        }
    }
    return true;
}
