/* Time for a fuzz target that drives a server: while it is driven, the clock goes on by a little each time that
 * somebody looks and by what the input says. So a run of an input is always the same, and hours cost nothing. The
 * fuzzer itself keeps the real clock, in its alarm too, which comes in the middle of an input to see whether that one
 * takes too long. To be included once. */
#ifndef FUZZ_CLOCK_H
#define FUZZ_CLOCK_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FUZZ_CLOCK_LOOK_NS 200
#define FUZZ_CLOCK_WALL_S 1700000000 /* what the wall clock is ahead of the monotonic one */

static uint64_t fuzz_clock_ns = UINT64_C(1000000000000);
static bool fuzz_clock_is_ours;

int clock_gettime(clockid_t clock, struct timespec *at)
{
    if (!fuzz_clock_is_ours) {
        return (int)syscall(SYS_clock_gettime, clock, at);
    }
    fuzz_clock_ns += FUZZ_CLOCK_LOOK_NS;
    bool is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    at->tv_sec = (time_t)(fuzz_clock_ns / 1000000000) + (is_wall ? FUZZ_CLOCK_WALL_S : 0);
    at->tv_nsec = (long)(fuzz_clock_ns % 1000000000);
    return 0;
}

static void (*fuzz_clock_alarm)(int, siginfo_t *, void *);

static void fuzz_clock_on_alarm(int number, siginfo_t *info, void *context)
{
    bool was_ours = fuzz_clock_is_ours;
    fuzz_clock_is_ours = false;
    fuzz_clock_alarm(number, info, context);
    fuzz_clock_is_ours = was_ours;
}

/* Before each input; the fuzzer sets its alarm before the first. */
static void fuzz_clock_guard_alarm(void)
{
    struct sigaction action;
    if (sigaction(SIGALRM, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) != 0 &&
        action.sa_sigaction != fuzz_clock_on_alarm) {
        fuzz_clock_alarm = action.sa_sigaction;
        action.sa_sigaction = fuzz_clock_on_alarm;
        (void)sigaction(SIGALRM, &action, NULL);
    }
}

static void fuzz_clock_pass_us(uint64_t us)
{
    fuzz_clock_ns += us * 1000;
}

#endif
