#include "load/result/gate.h"

#include "sshecho/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum unit { UNIT_TIME, UNIT_COUNT };

/* A latency figure, NaN when nothing was measured. */
static double latency(const struct result *result, enum tally_histogram which, double percentile)
{
    const struct histogram *h = tally_histogram(&result->tally, which);
    if (h->total == 0) {
        return NAN;
    }
    if (percentile > 100.0) {
        return histogram_mean(h);
    }
    return percentile == 100.0 ? (double)h->max : (double)histogram_percentile(h, percentile);
}

#define MEAN 101.0
#define LATENCY(name, which, percentile)                                                                               \
    static double name(const struct result *result)                                                                    \
    {                                                                                                                  \
        return latency(result, which, percentile);                                                                     \
    }
#define COUNT(name, expression)                                                                                        \
    static double name(const struct result *result)                                                                    \
    {                                                                                                                  \
        return (double)(expression);                                                                                   \
    }
LATENCY(p50, HISTOGRAM_LATENCY, 50.0)
LATENCY(p90, HISTOGRAM_LATENCY, 90.0)
LATENCY(p99, HISTOGRAM_LATENCY, 99.0)
LATENCY(p99_9, HISTOGRAM_LATENCY, 99.9)
LATENCY(latency_max, HISTOGRAM_LATENCY, 100.0)
LATENCY(latency_mean, HISTOGRAM_LATENCY, MEAN)
LATENCY(handshake_p50, HISTOGRAM_HANDSHAKE, 50.0)
LATENCY(handshake_p99, HISTOGRAM_HANDSHAKE, 99.0)
LATENCY(slip_p99, HISTOGRAM_SLIP, 99.0)
COUNT(errors, result_errors(result))
COUNT(failed, result->tally.failed)
COUNT(timed_out, result->tally.timed_out)
COUNT(unfinished, result->tally.unfinished)
COUNT(lost, result->tally.sessions_lost)
COUNT(sessions, result->tally.sessions_up)
COUNT(rate, result_echoes_per_s(result))
COUNT(mb, result_mb_per_s(result))
COUNT(handshakes, result_handshakes_per_s(result))
COUNT(client_bound, result_is_client_bound(result))

static const struct {
    const char *name;
    enum unit unit;
    double (*value)(const struct result *result);
} figures[] = {
    {"p50", UNIT_TIME, p50},
    {"p90", UNIT_TIME, p90},
    {"p99", UNIT_TIME, p99},
    {"p99.9", UNIT_TIME, p99_9},
    {"max", UNIT_TIME, latency_max},
    {"mean", UNIT_TIME, latency_mean},
    {"handshake-p50", UNIT_TIME, handshake_p50},
    {"handshake-p99", UNIT_TIME, handshake_p99},
    {"slip-p99", UNIT_TIME, slip_p99},
    {"errors", UNIT_COUNT, errors},
    {"failed", UNIT_COUNT, failed},
    {"timed-out", UNIT_COUNT, timed_out},
    {"unfinished", UNIT_COUNT, unfinished},
    {"lost", UNIT_COUNT, lost},
    {"sessions", UNIT_COUNT, sessions},
    {"rate", UNIT_COUNT, rate},
    {"mb", UNIT_COUNT, mb},
    {"handshakes", UNIT_COUNT, handshakes},
    {"client-bound", UNIT_COUNT, client_bound},
};
#define FIGURES (int)(sizeof figures / sizeof figures[0])

static int refuse(const char *text, char *error, size_t error_size)
{
    int at = snprintf(error, error_size, "\"%s\" is no condition (allowed: FIGURE < <= > >= == != VALUE, with", text);
    for (int i = 0; i < FIGURES && at > 0 && (size_t)at < error_size; i++) {
        at += snprintf(error + at, error_size - (size_t)at, " %s", figures[i].name);
    }
    if (at > 0 && (size_t)at + 1 < error_size) {
        (void)snprintf(error + at, error_size - (size_t)at, ")");
    }
    return -1;
}

int gate_parse(const char *text, struct gate *out, char *error, size_t error_size)
{
    static const struct {
        const char *sign;
        enum gate_operator operator;
    } operators[] = {{"<=", GATE_LESS_EQUAL}, {">=", GATE_MORE_EQUAL}, {"==", GATE_EQUAL},
                     {"!=", GATE_NOT_EQUAL},  {"<", GATE_LESS},        {">", GATE_MORE}};
    const char *name = text + strspn(text, " ");
    size_t name_length = strcspn(name, " <>=!");
    const char *rest = name + name_length + strspn(name + name_length, " ");
    int figure = 0;
    while (figure < FIGURES &&
           (strlen(figures[figure].name) != name_length || strncmp(figures[figure].name, name, name_length) != 0)) {
        figure++;
    }
    size_t sign = 0;
    const size_t signs = sizeof operators / sizeof operators[0];
    while (sign < signs && strncmp(rest, operators[sign].sign, strlen(operators[sign].sign)) != 0) {
        sign++;
    }
    if (figure == FIGURES || sign == signs) {
        return refuse(text, error, error_size);
    }
    rest += strlen(operators[sign].sign);
    uint64_t parsed = 0;
    char *end = NULL;
    double value = strtod(rest, &end);
    bool plain = end != rest && end[strspn(end, " ")] == '\0' && value >= 0.0 && isfinite(value);
    if (figures[figure].unit == UNIT_TIME) {
        if (!units_parse_duration_us(rest, &parsed)) {
            return refuse(text, error, error_size);
        }
        value = (double)parsed;
    } else if (!plain) {
        if (!units_parse_count(rest, &parsed)) {
            return refuse(text, error, error_size);
        }
        value = (double)parsed;
    }
    *out = (struct gate){.figure = figure, .operator= operators[sign].operator, .value = value };
    return 0;
}

bool gate_is_crossed(const struct gate *gate, const struct result *result, double *actual)
{
    double value = figures[gate->figure].value(result);
    *actual = value;
    if (isnan(value)) {
        return true;
    }
    switch (gate->operator) {
    case GATE_LESS:
        return value < gate->value;
    case GATE_LESS_EQUAL:
        return value <= gate->value;
    case GATE_MORE:
        return value > gate->value;
    case GATE_MORE_EQUAL:
        return value >= gate->value;
    case GATE_EQUAL:
        return value == gate->value;
    case GATE_NOT_EQUAL:
        return value != gate->value;
    }
    return true;
}
