/*
 * slots.h - room: how many connect at once, over all threads.
 *
 * A cap that the threads of a run share: who wants to begin a handshake takes a slot, and gives it back when it is
 * settled. Who gets none is told when one has come free. Lock-free; owns its counters and nothing else.
 */
#ifndef LOAD_DRIVE_SLOTS_H
#define LOAD_DRIVE_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct slots {
    _Atomic int64_t free;
    _Atomic bool *wanting; /* [threads]: has asked in vain */
    unsigned threads;
    void (*came_free)(unsigned thread, void *data); /* from any thread */
    void *data;
};

/* most 0: no cap. 0, or -1 out of memory. */
int slots_init(struct slots *slots, uint64_t most, unsigned threads, void (*came_free)(unsigned thread, void *data),
               void *data);
void slots_destroy(struct slots *slots);

/* False: none is free, and this thread is told when one may be. */
bool slots_take(struct slots *slots, unsigned thread);
void slots_give(struct slots *slots, unsigned thread);
/* Who has been told, and has taken what it still wants, passes on what is left: it may have got its slot otherwise
 * meanwhile, and nobody else has been told of this one. */
void slots_told(struct slots *slots, unsigned thread);

#endif
