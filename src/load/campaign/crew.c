#include "load/campaign/crew.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define CODE_USAGE 2

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    (void)number;
    signalled++;
}

static void tell_all(const struct crew_member *members, size_t count, int number)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].running) {
            (void)kill(members[i].pid, number);
        }
    }
}

/* In a group of its own, so that a Ctrl-C reaches it once, through us; with no signal blocked. */
static int start(struct crew_member *member)
{
    static char name[] = "sshload";
    posix_spawnattr_t attributes;
    sigset_t none;
    char **argv = calloc(member->count + 2, sizeof *argv);
    if (argv == NULL) {
        return ENOMEM;
    }
    argv[0] = name;
    memcpy(argv + 1, member->words, member->count * sizeof *argv);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    int rc = posix_spawn(&member->pid, "/proc/self/exe", NULL, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    free(argv);
    member->running = rc == 0;
    member->code = -1;
    return rc;
}

static struct crew_member *find(struct crew_member *members, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].running && members[i].pid == pid) {
            return &members[i];
        }
    }
    return NULL;
}

/* Takes leave of whoever has ended; returns whether one of them never began. */
static bool reap(struct crew_member *members, size_t count, size_t *running)
{
    int status = 0;
    pid_t pid;
    bool failed = false;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct crew_member *member = find(members, count, pid);
        if (member != NULL) {
            member->running = false;
            member->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            failed = failed || member->code < 0 || member->code == CODE_USAGE;
            (*running)--;
        }
    }
    return failed;
}

int crew_run(struct crew_member *members, size_t count)
{
    const int watched[] = {SIGINT, SIGTERM, SIGCHLD};
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before[2];
    sigset_t set;
    sigset_t old;
    size_t running = 0;
    bool ended = false;
    signalled = 0;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++) {
        (void)sigaddset(&set, watched[i]);
    }
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, &before[0]);
    (void)sigaction(SIGTERM, &action, &before[1]);
    (void)sigprocmask(SIG_BLOCK, &set, &old); /* they are waited for, so that none comes between look and wait */
    for (size_t i = 0; i < count && !ended; i++) {
        int rc = start(&members[i]);
        running += rc == 0 ? 1 : 0;
        if (rc != 0) {
            (void)fprintf(stderr, "sshload: a run cannot be started: %s\n", strerror(rc));
            tell_all(members, count, SIGTERM);
            ended = true;
        }
    }
    while (running > 0) {
        int number = sigwaitinfo(&set, NULL);
        if (number == SIGINT || number == SIGTERM) {
            signalled++;
            tell_all(members, count, number);
        }
        if (reap(members, count, &running) && !ended) {
            tell_all(members, count, SIGTERM);
            ended = true;
        }
    }
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    (void)sigaction(SIGINT, &before[0], NULL);
    (void)sigaction(SIGTERM, &before[1], NULL);
    return signalled;
}
