#include "load/timeline/packed_internal.h"

#include <stdlib.h>
#include <string.h>

/* A count takes at most nine bytes, the last of which holds eight bits. */
#define COUNT_BYTES_MAX 9

static size_t put_count(uint8_t *out, int64_t count)
{
    uint64_t zigzag = ((uint64_t)count << 1) ^ (uint64_t)(count >> 63);
    size_t length = 0;
    while (zigzag >= 0x80 && length < COUNT_BYTES_MAX - 1) {
        out[length++] = (uint8_t)(zigzag | 0x80);
        zigzag >>= 7;
    }
    out[length++] = (uint8_t)zigzag;
    return length;
}

/* 0: the bytes end within it. */
static size_t take_count(const uint8_t *bytes, size_t left, int64_t *out)
{
    uint64_t zigzag = 0;
    size_t length = 0;
    while (length < left && length < COUNT_BYTES_MAX) {
        uint8_t byte = bytes[length];
        bool whole = length == COUNT_BYTES_MAX - 1;
        zigzag |= (uint64_t)(whole ? byte : byte & 0x7f) << (7 * length);
        length++;
        if (whole || (byte & 0x80) == 0) {
            *out = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
            return length;
        }
    }
    return 0;
}

/* The packed form of now - before (NULL: of now). */
static struct packed *pack(const struct histogram *now, const struct histogram *before)
{
    uint32_t used = 0, last = 0;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        if (now->counts[slot] != (before == NULL ? 0 : before->counts[slot])) {
            used++;
            last = slot;
        }
    }
    /* Each used bucket may have an empty run before it. */
    struct packed *packed = malloc(sizeof *packed + (size_t)used * 2 * COUNT_BYTES_MAX + COUNT_BYTES_MAX);
    if (packed == NULL) {
        return NULL;
    }
    *packed = (struct packed){.sum = now->sum - (before == NULL ? 0.0 : before->sum)};
    int64_t empty = 0;
    for (uint32_t slot = 0; used > 0 && slot <= last; slot++) {
        uint64_t count = now->counts[slot] - (before == NULL ? 0 : before->counts[slot]);
        if (count == 0) {
            empty++;
            continue;
        }
        if (empty > 0) { /* one empty bucket is a 0, several are one negative number */
            packed->length += put_count(packed->bytes + packed->length, empty == 1 ? 0 : -empty);
            empty = 0;
        }
        packed->length += put_count(packed->bytes + packed->length, (int64_t)count);
        packed->min = packed->total == 0 ? histogram_slot_low(slot) : packed->min;
        packed->total += count;
    }
    if (used > 0) {
        /* Exact if it is the overall one: otherwise its bucket is known. */
        bool new_max = before == NULL || now->max > before->max;
        packed->max = new_max || now->max < histogram_slot_high(last) ? now->max : histogram_slot_high(last);
        packed->min = now->min > packed->min ? now->min : packed->min;
        packed->min = packed->min > 0 ? packed->min : 1;
    }
    struct packed *fitted = realloc(packed, sizeof *packed + packed->length);
    return fitted != NULL ? fitted : packed;
}

struct packed *packed_make(const struct histogram *histogram)
{
    return pack(histogram, NULL);
}

struct packed *packed_difference(const struct histogram *now, struct histogram *before)
{
    struct packed *packed = pack(now, before);
    if (packed != NULL) {
        memcpy(before, now, sizeof *before);
    }
    return packed;
}

void packed_unpack(const struct packed *packed, struct histogram *into)
{
    if (packed->total == 0) {
        return;
    }
    size_t at = 0;
    uint32_t slot = 0;
    while (at < packed->length && slot < HISTOGRAM_SLOTS) {
        int64_t count = 0;
        size_t length = take_count(packed->bytes + at, packed->length - at, &count);
        if (length == 0) {
            break;
        }
        at += length;
        if (count < 0) {
            slot += (uint32_t)-count;
            continue;
        }
        into->counts[slot++] += (uint64_t)count;
    }
    into->min = into->total == 0 || packed->min < into->min ? packed->min : into->min;
    into->max = packed->max > into->max ? packed->max : into->max;
    into->total += packed->total;
    into->sum += packed->sum;
}

struct packed *packed_sum(const struct packed *a, const struct packed *b)
{
    struct histogram *both = a == NULL && b == NULL ? NULL : calloc(1, sizeof *both);
    if (both == NULL) {
        return NULL;
    }
    if (a != NULL) {
        packed_unpack(a, both);
    }
    if (b != NULL) {
        packed_unpack(b, both);
    }
    struct packed *sum = packed_make(both);
    free(both);
    return sum;
}

/* ---- reading what a file holds ---- */

bool packed_check(struct packed *packed)
{
    size_t at = 0;
    uint32_t slot = 0;
    packed->total = 0;
    packed->sum = 0.0;
    packed->min = packed->max = 0;
    while (at < packed->length) {
        int64_t count = 0;
        size_t length = take_count(packed->bytes + at, packed->length - at, &count);
        if (length == 0 || count < -(int64_t)(HISTOGRAM_SLOTS - slot) || (count >= 0 && slot >= HISTOGRAM_SLOTS) ||
            count > (int64_t)(INT64_MAX / 2 - (int64_t)packed->total)) {
            return false;
        }
        at += length;
        if (count <= 0) {
            slot += count < 0 ? (uint32_t)-count : 1;
            continue;
        }
        if (packed->total == 0) {
            packed->min = histogram_slot_low(slot) > 0 ? histogram_slot_low(slot) : 1;
        }
        packed->max = histogram_slot_high(slot) > 0 ? histogram_slot_high(slot) : 1;
        packed->total += (uint64_t)count;
        packed->sum += (double)count * ((double)histogram_slot_low(slot) + (double)histogram_slot_high(slot)) / 2.0;
        slot++;
    }
    return true;
}
