#include "load/plan/rate.h"

#include "load/plan/plan.h"
#include "sshecho/clock.h"
#include "sshecho/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_LONGEST_US (UINT64_C(720) * 3600 * 1000000)

/* ---- the text ---- */

/* The words of one part, cut at blanks. Returns how many, or one more than there is room for. */
static unsigned split_words(char *text, char *words[], unsigned most)
{
    unsigned count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(text, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        if (count == most) {
            return most + 1;
        }
        words[count++] = word;
    }
    return count;
}

static bool parse_rate(const char *text, uint64_t *out)
{
    return units_parse_count(text, out) && *out <= PLAN_RATE_MAX;
}

static bool parse_length(const char *text, struct plan_rate_part *part)
{
    uint64_t us = 0;
    bool good = units_parse_duration_us(text, &us) && us >= 1000 && us <= PART_LONGEST_US;
    part->length_us = (int64_t)us;
    return good;
}

/* One part of the text; *stays is the rate that goes on after it. */
static bool parse_part(char *text, const struct plan_rate *before, uint64_t *stays, struct plan_rate_part *out)
{
    char *words[5];
    unsigned count = split_words(text, words, 4);
    *out = (struct plan_rate_part){0};
    if (count == 4 && strcmp(words[0], "spike") == 0 && strcmp(words[2], "for") == 0) {
        return before->count > 0 && parse_rate(words[1], &out->from_per_s) && parse_length(words[3], out);
    }
    if (count == 3 && strcmp(words[1], "over") == 0) {
        char *dots = strstr(words[0], "..");
        if (dots == NULL) {
            return false;
        }
        *dots = '\0';
        bool good = parse_rate(words[0], &out->from_per_s) && parse_rate(dots + 2, &out->to_per_s);
        *stays = out->to_per_s;
        out->slices = PLAN_RATE_SLOPE;
        return good && parse_length(words[2], out);
    }
    if ((count == 3 && strcmp(words[1], "for") == 0 && parse_length(words[2], out)) || count == 1) {
        bool good = parse_rate(words[0], &out->from_per_s);
        *stays = out->from_per_s;
        return good;
    }
    return false;
}

static void append(struct plan_rate *rate, struct plan_rate_part part, bool slope)
{
    const struct plan_rate_part *last = rate->count > 0 ? &rate->parts[rate->count - 1] : NULL;
    if (!slope) {
        part.to_per_s = part.from_per_s;
    }
    part.slices = slope ? PLAN_RATE_SLOPE : 1;
    part.first_slice = rate->slices;
    if (last != NULL) {
        part.begin_us = last->begin_us + last->length_us;
        part.before = wide_plus(last->before, wide_times(last->from_per_s + last->to_per_s, (uint64_t)last->length_us));
    }
    rate->slices += part.slices;
    rate->parts[rate->count++] = part;
}

static int refuse(const char *text, const char *part, char *error, size_t error_size)
{
    (void)snprintf(error, error_size,
                   "\"%s\"%s%s%s (allowed: off, RATE, or parts joined by commas: A..B over TIME, A for TIME, spike A "
                   "for TIME after one of them, last perhaps RATE; rates to 100M a second, at most %d parts)",
                   text, part[0] != '\0' ? ": \"" : " is no rate", part, part[0] != '\0' ? "\" is no part of it" : "",
                   PLAN_RATE_PARTS);
    return -1;
}

int plan_rate_parse(const char *text, struct plan_rate *out, char *error, size_t error_size)
{
    struct plan_rate rate = {0};
    uint64_t stays = 0;
    const char *at = text;
    if (strcmp(text, "off") == 0 || strcmp(text, "0") == 0) {
        *out = rate;
        return 0;
    }
    while (true) {
        char copy[96];
        struct plan_rate_part part;
        size_t length = strcspn(at, ",");
        (void)snprintf(copy, sizeof copy, "%.*s", (int)(length < sizeof copy ? length : 0), at);
        bool good = !rate.open && rate.count < PLAN_RATE_PARTS && parse_part(copy, &rate, &stays, &part);
        if (!good) {
            char named[96];
            (void)snprintf(named, sizeof named, "%.*s", (int)length, at + strspn(at, " \t"));
            return refuse(text, at == text && at[length] == '\0' ? "" : named, error, error_size);
        }
        rate.open = part.length_us == 0;
        append(&rate, part, part.slices > 1);
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    if (!rate.open) {
        append(&rate, (struct plan_rate_part){.from_per_s = stays}, false);
    }
    const struct plan_rate_part *last = &rate.parts[rate.count - 1];
    if (last->from_per_s == 0 && !wide_less(wide_of(0), last->before)) {
        (void)snprintf(error, error_size, "\"%s\": nothing is ever due", text);
        return -1;
    }
    *out = rate;
    return 0;
}

struct plan_rate plan_rate_even(uint64_t per_s)
{
    struct plan_rate rate = {0};
    if (per_s > 0) {
        rate.open = true;
        append(&rate, (struct plan_rate_part){.from_per_s = per_s}, false);
    }
    return rate;
}

uint64_t plan_rate_plain(const struct plan_rate *rate)
{
    return rate->count == 1 ? rate->parts[0].from_per_s : 0;
}

uint64_t plan_rate_length_us(const struct plan_rate *rate)
{
    return (uint64_t)rate->parts[rate->count - 1].begin_us;
}

uint64_t plan_rate_total(const struct plan_rate *rate)
{
    const struct plan_rate_part *last = &rate->parts[rate->count - 1];
    return last->from_per_s > 0 ? UINT64_MAX : wide_low(wide_divided(last->before, PLAN_OPERATION, NULL));
}

/* ---- the arithmetic ---- */

/* Of the part: 2 a x + (b - a) x^2 / L operations in units are due until x us after its beginning; times L, so that all
 * is whole. L is 1 where there is no slope. */
static uint64_t length_of(const struct plan_rate_part *part)
{
    return part->from_per_s == part->to_per_s ? 1 : (uint64_t)part->length_us;
}

static wide due_until(const struct plan_rate_part *part, uint64_t x_us)
{
    uint64_t a = part->from_per_s;
    uint64_t b = part->to_per_s;
    wide even = wide_scaled(wide_times(2 * a, x_us), length_of(part));
    wide square = wide_times(x_us, x_us);
    return b < a ? wide_minus(even, wide_scaled(square, a - b)) : wide_plus(even, wide_scaled(square, b - a));
}

/* The last us of this part until which no more than `wanted` units are due, of those that the part itself brings. */
static int64_t last_us_with(const struct plan_rate_part *part, wide wanted)
{
    if (part->from_per_s == part->to_per_s) {
        return (int64_t)wide_low(wide_divided(wanted, 2 * part->from_per_s, NULL));
    }
    uint64_t low = 0; /* due_until(low) <= wanted < due_until(high) */
    uint64_t high = (uint64_t)part->length_us;
    wide scaled = wide_scaled(wanted, high);
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (wide_less(scaled, due_until(part, middle))) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return (int64_t)low;
}

/* The last us until which no more than `wanted` units are due. */
static int64_t due_at(const struct plan_rate *rate, wide wanted)
{
    unsigned i = rate->count - 1;
    while (i > 0 && wide_less(wanted, rate->parts[i].before)) {
        i--;
    }
    const struct plan_rate_part *part = &rate->parts[i];
    if (part->from_per_s == 0 && part->to_per_s == 0) {
        return INT64_MAX; /* it is the last: of a pause in between, the part after it would have been found */
    }
    return part->begin_us + last_us_with(part, wide_minus(wanted, part->before));
}

static const struct plan_rate_part *part_at(const struct plan_rate *rate, int64_t us)
{
    unsigned i = rate->count - 1;
    while (i > 0 && rate->parts[i].begin_us > us) {
        i--;
    }
    return &rate->parts[i];
}

static wide divided_up(wide a, uint64_t divisor)
{
    return wide_divided(wide_plus(a, wide_of(divisor - 1)), divisor, NULL);
}

/* What is due until then, in units, rounded up. */
static wide units_until(const struct plan_rate *rate, int64_t us)
{
    if (us <= 0) {
        return wide_of(0);
    }
    const struct plan_rate_part *part = part_at(rate, us);
    return wide_plus(part->before, divided_up(due_until(part, (uint64_t)(us - part->begin_us)), length_of(part)));
}

/* ---- chance ---- */

static int by_offset(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The gaps of a Poisson process, normalised so that so many of them fill their block: that is as many even random
 * numbers, in order. */
static void draw_block(const struct plan_rate *rate, uint64_t number, struct plan_rate_block *block)
{
    if (block->number == number + 1) {
        return;
    }
    for (uint64_t i = 0; i < PLAN_RATE_BLOCK; i++) {
        block->offsets[i] = (uint32_t)(plan_mix(rate->seed ^ plan_mix(number * PLAN_RATE_BLOCK + i)) >> 32);
    }
    qsort(block->offsets, PLAN_RATE_BLOCK, sizeof block->offsets[0], by_offset);
    block->number = number + 1;
}

#define BLOCK_UNITS ((uint64_t)PLAN_RATE_BLOCK * PLAN_OPERATION) /* below 2^32 */

/* Where in the run's operations the arrival stands, in units. */
static wide arrival(const struct plan_rate *rate, uint64_t n, struct plan_rate_block *block)
{
    if (!rate->poisson) {
        return wide_times(n, PLAN_OPERATION);
    }
    uint64_t number = n / PLAN_RATE_BLOCK;
    draw_block(rate, number, block);
    return wide_plus(wide_times(number, BLOCK_UNITS),
                     wide_of((BLOCK_UNITS * block->offsets[n % PLAN_RATE_BLOCK]) >> 32));
}

int64_t plan_rate_due_us(const struct plan_rate *rate, uint64_t n, struct plan_rate_block *block)
{
    return due_at(rate, arrival(rate, n, block));
}

uint64_t plan_rate_first_due_at(const struct plan_rate *rate, int64_t us)
{
    wide units = units_until(rate, us);
    if (!rate->poisson) {
        return wide_low(divided_up(units, PLAN_OPERATION));
    }
    struct plan_rate_block block = {0};
    uint64_t n = wide_low(wide_divided(units, BLOCK_UNITS, NULL)) * PLAN_RATE_BLOCK;
    uint64_t end = n + PLAN_RATE_BLOCK;
    while (n < end && wide_less(arrival(rate, n, &block), units)) {
        n++;
    }
    return n;
}

/* ---- slices ---- */

unsigned plan_rate_slice_at(const struct plan_rate *rate, int64_t us)
{
    const struct plan_rate_part *part = part_at(rate, us);
    if (part->slices < 2 || us <= part->begin_us) {
        return part->first_slice;
    }
    int64_t slice = (us - part->begin_us) * part->slices / part->length_us;
    return part->first_slice + (unsigned)(slice < part->slices ? slice : part->slices - 1);
}

unsigned plan_rate_part_of(const struct plan_rate *rate, unsigned slice)
{
    unsigned i = rate->count - 1;
    while (i > 0 && rate->parts[i].first_slice > slice) {
        i--;
    }
    return i;
}
