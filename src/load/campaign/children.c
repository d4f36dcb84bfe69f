#include "load/campaign/children.h"

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

static void tell_all(const struct child_run *runs, size_t count, int number)
{
    for (size_t i = 0; i < count; i++) {
        if (runs[i].running) {
            (void)kill(runs[i].pid, number);
        }
    }
}

/* In a group of its own, so that a Ctrl-C reaches it once, through us; with no signal blocked. */
static int start(struct child_run *run)
{
    static char name[] = "sshload";
    posix_spawnattr_t attributes;
    sigset_t none;
    char **argv = calloc(run->count + 2, sizeof *argv);
    if (argv == NULL) {
        return ENOMEM;
    }
    argv[0] = name;
    memcpy(argv + 1, run->words, run->count * sizeof *argv);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    int rc = posix_spawn(&run->pid, "/proc/self/exe", NULL, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    free(argv);
    run->running = rc == 0;
    run->code = -1;
    return rc;
}

static struct child_run *find(struct child_run *runs, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (runs[i].running && runs[i].pid == pid) {
            return &runs[i];
        }
    }
    return NULL;
}

/* Takes leave of whoever has ended; returns whether one of them never began. */
static bool reap(struct child_run *runs, size_t count, size_t *running)
{
    int status = 0;
    pid_t pid;
    bool failed = false;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child_run *run = find(runs, count, pid);
        if (run != NULL) {
            run->running = false;
            run->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            failed = failed || run->code < 0 || run->code == CODE_USAGE;
            (*running)--;
        }
    }
    return failed;
}

int children_run(struct child_run *runs, size_t count)
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
        int rc = start(&runs[i]);
        running += rc == 0 ? 1 : 0;
        if (rc != 0) {
            (void)fprintf(stderr, "sshload: a run cannot be started: %s\n", strerror(rc));
            tell_all(runs, count, SIGTERM);
            ended = true;
        }
    }
    while (running > 0) {
        int number = sigwaitinfo(&set, NULL);
        if (number == SIGINT || number == SIGTERM) {
            signalled++;
            tell_all(runs, count, number);
        }
        if (reap(runs, count, &running) && !ended) {
            tell_all(runs, count, SIGTERM);
            ended = true;
        }
    }
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    (void)sigaction(SIGINT, &before[0], NULL);
    (void)sigaction(SIGTERM, &before[1], NULL);
    return signalled;
}
