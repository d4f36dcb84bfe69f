#include "load/plan/schedule.h"

#include "load/plan/plan.h"

bool schedule_is_open(const struct settings *settings)
{
    const struct load_options *o = &settings->options;
    return o->rate > 0 || (o->mode == MODE_HOLD && o->sample > 0);
}

/* The sample of hold mode is spread evenly: ping j of each round goes to connection j * connections / sample. */
static bool hold_operation(const struct settings *settings, const struct schedule_part *part, uint64_t k,
                           struct schedule_operation *out)
{
    const uint64_t connections = settings->connections_total;
    const uint64_t interval_us = settings->options.sample_interval_us;
    uint64_t sample = settings->options.sample < connections ? settings->options.sample : connections;
    uint64_t first = (part->first_client * sample + connections - 1) / connections;
    uint64_t end = ((part->first_client + part->client_count) * sample + connections - 1) / connections;
    if (end <= first) {
        return false;
    }
    uint64_t round = k / (end - first);
    uint64_t j = first + k % (end - first);
    out->number = round * sample + j;
    out->due_us = (int64_t)(round * interval_us + j * interval_us / sample);
    out->client = j * connections / sample - part->first_client;
    out->stream = 0;
    return true;
}

bool schedule_operation_at(const struct settings *settings, const struct schedule_part *part, uint64_t k,
                           struct schedule_operation *out)
{
    const struct load_options *o = &settings->options;
    if (o->mode == MODE_HOLD) {
        return hold_operation(settings, part, k, out);
    }
    if (o->mode == MODE_CONNECT) {
        uint64_t workers = (uint64_t)settings->shard.count * settings->threads;
        out->number = k * workers + (uint64_t)settings->shard.index * settings->threads + part->worker;
        out->client = out->stream = 0;
    } else {
        uint64_t own = part->client_count * o->channels;
        uint64_t all = settings->connections_total * o->channels;
        uint64_t place = k % own;
        out->number = k / own * all + part->first_client * o->channels + place;
        out->client = place / o->channels;
        out->stream = place % o->channels;
    }
    out->due_us = plan_due_us(out->number, o->rate);
    return true;
}

static uint64_t first_measured(const struct settings *settings)
{
    return plan_first_due_at((int64_t)settings->options.warmup_us, settings->options.rate);
}

bool schedule_is_measured(const struct settings *settings, const struct schedule_operation *operation)
{
    return operation->due_us >= (int64_t)settings->options.warmup_us && !schedule_is_over(settings, operation);
}

bool schedule_is_over(const struct settings *settings, const struct schedule_operation *operation)
{
    const struct load_options *o = &settings->options;
    if (o->count > 0 && o->rate > 0) {
        return operation->number >= first_measured(settings) + o->count;
    }
    return operation->due_us >= (int64_t)(o->warmup_us + o->duration_us);
}
