#include "load/drive/sampler.h"

#include <stdlib.h>

static uint64_t live(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

static void hand_over(struct sampler *sampler, struct sample *sample)
{
    sample->next = atomic_load_explicit(&sampler->handed, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&sampler->handed, &sample->next, sample, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    ev_async_send(sampler->main_loop, sampler->main_wake);
}

static uint64_t since(uint64_t now, uint64_t *before)
{
    uint64_t difference = now - *before;
    *before = now;
    return difference;
}

/* Without memory it hands over nothing, and the next interval has it. */
static void take_sample(struct sampler *sampler, int64_t now_ns, uint64_t index, bool last)
{
    const struct tally_live *l = &sampler->tally->live;
    struct sample *sample = calloc(1, sizeof *sample);
    struct packed *latency =
        sample == NULL ? NULL : packed_difference(tally_histogram(sampler->tally, HISTOGRAM_LATENCY), sampler->before);
    if (latency == NULL) {
        free(sample);
        return;
    }
    *sample = (struct sample){.index = index, .last = last, .counts = INTERVAL_EMPTY};
    sample->counts.covered_us = (now_ns - sampler->counted_to_ns) / NS_PER_US;
    sample->counts.echoes = since(live(&l->echoes), &sampler->echoes);
    sample->counts.bytes = since(live(&l->bytes), &sampler->bytes);
    sample->counts.handshakes = since(live(&l->handshakes), &sampler->handshakes);
    sample->counts.errors = since(live(&l->errors), &sampler->errors);
    sample->counts.sessions = live(&l->sessions_up);
    sample->counts.latency = latency;
    sampler->counted_to_ns = now_ns;
    hand_over(sampler, sample);
}

static void set_timer(struct sampler *sampler, int64_t now_ns)
{
    int64_t ends = (sampler->counted_to_ns - sampler->from_ns) / sampler->length_ns + 1;
    int64_t left_ns = sampler->from_ns + ends * sampler->length_ns - now_ns;
    ev_timer_stop(sampler->loop, &sampler->timer);
    ev_timer_set(&sampler->timer, left_ns > 0 ? (double)left_ns / (double)NS_PER_S : 0.0, 0.0);
    ev_now_update(sampler->loop);
    ev_timer_start(sampler->loop, &sampler->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct sampler *sampler = timer->data;
    int64_t now_ns = mono_now().ns;
    int64_t whole = (now_ns - sampler->from_ns) / sampler->length_ns;
    if (whole > (sampler->counted_to_ns - sampler->from_ns) / sampler->length_ns) {
        take_sample(sampler, now_ns, (uint64_t)whole - 1, false);
    }
    set_timer(sampler, now_ns);
}

int sampler_init(struct sampler *sampler, int64_t length_us, const struct tally *tally, struct ev_loop *loop,
                 struct ev_loop *main_loop, ev_async *main_wake)
{
    *sampler = (struct sampler){.length_ns = length_us * NS_PER_US,
                                .tally = tally,
                                .loop = loop,
                                .main_loop = main_loop,
                                .main_wake = main_wake};
    ev_timer_init(&sampler->timer, on_timer, 0.0, 0.0);
    ev_set_priority(&sampler->timer, EV_MAXPRI); /* before what this turn of the loop brings */
    sampler->timer.data = sampler;
    sampler->before = length_us > 0 ? calloc(1, sizeof *sampler->before) : NULL;
    return length_us > 0 && sampler->before == NULL ? -1 : 0;
}

void sampler_free(struct sampler *sampler)
{
    for (struct sample *next, *sample = sampler_take(sampler); sample != NULL; sample = next) {
        next = sample->next;
        sample_free(sample);
    }
    free(sampler->before);
    sampler->before = NULL;
}

void sampler_begin(struct sampler *sampler, int64_t from_ns)
{
    if (sampler->length_ns == 0) {
        return;
    }
    const struct tally_live *l = &sampler->tally->live;
    sampler->from_ns = sampler->counted_to_ns = from_ns;
    sampler->echoes = live(&l->echoes);
    sampler->bytes = live(&l->bytes);
    sampler->handshakes = live(&l->handshakes);
    sampler->errors = live(&l->errors);
    set_timer(sampler, mono_now().ns);
}

void sampler_end(struct sampler *sampler)
{
    if (sampler->length_ns == 0) {
        return;
    }
    int64_t now_ns = mono_now().ns;
    if (sampler->from_ns == 0) { /* there was no measurement */
        sampler->from_ns = sampler->counted_to_ns = now_ns;
    }
    ev_timer_stop(sampler->loop, &sampler->timer);
    take_sample(sampler, now_ns, (uint64_t)((now_ns - sampler->from_ns) / sampler->length_ns), true);
}

struct sample *sampler_take(struct sampler *sampler)
{
    struct sample *newest = atomic_exchange_explicit(&sampler->handed, NULL, memory_order_acquire);
    struct sample *oldest = NULL;
    while (newest != NULL) {
        struct sample *before = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = before;
    }
    return oldest;
}

void sample_free(struct sample *sample)
{
    interval_free(&sample->counts);
    free(sample);
}
