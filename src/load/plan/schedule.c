#include "load/plan/schedule.h"

#include "load/plan/plan.h"

bool schedule_is_open(const struct settings *settings)
{
    const struct load_options *o = &settings->options;
    return settings->rate.count > 0 || (o->mode == MODE_HOLD && o->sample > 0);
}

void schedule_init(struct schedule *schedule, const struct settings *settings, struct schedule_part part)
{
    const struct load_options *o = &settings->options;
    *schedule = (struct schedule){.settings = settings, .part = part};
    if (settings->rate.count > 0) {
        schedule->measured_from = plan_rate_first_due_at(&settings->rate, (int64_t)o->warmup_us);
        schedule->over = o->count > 0
                             ? schedule->measured_from + o->count
                             : plan_rate_first_due_at(&settings->rate, (int64_t)(o->warmup_us + o->duration_us));
    }
}

/* The sample of hold mode is spread evenly: ping j of each round goes to connection j * connections / sample. */
static bool hold_operation(const struct schedule *schedule, struct schedule_operation *out)
{
    const struct settings *settings = schedule->settings;
    const struct schedule_part *part = &schedule->part;
    const uint64_t connections = settings->connections_total;
    const uint64_t interval_us = settings->options.sample_interval_us;
    uint64_t sample = settings->options.sample < connections ? settings->options.sample : connections;
    uint64_t first = (part->first_client * sample + connections - 1) / connections;
    uint64_t end = ((part->first_client + part->client_count) * sample + connections - 1) / connections;
    if (end <= first) {
        return false;
    }
    uint64_t round = schedule->taken / (end - first);
    uint64_t j = first + schedule->taken % (end - first);
    const int64_t from_us = (int64_t)settings->options.warmup_us;
    const int64_t to_us = from_us + (int64_t)settings->options.duration_us;
    out->number = round * sample + j;
    out->due_us = (int64_t)(round * interval_us + j * interval_us / sample);
    out->client = j * connections / sample - part->first_client;
    out->stream = 0;
    out->measured = out->due_us >= from_us && out->due_us < to_us;
    return out->due_us < to_us;
}

/* In connect mode the workers of all shards take turns; else each has the places of its clients in every round. */
static uint64_t workers_in_all(const struct settings *settings)
{
    return (uint64_t)settings->shard.count * settings->threads_in_all;
}

static uint64_t turn_of(const struct schedule *schedule)
{
    return (uint64_t)schedule->settings->shard.index * schedule->settings->threads_in_all + schedule->part.worker;
}

bool schedule_peek(struct schedule *schedule, struct schedule_operation *out)
{
    const struct settings *settings = schedule->settings;
    const struct load_options *o = &settings->options;
    const uint64_t k = schedule->taken;
    if (o->mode == MODE_HOLD) {
        return hold_operation(schedule, out);
    }
    if (o->mode == MODE_CONNECT) {
        out->number = k * workers_in_all(settings) + turn_of(schedule);
        out->client = out->stream = 0;
    } else {
        uint64_t own = schedule->part.client_count * o->channels;
        uint64_t place = k % own;
        out->number =
            k / own * settings->connections_total * o->channels + schedule->part.first_client * o->channels + place;
        out->client = place / o->channels;
        out->stream = place % o->channels;
    }
    if (out->number >= schedule->over) {
        return false;
    }
    out->due_us = plan_rate_due_us(&settings->rate, out->number, &schedule->block);
    out->measured = out->number >= schedule->measured_from;
    return true;
}

void schedule_take(struct schedule *schedule)
{
    schedule->taken++;
}

/* How many of this part's operations come before `number` of the whole run. */
static uint64_t operations_before(const struct schedule *schedule, uint64_t number)
{
    const struct settings *settings = schedule->settings;
    if (settings->options.mode == MODE_CONNECT) {
        uint64_t workers = workers_in_all(settings);
        return number / workers + (number % workers > turn_of(schedule) ? 1 : 0);
    }
    uint64_t own = schedule->part.client_count * settings->options.channels;
    uint64_t all = settings->connections_total * settings->options.channels;
    uint64_t first = schedule->part.first_client * settings->options.channels;
    uint64_t rest = number % all <= first ? 0 : number % all - first;
    return number / all * own + (rest < own ? rest : own);
}

void schedule_cut(struct schedule *schedule, int64_t until_us)
{
    const struct plan_rate *rate = &schedule->settings->rate;
    uint64_t end = rate->count > 0 ? plan_rate_first_due_at(rate, until_us) : 0;
    schedule->over = end < schedule->over ? end : schedule->over;
}

uint64_t schedule_left(const struct schedule *schedule)
{
    struct schedule copy = *schedule;
    return schedule_abandon(&copy, INT64_MAX);
}

uint64_t schedule_abandon(struct schedule *schedule, int64_t until_us)
{
    const struct plan_rate *rate = &schedule->settings->rate;
    if (rate->count == 0) {
        return 0;
    }
    uint64_t until = schedule->over;
    if (until_us != INT64_MAX) {
        uint64_t due = plan_rate_first_due_at(rate, until_us);
        until = due < until ? due : until;
    }
    uint64_t end = operations_before(schedule, until);
    if (end <= schedule->taken) {
        return 0;
    }
    uint64_t measured_from = operations_before(schedule, schedule->measured_from);
    uint64_t begin = schedule->taken > measured_from ? schedule->taken : measured_from;
    schedule->taken = end;
    return end > begin ? end - begin : 0;
}
