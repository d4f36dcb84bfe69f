#include "server/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int fail(struct option_error *error, const char *what)
{
    (void)snprintf(error->text, sizeof error->text, "sandbox: %s: %s", what, strerror(errno));
    return -1;
}

int sandbox_check(const struct config *config, struct option_error *error)
{
    if (geteuid() == 0 && config->user != NULL && getpwnam(config->user) == NULL) {
        (void)snprintf(error->text, sizeof error->text, "user: there is no user \"%s\" to run workers as",
                       config->user);
        return -1;
    }
    return 0;
}

static int drop_root(const struct config *config, struct option_error *error)
{
    if (geteuid() != 0 || config->user == NULL) {
        return 0;
    }
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL) {
        errno = ENOENT;
        return fail(error, config->user);
    }
    if (setgroups(0, NULL) != 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0) {
        return fail(error, "cannot become the user of the workers");
    }
    return 0;
}

int sandbox_enter(const struct config *config, struct option_error *error)
{
    struct rlimit none = {0, 0};
    struct rlimit space = {config->address_space_bytes, config->address_space_bytes};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || (config->address_space_bytes != 0 && setrlimit(RLIMIT_AS, &space) != 0)) {
        return fail(error, "setrlimit");
    }
    if (drop_root(config, error) != 0) {
        return -1;
    }
    /* A worker without a master drains and goes; set here, because changing the user clears it. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0) {
        return fail(error, "prctl");
    }
    return 0;
}
