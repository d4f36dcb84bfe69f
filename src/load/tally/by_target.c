#include "load/tally/by_target.h"

#include <stdlib.h>
#include <string.h>

int by_target_init(struct by_target *all, size_t count)
{
    *all = (struct by_target){0};
    if (count < 2 || count > BY_TARGET_MOST) {
        return 0;
    }
    all->items = calloc(count, sizeof *all->items);
    if (all->items == NULL) {
        return -1;
    }
    all->count = count;
    for (size_t i = 0; i < count; i++) {
        histogram_reset(&all->items[i].latency);
    }
    return 0;
}

void by_target_free(struct by_target *all)
{
    free(all->items);
    *all = (struct by_target){0};
}

static bool are_same(const struct by_target *a, const struct by_target *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->items[i].name, b->items[i].name) == 0;
    }
    return same;
}

int by_target_merge(struct by_target *into, const struct by_target *from)
{
    if (!are_same(into, from)) {
        by_target_free(into);
        return 0;
    }
    for (size_t i = 0; i < from->count; i++) {
        struct target_count *target = &into->items[i];
        const struct target_count *more = &from->items[i];
        target->ok += more->ok;
        target->echoes += more->echoes;
        target->bytes += more->bytes;
        target->connects_up += more->connects_up;
        target->errors += more->errors;
        histogram_merge(&target->latency, &more->latency);
    }
    return 0;
}
