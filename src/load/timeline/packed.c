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

/* ---- bucket by bucket ---- */

/* Writes counts in rising order of their buckets. */
struct writer {
    struct packed *packed;
    uint32_t next; /* the bucket after the last that was written */
};

static void put(struct writer *writer, uint32_t slot, uint64_t count)
{
    struct packed *packed = writer->packed;
    int64_t empty = (int64_t)slot - (int64_t)writer->next;
    if (empty > 0) { /* one empty bucket is a 0, several are one negative number */
        packed->length += put_count(packed->bytes + packed->length, empty == 1 ? 0 : -empty);
    }
    packed->length += put_count(packed->bytes + packed->length, (int64_t)count);
    packed->total += count;
    writer->next = slot + 1;
}

/* Room for so many used buckets, each with an empty run before it. */
static struct packed *make_room(size_t used)
{
    struct packed *packed = malloc(sizeof *packed + used * 2 * COUNT_BYTES_MAX);
    if (packed != NULL) {
        *packed = (struct packed){0};
    }
    return packed;
}

static struct packed *fit(struct packed *packed)
{
    struct packed *fitted = realloc(packed, sizeof *packed + packed->length);
    return fitted != NULL ? fitted : packed;
}

/* Reads what a writer wrote. */
struct cursor {
    const struct packed *packed;
    size_t at;
    uint32_t next;
    uint32_t slot; /* the used bucket that was read last; HISTOGRAM_SLOTS: there is none left */
    uint64_t count;
};

static void advance(struct cursor *cursor)
{
    const struct packed *packed = cursor->packed;
    while (cursor->at < packed->length && cursor->next < HISTOGRAM_SLOTS) {
        int64_t count = 0;
        size_t length = take_count(packed->bytes + cursor->at, packed->length - cursor->at, &count);
        if (length == 0) {
            break;
        }
        cursor->at += length;
        uint32_t slot = cursor->next;
        cursor->next += count < 0 ? (uint32_t)-count : 1;
        if (count > 0) {
            cursor->slot = slot;
            cursor->count = (uint64_t)count;
            return;
        }
    }
    cursor->slot = HISTOGRAM_SLOTS;
}

static struct cursor begin(const struct packed *packed)
{
    struct cursor cursor = {.packed = packed};
    advance(&cursor);
    return cursor;
}

/* The packed form of now - before (NULL: of now). */
static struct packed *pack(const struct histogram *now, const struct histogram *before)
{
    /* What was never reached is empty in both. */
    const uint32_t first = now->total > 0 ? histogram_slot_of(now->min) : 0;
    const uint32_t end = now->total > 0 ? histogram_slot_of(now->max) + 1 : 0;
    uint32_t used = 0, last = 0;
    for (uint32_t slot = first; slot < end; slot++) {
        if (now->counts[slot] != (before == NULL ? 0 : before->counts[slot])) {
            used++;
            last = slot;
        }
    }
    struct packed *packed = make_room(used);
    if (packed == NULL || used == 0) {
        return packed;
    }
    struct writer writer = {.packed = packed};
    packed->sum = now->sum - (before == NULL ? 0.0 : before->sum);
    for (uint32_t slot = first; slot <= last; slot++) {
        uint64_t count = now->counts[slot] - (before == NULL ? 0 : before->counts[slot]);
        if (count > 0) {
            packed->min = packed->total == 0 ? histogram_slot_low(slot) : packed->min;
            put(&writer, slot, count);
        }
    }
    /* Exact if it is the overall one: otherwise its bucket is known. */
    bool new_max = before == NULL || now->max > before->max;
    packed->max = new_max || now->max < histogram_slot_high(last) ? now->max : histogram_slot_high(last);
    packed->min = now->min > packed->min ? now->min : packed->min;
    packed->min = packed->min > 0 ? packed->min : 1;
    return fit(packed);
}

struct packed *packed_make(const struct histogram *histogram)
{
    return pack(histogram, NULL);
}

struct packed *packed_difference(const struct histogram *now, struct histogram *before)
{
    struct packed *packed = pack(now, before);
    if (packed != NULL && packed->total > 0) {
        uint32_t first = histogram_slot_of(now->min);
        size_t slots = histogram_slot_of(now->max) + 1 - first;
        memcpy(before, now, offsetof(struct histogram, counts));
        memcpy(&before->counts[first], &now->counts[first], slots * sizeof now->counts[0]);
    }
    return packed;
}

void packed_unpack(const struct packed *packed, struct histogram *into)
{
    if (packed->total == 0) {
        return;
    }
    for (struct cursor at = begin(packed); at.slot < HISTOGRAM_SLOTS; advance(&at)) {
        into->counts[at.slot] += at.count;
    }
    into->min = into->total == 0 || packed->min < into->min ? packed->min : into->min;
    into->max = packed->max > into->max ? packed->max : into->max;
    into->total += packed->total;
    into->sum += packed->sum;
}

struct packed *packed_sum(const struct packed *a, const struct packed *b)
{
    static const struct packed nothing = {0};
    a = a == NULL ? &nothing : a;
    b = b == NULL ? &nothing : b;
    struct packed *sum = make_room(a->length + b->length); /* a used bucket takes a byte at least */
    if (sum == NULL) {
        return NULL;
    }
    struct writer writer = {.packed = sum};
    struct cursor left = begin(a);
    struct cursor right = begin(b);
    while (left.slot < HISTOGRAM_SLOTS || right.slot < HISTOGRAM_SLOTS) {
        uint32_t slot = left.slot < right.slot ? left.slot : right.slot;
        uint64_t count = 0;
        if (left.slot == slot) {
            count += left.count;
            advance(&left);
        }
        if (right.slot == slot) {
            count += right.count;
            advance(&right);
        }
        put(&writer, slot, count);
    }
    sum->sum = a->sum + b->sum;
    sum->min = a->total == 0 || (b->total > 0 && b->min < a->min) ? b->min : a->min;
    sum->max = a->max > b->max ? a->max : b->max;
    return fit(sum);
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
