#include "load/plan/plan.h"

#include "sshecho/clock.h"
#include "sshecho/units.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t plan_share(uint64_t total, uint64_t parts, uint64_t index)
{
    return total / parts + (index < total % parts ? 1 : 0);
}

uint64_t plan_share_start(uint64_t total, uint64_t parts, uint64_t index)
{
    uint64_t extra = total % parts;
    return total / parts * index + (index < extra ? index : extra);
}

static bool parse_u32(const char *text, const char *end, uint32_t *out)
{
    if (text == end || end - text > 9) {
        return false;
    }
    uint32_t value = 0;
    for (const char *c = text; c < end; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(*c - '0');
    }
    *out = value;
    return true;
}

int plan_parse_shard(const char *text, const char *environment_index, struct plan_shard *out, char *error,
                     size_t error_size)
{
    const char *slash = strchr(text, '/');
    uint32_t count = 0;
    uint32_t index = 0;
    if (slash == NULL || !parse_u32(slash + 1, slash + strlen(slash), &count) || count == 0) {
        (void)snprintf(error, error_size, "\"%s\" is not I/N with N from 1 up", text);
        return -1;
    }
    if (slash == text) {
        if (environment_index == NULL ||
            !parse_u32(environment_index, environment_index + strlen(environment_index), &index)) {
            (void)snprintf(error, error_size, "\"%s\" takes its index from JOB_COMPLETION_INDEX, which holds no number",
                           text);
            return -1;
        }
    } else {
        if (!parse_u32(text, slash, &index) || index == 0) {
            (void)snprintf(error, error_size, "\"%s\" is not I/N with I from 1 to N", text);
            return -1;
        }
        index--;
    }
    if (index >= count) {
        (void)snprintf(error, error_size, "index %u is beyond the %u shards", index + 1, count);
        return -1;
    }
    *out = (struct plan_shard){.index = index, .count = count};
    return 0;
}

int64_t plan_due_us(uint64_t n, uint64_t rate_per_s)
{
    uint64_t whole_s = n / rate_per_s;
    uint64_t rest = n % rate_per_s;
    return (int64_t)(whole_s * (uint64_t)US_PER_S + rest * (uint64_t)US_PER_S / rate_per_s);
}

int64_t plan_ramp_us(uint64_t n, uint64_t total, uint64_t ramp_us)
{
    if (total == 0) {
        return 0;
    }
    /* In two steps, so that neither a long ramp nor many connections overflow. */
    return (int64_t)(ramp_us / total * n + ramp_us % total * n / total);
}

bool plan_parse_instant(const char *text, int64_t *us_since_1970)
{
    char *end = NULL;
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    double fraction_s = 0.0;
    if (rest != NULL) {
        if (*rest == '.') {
            fraction_s = strtod(rest, &end);
            rest = end;
        }
        if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0) {
            return false;
        }
        *us_since_1970 = (int64_t)timegm(&tm) * US_PER_S + (int64_t)llround(fraction_s * (double)US_PER_S);
        return true;
    }
    errno = 0;
    double seconds = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(seconds > 0.0 && seconds < 1e11)) {
        return false;
    }
    *us_since_1970 = (int64_t)llround(seconds * (double)US_PER_S);
    return true;
}

uint64_t plan_mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

static bool parse_one_size(const char *text, size_t length, uint64_t *out)
{
    char copy[32];
    if (length == 0 || length >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    return units_parse_size_bytes(copy, out) && *out >= 1 && *out <= PLAN_SIZE_MAX;
}

static bool parse_size_list(const char *text, struct plan_size *out)
{
    uint64_t sum = 0;
    while (true) {
        size_t length = strcspn(text, ",");
        const char *colon = memchr(text, ':', length);
        uint64_t weight = 0;
        if (out->choices == PLAN_SIZE_CHOICES || colon == NULL ||
            !parse_one_size(text, (size_t)(colon - text), &out->sizes[out->choices]) ||
            !parse_one_size(colon + 1, length - (size_t)(colon - text) - 1, &weight)) {
            return false;
        }
        sum += weight;
        out->weights[out->choices++] = sum;
        if (text[length] == '\0') {
            return true;
        }
        text += length + 1;
    }
}

int plan_parse_size(const char *text, struct plan_size *out, char *error, size_t error_size)
{
    struct plan_size size = {.kind = PLAN_SIZE_FIXED};
    const char *dash = strchr(text, '-');
    bool good;
    if (strncmp(text, "exp:", 4) == 0) {
        size.kind = PLAN_SIZE_EXPONENTIAL;
        good = parse_one_size(text + 4, strlen(text + 4), &size.low);
        size.high = size.low * 16 < PLAN_SIZE_MAX ? size.low * 16 : PLAN_SIZE_MAX;
    } else if (strchr(text, ':') != NULL) {
        size.kind = PLAN_SIZE_LIST;
        good = parse_size_list(text, &size);
    } else if (dash != NULL) {
        size.kind = PLAN_SIZE_RANGE;
        good = parse_one_size(text, (size_t)(dash - text), &size.low) &&
               parse_one_size(dash + 1, strlen(dash + 1), &size.high) && size.low <= size.high;
    } else {
        good = parse_one_size(text, strlen(text), &size.low);
        size.high = size.low;
    }
    if (!good) {
        (void)snprintf(error, error_size,
                       "\"%s\" is no message size (allowed: SIZE, LOW-HIGH, exp:MEAN or SIZE:WEIGHT,...; 1 to 16M)",
                       text);
        return -1;
    }
    *out = size;
    return 0;
}

uint32_t plan_size_of(const struct plan_size *size, uint64_t seed, uint64_t n)
{
    if (size->kind == PLAN_SIZE_FIXED) {
        return (uint32_t)size->low;
    }
    uint64_t random = plan_mix(seed ^ plan_mix(n));
    if (size->kind == PLAN_SIZE_RANGE) {
        return (uint32_t)(size->low + random % (size->high - size->low + 1));
    }
    if (size->kind == PLAN_SIZE_EXPONENTIAL) {
        double unit = ((double)(random >> 11) + 1.0) / 9007199254740993.0; /* (0, 1) */
        double value = -log(unit) * (double)size->low;
        return value < 1.0 ? 1 : value > (double)size->high ? (uint32_t)size->high : (uint32_t)value;
    }
    uint64_t pick = random % size->weights[size->choices - 1];
    unsigned i = 0;
    while (pick >= size->weights[i]) {
        i++;
    }
    return (uint32_t)size->sizes[i];
}
