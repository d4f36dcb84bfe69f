/*
 * Preloaded into sshechod by test_faults.py: lets system calls and allocations fail by plan.
 *
 *   FAULT_ACCEPT=ERRNO   every other accept4 fails with this error (the connection stays in the queue)
 *   FAULT_MALLOC=N       one malloc, calloc or realloc in N fails while the switch is not 0, in processes that have
 * begun to accept connections: a worker has to be up before it can be hurt FAULT_CLOCK=1        the wall clock is off
 * by as many seconds as the switch says; the monotonic clock is right FAULT_SWITCH=FILE    holds the switch, one long,
 * mapped into memory: no system call that a sandbox could mind
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static int armed; /* this process has called accept4 */
static unsigned dice;
static int malloc_every; /* 0: never */
static int clock_steps;
static volatile long *fault_switch; /* NULL: no switch */

static const struct {
    const char *name;
    int number;
} errors[] = {{"ECONNABORTED", ECONNABORTED},
              {"EPROTO", EPROTO},
              {"ENETDOWN", ENETDOWN},
              {"ENOBUFS", ENOBUFS},
              {"EMFILE", EMFILE},
              {"EPERM", EPERM},
              {"EINTR", EINTR}};

__attribute__((constructor)) static void start(void)
{
    const char *every = getenv("FAULT_MALLOC");
    const char *path = getenv("FAULT_SWITCH");
    clock_steps = getenv("FAULT_CLOCK") != NULL;
    if (path != NULL) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *map = fd >= 0 ? mmap(NULL, sizeof *fault_switch, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
        fault_switch = map == MAP_FAILED ? NULL : map;
        (void)close(fd);
    }
    malloc_every = every != NULL ? atoi(every) : 0;
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    static int (*real)(int, struct sockaddr *, socklen_t *, int);
    static unsigned turn;
    const char *wanted = getenv("FAULT_ACCEPT");
    if (real == NULL) {
        real = (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
    }
    if (!armed) {
        armed = 1;
        dice = (unsigned)getpid();
    }
    if (wanted != NULL && turn++ % 2 == 0) {
        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
            if (strcmp(errors[i].name, wanted) == 0) {
                errno = errors[i].number;
                return -1;
            }
        }
    }
    return real(fd, address, length, flags);
}

/* Whether this allocation is to fail. */
static int unlucky(void)
{
    if (malloc_every == 0 || !armed || fault_switch == NULL || *fault_switch == 0) {
        return 0;
    }
    dice = dice * 1664525U + 1013904223U;
    return (dice >> 8) % (unsigned)malloc_every == 0;
}

void *malloc(size_t size)
{
    if (unlucky()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    if (unlucky()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    if (unlucky()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(old, size);
}

static long offset_seconds(void)
{
    return clock_steps && fault_switch != NULL ? *fault_switch : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int rc = real(clock, out);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        out->tv_sec += offset_seconds();
    }
    return rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
