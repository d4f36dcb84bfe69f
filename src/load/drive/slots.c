#include "load/drive/slots.h"

#include <stdlib.h>

int slots_init(struct slots *slots, uint64_t most, unsigned threads, void (*came_free)(unsigned thread, void *data),
               void *data)
{
    *slots = (struct slots){.threads = threads, .came_free = came_free, .data = data};
    atomic_init(&slots->free, most == 0 ? INT64_MAX / 2 : (int64_t)most);
    slots->wanting = calloc(threads, sizeof *slots->wanting);
    return slots->wanting == NULL ? -1 : 0;
}

void slots_destroy(struct slots *slots)
{
    free(slots->wanting);
    slots->wanting = NULL;
}

static bool take(struct slots *slots)
{
    int64_t have = atomic_load(&slots->free);
    while (have > 0) {
        if (atomic_compare_exchange_weak(&slots->free, &have, have - 1)) {
            return true;
        }
    }
    return false;
}

bool slots_take(struct slots *slots, unsigned thread)
{
    if (take(slots)) {
        return true;
    }
    atomic_store(&slots->wanting[thread], true); /* before the second look, so that none can come free unseen */
    if (!take(slots)) {
        return false;
    }
    atomic_store(&slots->wanting[thread], false);
    return true;
}

static void tell_next(struct slots *slots, unsigned thread)
{
    for (unsigned i = 1; i <= slots->threads; i++) { /* the others first, in turn */
        unsigned next = (thread + i) % slots->threads;
        if (atomic_exchange(&slots->wanting[next], false)) {
            slots->came_free(next, slots->data);
            return;
        }
    }
}

void slots_give(struct slots *slots, unsigned thread)
{
    (void)atomic_fetch_add(&slots->free, 1);
    tell_next(slots, thread);
}

void slots_told(struct slots *slots, unsigned thread)
{
    if (atomic_load(&slots->free) > 0) {
        tell_next(slots, thread);
    }
}
