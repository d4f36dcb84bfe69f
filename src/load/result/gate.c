#include "load/result/gate.h"
#include "load/result/verdict.h"

#include "load/result/percentiles.h"
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
LATENCY(latency_max, HISTOGRAM_LATENCY, 100.0)
LATENCY(latency_mean, HISTOGRAM_LATENCY, MEAN)
COUNT(errors, result_errors(result))
COUNT(failed, result->tally.failed)
COUNT(timed_out, result->tally.timed_out)
COUNT(unfinished, result->tally.unfinished)
COUNT(lost, result->tally.sessions_lost)
COUNT(sessions, result->tally.sessions_up)
COUNT(rate, result_echoes_per_s(result))
COUNT(mb, result_mb_per_s(result))
COUNT(handshakes, result_handshakes_per_s(result))
COUNT(client_bound, verdict_is_client_bound(result))
COUNT(sustained, verdict_is_sustained(result))

static const struct {
    const char *name;
    enum unit unit;
    double (*value)(const struct result *result);
} figures[] = {
    {"max", UNIT_TIME, latency_max},
    {"mean", UNIT_TIME, latency_mean},
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
    {"sustained", UNIT_COUNT, sustained},
};
#define FIGURES (int)(sizeof figures / sizeof figures[0])

/* Beside these: any percentile of a latency. */
static const struct {
    const char *prefix;
    enum tally_histogram histogram;
} percentile_figures[] = {{"p", HISTOGRAM_LATENCY}, {"handshake-p", HISTOGRAM_HANDSHAKE}, {"slip-p", HISTOGRAM_SLIP}};

static bool parse_percentile(const char *name, size_t length, struct gate *out)
{
    for (size_t i = 0; i < sizeof percentile_figures / sizeof percentile_figures[0]; i++) {
        size_t prefix = strlen(percentile_figures[i].prefix);
        if (length > prefix && strncmp(name, percentile_figures[i].prefix, prefix) == 0 &&
            percentiles_parse_one(name + prefix, length - prefix, &out->percentile)) {
            out->histogram = percentile_figures[i].histogram;
            out->figure = GATE_PERCENTILE;
            return true;
        }
    }
    return false;
}

static bool parse_figure(const char *name, size_t length, struct gate *out)
{
    if (parse_percentile(name, length, out)) {
        return true;
    }
    for (int i = 0; i < FIGURES; i++) {
        if (strlen(figures[i].name) == length && strncmp(figures[i].name, name, length) == 0) {
            out->figure = i;
            return true;
        }
    }
    return false;
}

static int refuse(const char *text, char *error, size_t error_size)
{
    int at = snprintf(error, error_size,
                      "\"%s\" is no condition (allowed: FIGURE < <= > >= == != VALUE, with p99 (any percentile), "
                      "handshake-p99, slip-p99,",
                      text);
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
    struct gate gate = {0};
    size_t sign = 0;
    const size_t signs = sizeof operators / sizeof operators[0];
    while (sign < signs && strncmp(rest, operators[sign].sign, strlen(operators[sign].sign)) != 0) {
        sign++;
    }
    if (!parse_figure(name, name_length, &gate) || sign == signs) {
        return refuse(text, error, error_size);
    }
    rest += strlen(operators[sign].sign);
    uint64_t parsed = 0;
    char *end = NULL;
    double value = strtod(rest, &end);
    bool plain = end != rest && end[strspn(end, " ")] == '\0' && value >= 0.0 && isfinite(value);
    if (gate.figure == GATE_PERCENTILE || figures[gate.figure].unit == UNIT_TIME) {
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
    gate.operator= operators[sign].operator;
    gate.value = value;
    *out = gate;
    return 0;
}

bool gate_is_crossed(const struct gate *gate, const struct result *result, double *actual)
{
    double value = gate->figure == GATE_PERCENTILE ? latency(result, gate->histogram, gate->percentile)
                                                   : figures[gate->figure].value(result);
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

bool gate_is_about(const struct gate *gate, const char *figure)
{
    return gate->figure != GATE_PERCENTILE && strcmp(figures[gate->figure].name, figure) == 0;
}
