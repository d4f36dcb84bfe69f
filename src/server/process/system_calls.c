#include "server/process/system_calls.h"

#ifdef HAVE_SECCOMP
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#define W CALLS_OF_WORKER
#define M CALLS_OF_METRICS
#define C CALLS_OF_CHECKER

/* A worker: its clients' sockets, its loop, memory, time, randomness, the log. Metrics: its own sockets and memory.
 * The checker of passwords: one socket, and memory. No file system, no processes, no new sockets but accepted ones. */
const struct system_call_need system_call_needs[] = {
    {W | M, {"accept4", "accept"}},
    {W | M, {"close"}},
    {W | M | C, {"read"}},
    {W | M | C, {"write"}},
    {W | M, {"writev"}},
    {W | M | C, {"recvfrom", "recv"}},
    {W | M, {"recvmsg"}},
    {W | M | C, {"sendto", "send"}},
    {W | M, {"sendmsg"}},
    {W | M, {"shutdown"}},
    {W | M, {"setsockopt"}},
    {W | M, {"getsockopt"}},
    {W | M, {"getsockname"}},
    {W | M, {"getpeername"}},
    {W | M, {"fcntl", "fcntl64"}},
    {W | M, {"poll", "ppoll", "ppoll_time64"}},
    {W | M, {"epoll_wait", "epoll_pwait"}},
    {W | M, {"epoll_ctl"}},
    /* libev makes a new set when the old one reports a socket that it has closed: a listening one lives on in others */
    {W, {"epoll_create1", "epoll_create"}},
    {W, {"timerfd_settime", "timerfd_settime64"}},
    {W | M | C, {"clock_gettime", "clock_gettime64"}},
    {W, {"clock_nanosleep", "clock_nanosleep_time64", "nanosleep"}},
    {W | M, {"gettimeofday", "time", "clock_gettime", "clock_gettime64"}},
    {W | C, {"getrandom"}},
    {W | M | C, {"getpid"}},
    {W, {"getppid"}}, /* whether the master is still there */
    {W | M | C, {"gettid"}},
    {W | M | C, {"futex", "futex_time64"}},
    {W | M | C, {"brk"}},
    {W | M | C, {"munmap"}},
    {W | M | C, {"mremap"}},
    {W | M | C, {"madvise"}},
    {W | M | C, {"rt_sigreturn", "sigreturn"}},
    {W | M | C, {"rt_sigprocmask"}},
    {W | C, {"rt_sigaction"}},
    {W, {"sigaltstack"}},
    {W | M | C, {"restart_syscall"}},
    {W | M | C, {"exit"}},
    {W | M | C, {"exit_group"}},
    {W | M, {"fstat", "fstat64", "newfstatat", "fstatat64", "statx"}},
    {0, {NULL}},
};

/* Asked for first by some libc, which then takes an older way. */
static const char *const done_without[] = {
    "statx",     "clone3",           "rseq",        "faccessat2", "openat2",    "epoll_pwait2",    "close_range",
    "fchmodat2", "map_shadow_stack", "futex_waitv", "membarrier", "pidfd_open", "set_robust_list",
};

static bool is_needed(enum system_call_user user, const char *name)
{
    for (const struct system_call_need *need = system_call_needs; need->users != 0; need++) {
        for (size_t i = 0; (need->users & user) != 0 && i < SYSTEM_CALL_FORMS && need->forms[i] != NULL; i++) {
            if (strcmp(need->forms[i], name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int add(scmp_filter_ctx filter, uint32_t action, const char *name)
{
    int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR) {
        return 0; /* newer than this libseccomp */
    }
    int rc = seccomp_rule_add(filter, action, call, 0);
    return rc == -EDOM || rc == -EINVAL || rc == -EEXIST ? 0 : rc; /* not a call of this architecture; already there */
}

/* Memory, but never executable. */
static int add_mapping(scmp_filter_ctx filter, const char *name)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)PROT_EXEC, 0));
    return rc == -EDOM || rc == -EINVAL ? 0 : rc;
}

static int add_memory(scmp_filter_ctx filter, enum system_call_user user, uint32_t architecture)
{
    uint32_t machine = architecture == SCMP_ARCH_NATIVE ? seccomp_arch_native() : architecture;
    int rc = 0;
    if (machine == SCMP_ARCH_S390X || machine == SCMP_ARCH_S390) {
        rc = add(filter, SCMP_ACT_ALLOW, "mmap"); /* its one argument points to the real ones: nothing to look at */
    } else if (machine != SCMP_ARCH_X86) {        /* that one's mmap is as s390x's, and libc uses mmap2 */
        rc = add_mapping(filter, "mmap");
    }
    if (rc == 0) {
        rc = add_mapping(filter, "mmap2");
    }
    if (rc == 0 && user == CALLS_OF_WORKER) { /* the others have pages that stay read-only */
        rc = add_mapping(filter, "mprotect");
    }
    return rc;
}

scmp_filter_ctx system_calls_filter(enum system_call_user user, uint32_t architecture)
{
    int rc = 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) {
        return NULL;
    }
    if (architecture != SCMP_ARCH_NATIVE && architecture != seccomp_arch_native() &&
        ((rc = seccomp_arch_remove(filter, SCMP_ARCH_NATIVE)) != 0 || /* first: byte orders do not mix */
         (rc = seccomp_arch_add(filter, architecture)) != 0)) {
        goto out;
    }
    for (const struct system_call_need *need = system_call_needs; need->users != 0 && rc == 0; need++) {
        for (size_t i = 0; (need->users & user) != 0 && i < SYSTEM_CALL_FORMS && need->forms[i] != NULL && rc == 0;
             i++) {
            rc = add(filter, SCMP_ACT_ALLOW, need->forms[i]);
        }
    }
    if (rc == 0) {
        rc = add_memory(filter, user, architecture);
    }
    for (size_t i = 0; rc == 0 && i < sizeof done_without / sizeof done_without[0]; i++) {
        if (!is_needed(user, done_without[i])) {
            rc = add(filter, SCMP_ACT_ERRNO(ENOSYS), done_without[i]);
        }
    }
out:
    if (rc != 0) {
        seccomp_release(filter);
        errno = -rc;
        return NULL;
    }
    return filter;
}
#endif
