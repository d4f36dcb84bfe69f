/*
 * Preloaded into sshechod by test/system/test_faults.py: lets exactly one allocation of a worker fail.
 *
 *   FAULT_PLAN=FILE   holds struct plan, shared with the test by mmap: no system call that a sandbox could mind
 *
 * The test arms it with N: of the workers' next allocations (malloc, calloc, realloc), the Nth fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

struct plan {
    _Atomic int64_t left;     /* allocations until one fails; 0: not armed */
    _Atomic int64_t failures; /* how often that has happened */
};

static pid_t master; /* the process that main() began in: its children are the workers */
static struct plan *plan;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FAULT_PLAN");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0) {
        (void)close(fd);
    }
    master = getpid();
    plan = map != MAP_FAILED ? map : NULL;
}

static int is_the_one(void)
{
    if (plan == NULL || atomic_load(&plan->left) == 0 || getpid() == master || atomic_fetch_sub(&plan->left, 1) != 1) {
        return 0;
    }
    atomic_fetch_add(&plan->failures, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return is_the_one() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return is_the_one() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return is_the_one() ? NULL : __libc_realloc(old, size);
}
