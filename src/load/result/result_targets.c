#include "load/result/result_targets.h"

#include "load/tally/printable.h"
#include "sshecho/units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset;
} counts[] = {
    {"ok", offsetof(struct target_count, ok)},         {"echoes", offsetof(struct target_count, echoes)},
    {"bytes", offsetof(struct target_count, bytes)},   {"connects_up", offsetof(struct target_count, connects_up)},
    {"errors", offsetof(struct target_count, errors)},
};
#define COUNTS (sizeof counts / sizeof counts[0])

static uint64_t *count_at(struct target_count *target, size_t i)
{
    return (uint64_t *)(void *)((char *)target + counts[i].offset);
}

static json_t *real(double value)
{
    return json_real(isfinite(value) ? round(value * 1000.0) / 1000.0 : 0.0);
}

static json_t *latency_json(const struct histogram *h)
{
    struct result_figures f = result_figures_of(h);
    if (f.count == 0) {
        return json_pack("{s:i, s:n, s:n, s:n, s:n, s:n, s:n, s:n}", "count", 0, "p50", "p90", "p99", "p99_9", "max",
                         "mean", "histogram");
    }
    struct packed *packed = packed_make(h);
    char *text = packed == NULL ? NULL : packed_to_text(packed);
    json_t *all = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "count", (json_int_t)f.count, "p50",
                            real(f.p50), "p90", real(f.p90), "p99", real(f.p99), "p99_9", real(f.p99_9), "max",
                            real(f.max), "mean", real(f.mean), "histogram", text == NULL ? "" : text);
    free(text);
    free(packed);
    return all;
}

json_t *result_targets_json(const struct result *result)
{
    const struct by_target *all = &result->tally.by_target;
    if (all->count == 0) {
        return NULL;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < all->count; i++) {
        struct target_count *target = &all->items[i];
        json_t *entry = json_pack("{s:s}", "target", target->name);
        for (size_t c = 0; c < COUNTS; c++) {
            (void)json_object_set_new(entry, counts[c].name, json_integer((json_int_t)*count_at(target, c)));
        }
        (void)json_object_set_new(entry, "latency_us", latency_json(&target->latency));
        (void)json_array_append_new(list, entry);
    }
    return list;
}

static bool read_latency(json_t *document, struct histogram *h)
{
    json_t *count = json_object_get(document, "count");
    const char *text = json_string_value(json_object_get(document, "histogram"));
    json_t *max = json_object_get(document, "max");
    json_t *mean = json_object_get(document, "mean");
    if (!json_is_integer(count) || json_integer_value(count) < 0) {
        return false;
    }
    if (json_integer_value(count) == 0) {
        return text == NULL;
    }
    struct packed *packed = text == NULL ? NULL : packed_from_text(text);
    bool good = packed != NULL && packed->total == (uint64_t)json_integer_value(count) && json_is_number(max) &&
                json_is_number(mean) && json_number_value(mean) >= 0.0 && json_number_value(max) >= 0.0 &&
                json_number_value(max) <= (double)HISTOGRAM_MAX_VALUE;
    if (good) { /* the text knows the largest by its bucket only */
        int64_t largest = (int64_t)json_number_value(max);
        packed->max = histogram_slot_of(largest) == histogram_slot_of(packed->max) ? largest : packed->max;
        packed->sum = json_number_value(mean) * (double)packed->total;
        packed_unpack(packed, h);
    }
    free(packed);
    return good;
}

int result_targets_read(struct by_target *all, json_t *document)
{
    size_t count = json_array_size(document);
    *all = (struct by_target){0};
    if (document == NULL) {
        return 0;
    }
    if (!json_is_array(document) || count < 2 || count > BY_TARGET_MOST || by_target_init(all, count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        json_t *entry = json_array_get(document, i);
        struct target_count *target = &all->items[i];
        const char *name = json_string_value(json_object_get(entry, "target"));
        if (name == NULL) {
            return -1;
        }
        (void)printable_copy(target->name, sizeof target->name, name);
        for (size_t c = 0; c < COUNTS; c++) {
            json_t *value = json_object_get(entry, counts[c].name);
            if (!json_is_integer(value) || json_integer_value(value) < 0) {
                return -1;
            }
            *count_at(target, c) = (uint64_t)json_integer_value(value);
        }
        if (!read_latency(json_object_get(entry, "latency_us"), &target->latency)) {
            return -1;
        }
    }
    return 0;
}

void result_targets_print(const struct result *result, FILE *out)
{
    const struct by_target *all = &result->tally.by_target;
    char text[32];
    if (all->count == 0) {
        return;
    }
    (void)fprintf(out, "\n%-32s %10s %10s %10s %9s %9s %9s %8s\n", "By target", "sessions", "echoes/s", "MB/s", "p50",
                  "p99", "max", "errors");
    double seconds = result->seconds > 0.0 ? result->seconds : INFINITY;
    for (size_t i = 0; i < all->count; i++) {
        const struct target_count *target = &all->items[i];
        struct result_figures f = result_figures_of(&target->latency);
        const double figures[] = {f.p50, f.p99, f.max};
        (void)fprintf(out, "  %-30s %10llu %10.1f %10.2f", target->name, (unsigned long long)target->connects_up,
                      (double)target->echoes / seconds, (double)target->bytes / 1e6 / seconds);
        for (size_t p = 0; p < sizeof figures / sizeof figures[0]; p++) {
            (void)fprintf(out, " %9s", f.count == 0 ? "-" : units_human_duration(text, sizeof text, figures[p]));
        }
        (void)fprintf(out, " %8llu\n", (unsigned long long)target->errors);
    }
}
