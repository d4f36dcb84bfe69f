/*
 * pressure.h - room: how much of the machine a thread of the generator got, and how much it needed.
 *
 * Measured over the measurement: CPU time, in all and in its busiest tenth of a second; time spent runnable but waiting
 * for a CPU; what a control group or a hypervisor took away. Where the loop never sleeps (--spin), it knows what of the
 * CPU time was only waiting. Owned by the thread that it measures; reads /proc and /sys at begin and end.
 */
#ifndef LOAD_WATCH_PRESSURE_H
#define LOAD_WATCH_PRESSURE_H

#include "load/tally/tally.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

/* At one instant; a counter that the system does not have stays 0. */
struct pressure_sample {
    int64_t wall_ns, cpu_ns, spin_ns;
    int64_t run_delay_ns;                /* runnable, and not running */
    int64_t throttled_ns;                /* the control group had used up its quota */
    uint64_t stolen_ticks, of_all_ticks; /* of the whole machine */
};

struct pressure {
    ev_idle spin;
    struct ev_loop *loop;
    unsigned spin_iteration; /* of the loop, when the last idle turn was */
    int64_t spin_last_ns, spin_ns;
    struct pressure_sample from, last;
    uint64_t windows, busy_windows;
    double busiest;
};

void pressure_init(struct pressure *pressure, struct ev_loop *loop);
/* From now on the loop never sleeps, and that is no work; until pressure_end. */
void pressure_spin(struct pressure *pressure);

void pressure_begin(struct pressure *pressure);
/* Every now and then; makes a window of what has passed if that is a tenth of a second or more. */
void pressure_look(struct pressure *pressure);
/* Notes all of it in the tally. */
void pressure_end(struct pressure *pressure, struct tally *tally);

#endif
