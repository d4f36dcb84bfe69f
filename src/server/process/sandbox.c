#include "server/process/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
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
#include "server/process/system_calls.h"
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
static int load(scmp_filter_ctx filter, int rc, struct option_error *error)
{
    if (filter == NULL) {
        return fail(error, "seccomp (switch it off with sandbox=no)");
    }
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
    return load(system_calls_filter(CALLS_OF_METRICS, SCMP_ARCH_NATIVE), 0, error);
}

static int filter_checker(struct option_error *error)
{
    return load(system_calls_filter(CALLS_OF_CHECKER, SCMP_ARCH_NATIVE), 0, error);
}

static int filter_system_calls(struct option_error *error)
{
    scmp_filter_ctx filter = system_calls_filter(CALLS_OF_WORKER, SCMP_ARCH_NATIVE);
    int rc = 0;
    if (filter != NULL) { /* abort(3), and nobody else's threads: other workers run as the same user */
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

/* What faces the world holds keys that no other process of its user may read either. Profile bench is there to be
 * measured, and its memory is read that way. (Who was root and became another user is hidden by the kernel.) */
static int hide(const struct config *config, struct option_error *error)
{
#ifdef SANITIZED
    (void)config; /* their leak check traces its own process */
    (void)error;
    return 0;
#else
    bool hidden = config->profile == PROFILE_EXPOSED && config->sandbox;
    return !hidden || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : fail(error, "prctl");
#endif
}

int sandbox_limit_master(const struct config *config, struct option_error *error)
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
    if (hide(config, error) != 0) {
        return -1;
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
    rlim_t most = (rlim_t)space_bytes;
    if (most != space_bytes) {
        most = RLIM_INFINITY; /* more than a 32-bit address space has */
    }
    struct rlimit space = {most, most};
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
    if (hide(config, error) != 0) {
        return -1;
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
    if (hide(config, error) != 0) { /* after the change of user, which shows it again where suid_dumpable says so */
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
