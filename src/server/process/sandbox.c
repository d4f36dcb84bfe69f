#include "server/process/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* the sanitizers' own system calls are another program's */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(HAVE_SECCOMP) && !defined(SANITIZED)
#include <seccomp.h>
#define USE_SECCOMP 1
#endif

/* Of the process that serves metrics: its clients, and a few of its own. */
#define METRICS_FDS 64

static int fail(struct option_error *error, const char *what)
{
    (void)option_fail(error, NULL, "sandbox", "%s: %s", what, strerror(errno));
    return -1;
}

int sandbox_check(const struct config *config, struct option_error *error)
{
    if (geteuid() == 0 && config->user != NULL && getpwnam(config->user) == NULL) {
        (void)option_fail(error, NULL, "user", "there is no user \"%s\" to run workers as", config->user);
        return -1;
    }
    return 0;
}

static int drop_root(const char *name, struct option_error *error)
{
    if (geteuid() != 0 || name == NULL) {
        return 0;
    }
    const struct passwd *user = getpwnam(name);
    if (user == NULL) {
        errno = ENOENT;
        return fail(error, name);
    }
    if (setgroups(0, NULL) != 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0) {
        return fail(error, "cannot become the user of workers and metrics");
    }
    return 0;
}

#ifdef USE_SECCOMP
/* What a worker does once it runs: its clients' sockets, its loop, memory, time, randomness, the log. No file system,
 * no processes, no new sockets but accepted ones. Anything else fails with EPERM: a call of libc's that we did not
 * foresee must not cost every client its session, and whoever has taken a worker over gets as little from an error as
 * from a signal. */
static const int allowed_calls[] = {
    SCMP_SYS(accept4),
    SCMP_SYS(close),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(fcntl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    /* libev makes a new set when the old one reports a socket that it has closed: a listening one lives on in others */
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(futex),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
};

/* What answering a scrape needs: its own sockets and memory, nothing that makes or opens anything. */
static const int metrics_calls[] = {
    SCMP_SYS(accept4),        SCMP_SYS(accept),          SCMP_SYS(close),        SCMP_SYS(read),
    SCMP_SYS(write),          SCMP_SYS(writev),          SCMP_SYS(recvfrom),     SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),         SCMP_SYS(sendmsg),         SCMP_SYS(shutdown),     SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),     SCMP_SYS(getsockname),     SCMP_SYS(getpeername),  SCMP_SYS(fcntl),
    SCMP_SYS(poll),           SCMP_SYS(ppoll),           SCMP_SYS(epoll_wait),   SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),      SCMP_SYS(clock_gettime),   SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(getpid),         SCMP_SYS(gettid),          SCMP_SYS(futex),        SCMP_SYS(brk),
    SCMP_SYS(munmap),         SCMP_SYS(mremap),          SCMP_SYS(madvise),      SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall), SCMP_SYS(exit),         SCMP_SYS(exit_group),
    SCMP_SYS(fstat),          SCMP_SYS(newfstatat),
};

/* What computing a password hash needs: the one socket, and memory. */
static const int checker_calls[] = {
    SCMP_SYS(recvfrom),        SCMP_SYS(sendto),       SCMP_SYS(read),           SCMP_SYS(write),
    SCMP_SYS(clock_gettime),   SCMP_SYS(getrandom),    SCMP_SYS(getpid),         SCMP_SYS(gettid),
    SCMP_SYS(futex),           SCMP_SYS(brk),          SCMP_SYS(munmap),         SCMP_SYS(mremap),
    SCMP_SYS(madvise),         SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit),         SCMP_SYS(exit_group),
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (rc == -EDOM || rc == -EINVAL) {
            rc = 0; /* not a call of this architecture */
        }
    }
    return rc;
}

/* Memory, but never executable. */
static int allow_mapping(scmp_filter_ctx filter, int call)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)PROT_EXEC, 0));
}

static int load(scmp_filter_ctx filter, int rc, struct option_error *error)
{
    if (rc == 0) {
        rc = seccomp_load(filter);
    }
    seccomp_release(filter);
    if (rc != 0) {
        errno = -rc;
        return fail(error, "seccomp (switch it off with sandbox=no)");
    }
    return 0;
}

static int filter_metrics(struct option_error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter == NULL ? -ENOMEM : allow(filter, metrics_calls, sizeof metrics_calls / sizeof metrics_calls[0]);
    if (rc == 0) { /* no mprotect: the scoreboard stays read-only */
        rc = allow_mapping(filter, SCMP_SYS(mmap));
    }
    return load(filter, rc, error);
}

static int filter_checker(struct option_error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter == NULL ? -ENOMEM : allow(filter, checker_calls, sizeof checker_calls / sizeof checker_calls[0]);
    if (rc == 0) {
        rc = allow_mapping(filter, SCMP_SYS(mmap));
    }
    return load(filter, rc, error);
}

static int filter_system_calls(struct option_error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter == NULL ? -ENOMEM : allow(filter, allowed_calls, sizeof allowed_calls / sizeof allowed_calls[0]);
    if (rc == 0) {
        rc = allow_mapping(filter, SCMP_SYS(mmap));
    }
    if (rc == 0) {
        rc = allow_mapping(filter, SCMP_SYS(mprotect));
    }
    if (rc == 0) { /* abort(3), and nobody else's threads: other workers run as the same user */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)); /* the 0: for clang, which misses it */
    }
    return load(filter, rc, error);
}
#else
static int filter_system_calls(struct option_error *error)
{
    (void)error;
    return 0;
}
static int filter_metrics(struct option_error *error)
{
    (void)error;
    return 0;
}
static int filter_checker(struct option_error *error)
{
    (void)error;
    return 0;
}
#endif

int sandbox_limit_master(struct option_error *error)
{
    static const unsigned kept[] = {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL,
                                    CAP_SETGID,       CAP_SETUID,          CAP_NET_BIND_SERVICE};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];
    uint32_t mask[_LINUX_CAPABILITY_U32S_3] = {0};
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) { /* host keys must not end up in a core file */
        return fail(error, "setrlimit");
    }
    if (geteuid() != 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        mask[CAP_TO_INDEX(kept[i])] |= CAP_TO_MASK(kept[i]);
    }
    if (syscall(SYS_capget, &header, now) != 0) {
        return fail(error, "capget");
    }
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        now[i].permitted &= mask[i];
        now[i].effective &= mask[i];
        now[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, now) != 0) {
        return fail(error, "capset");
    }
    return 0;
}

/* Of root nothing stays, also where no user is named. */
static int drop_capabilities(struct option_error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = {{0}};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    bool any = syscall(SYS_capget, &header, has) != 0;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        any = any || has[i].permitted != 0 || has[i].effective != 0 || has[i].inheritable != 0;
    }
    if (!any) { /* a service manager that has taken them may have forbidden the call as well */
        return 0;
    }
    return syscall(SYS_capset, &header, none) == 0 ? 0 : fail(error, "capset");
}

/* Becomes `user` if we are root; is sent `farewell` when the master ends, also by one that has ended already. */
static int become_nobody(const char *user, pid_t master, int farewell, struct option_error *error)
{
    if (drop_root(user, error) != 0 || drop_capabilities(error) != 0) {
        return -1;
    }
    /* Set here, because changing the user clears it. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, farewell, 0, 0, 0) != 0) {
        return fail(error, "prctl");
    }
    if (getppid() != master) { /* it went before we asked to be told */
        (void)raise(farewell);
    }
    return 0;
}

static int limit_memory(const struct config *config, struct option_error *error)
{
    struct rlimit none = {0, 0};
#ifdef SANITIZED
    uint64_t space_bytes = 0; /* their shadow memory alone is terabytes of address space */
    (void)config;
#else
    uint64_t space_bytes = config->address_space_bytes;
#endif
    struct rlimit space = {space_bytes, space_bytes};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || (space_bytes != 0 && setrlimit(RLIMIT_AS, &space) != 0)) {
        return fail(error, "setrlimit");
    }
    return 0;
}

int sandbox_drop_root(const struct config *config, struct option_error *error)
{
    return drop_root(config->user, error) != 0 || drop_capabilities(error) != 0 ? -1 : 0;
}

int sandbox_enter_checker(const struct config *config, struct option_error *error)
{
    if (limit_memory(config, error) != 0) {
        return -1;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail(error, "prctl");
    }
    return config->sandbox ? filter_checker(error) : 0;
}

int sandbox_enter(const struct config *config, pid_t master, struct option_error *error)
{
    if (limit_memory(config, error) != 0) {
        return -1;
    }
    if (become_nobody(config->user, master, SIGTERM, error) != 0) { /* without a master it drains and goes */
        return -1;
    }
    return config->sandbox ? filter_system_calls(error) : 0;
}

int sandbox_enter_metrics(const char *user, bool filter, pid_t master, struct option_error *error)
{
    struct rlimit none = {0, 0}, few = {METRICS_FDS, METRICS_FDS};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_NOFILE, &few) != 0) {
        return fail(error, "setrlimit");
    }
    /* It ignores what is meant for the master, and must not keep the port from the next one. */
    if (become_nobody(user, master, SIGKILL, error) != 0) {
        return -1;
    }
    return filter ? filter_metrics(error) : 0;
}
