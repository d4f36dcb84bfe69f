/*
 * Preloaded into sshechod by test/system/test_unseen_calls.py: sees calls that leave no trace outside.
 *
 *   OBSERVED=FILE   holds struct seen, shared with the test by mmap: no system call that a sandbox could mind
 *
 * While `lonely` is set, a child that asks to be told of its parent's end leaves its pid in `waits` and does not get to
 * ask before the parent has ended.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct seen {
    _Atomic int64_t trims; /* calls of malloc_trim */
    _Atomic int64_t lonely, waits;
    _Atomic int64_t
        put_off_bytes; /* free in blocks that glibc had not joined with their neighbours: the most at a trim */
    _Atomic int64_t trimmed_bytes; /* the most that one trim has handed back, without a sandbox */
};

static struct seen *seen;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("OBSERVED");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0) {
        (void)close(fd);
    }
    seen = map != MAP_FAILED ? map : NULL;
}

static int64_t resident_bytes(void)
{
    char text[64] = "";
    long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!read(fd, text, sizeof text - 1);
        (void)close(fd);
    }
    (void)sscanf(text, "%*d %ld", &pages);
    return (int64_t)pages * getpagesize();
}

static void note_most(_Atomic int64_t *most, int64_t value)
{
    if (value > atomic_load(most)) {
        atomic_store(most, value);
    }
}

int malloc_trim(size_t pad)
{
    static int (*real)(size_t);
    if (real == NULL) {
        real = (int (*)(size_t))dlsym(RTLD_NEXT, "malloc_trim");
    }
    if (seen == NULL) {
        return real(pad);
    }
    atomic_fetch_add(&seen->trims, 1);
    note_most(&seen->put_off_bytes, (int64_t)mallinfo2().fsmblks);
    int64_t before = resident_bytes();
    int result = real(pad);
    note_most(&seen->trimmed_bytes, before - resident_bytes());
    return result;
}

static void lose_parent(void)
{
    pid_t parent = getppid();
    atomic_store(&seen->waits, getpid());
    while (getppid() == parent) {
        (void)usleep(1000);
    }
}

int prctl(int option, ...)
{
    static int (*real)(int, ...);
    unsigned long word[4];
    va_list words;
    va_start(words, option);
    for (int i = 0; i < 4; i++) {
        word[i] = va_arg(words, unsigned long);
    }
    va_end(words);
    if (real == NULL) {
        real = (int (*)(int, ...))dlsym(RTLD_NEXT, "prctl");
    }
    if (option == PR_SET_PDEATHSIG && seen != NULL && atomic_load(&seen->lonely) != 0) {
        lose_parent();
    }
    return real(option, word[0], word[1], word[2], word[3]);
}
