#include "load/campaign/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sshecho/clock.h"

#define CODE_USAGE 2
#define CODE_NOT_RUN 126 /* a shell: and 127, and 255 of ssh */

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    (void)number;
    signalled++;
}

static void close_input(struct child_run *run)
{
    if (run->foreign && run->input >= 0) {
        (void)close(run->input);
        run->input = -1;
    }
}

static void tell_all(struct child_run *runs, size_t count, int number)
{
    for (size_t i = 0; i < count; i++) {
        bool by_input = runs[i].foreign && runs[i].input >= 0 && number != SIGKILL;
        close_input(&runs[i]);
        if (runs[i].running && !by_input) {
            (void)kill(runs[i].pid, number);
        }
    }
}

/* What a foreign program reads and writes. 0 or an error number; *theirs is to be closed, if not -1. */
static int connect_files(struct child_run *run, posix_spawn_file_actions_t *files, int *theirs)
{
    int ends[2];
    *theirs = -1;
    if (!run->foreign) {
        return 0;
    }
    run->input = -1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return errno;
    }
    *theirs = ends[0];
    run->input = ends[1];
    int rc = posix_spawn_file_actions_adddup2(files, ends[0], STDIN_FILENO);
    rc = rc == 0 ? posix_spawn_file_actions_adddup2(files, run->output, STDOUT_FILENO) : rc;
    return rc == 0 ? posix_spawn_file_actions_adddup2(files, run->complaints, STDERR_FILENO) : rc;
}

/* In a group of its own, so that a Ctrl-C reaches it once, through us; with no signal blocked. */
static int start(struct child_run *run)
{
    static char name[] = "sshload";
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    sigset_t none;
    int theirs;
    size_t before = run->foreign ? 0 : 1;
    char **argv = calloc(run->count + 2, sizeof *argv);
    if (argv == NULL) {
        return ENOMEM;
    }
    argv[0] = name;
    memcpy(argv + before, run->words, run->count * sizeof *argv);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    int rc = connect_files(run, &files, &theirs);
    if (rc == 0) {
        rc = run->foreign ? posix_spawnp(&run->pid, argv[0], &files, &attributes, argv, environ)
                          : posix_spawn(&run->pid, "/proc/self/exe", &files, &attributes, argv, environ);
    }
    if (theirs >= 0) {
        (void)close(theirs);
    }
    (void)posix_spawn_file_actions_destroy(&files);
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
            close_input(run);
            run->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            failed = failed || run->code < 0 || run->code == CODE_USAGE || run->code >= CODE_NOT_RUN;
            (*running)--;
        }
    }
    return failed;
}

/* The next signal of the set, or 0 when the instant has come (0: it never does). */
static int wait_until(const sigset_t *set, int64_t until_us)
{
    if (until_us == 0) {
        return sigwaitinfo(set, NULL);
    }
    int64_t left_us = until_us - wall_us();
    left_us = left_us > 0 ? left_us : 0;
    struct timespec left = timespec_of_ns(left_us * NS_PER_US);
    int number = sigtimedwait(set, NULL, &left);
    return number < 0 && errno == EAGAIN ? 0 : number;
}

static void await_all(struct child_run *runs, size_t count, const sigset_t *set, const struct children_limits *limits,
                      size_t running, bool ended)
{
    int64_t until_us = limits->deadline_us;
    int64_t look_us = limits->look != NULL ? wall_us() + limits->look_every_us : 0;
    bool told = ended;
    while (running > 0) {
        bool looks = look_us > 0 && (until_us == 0 || look_us < until_us);
        int number = wait_until(set, looks ? look_us : until_us);
        bool tell = false;
        if (number == 0 && looks) {
            limits->look(limits->data);
            look_us = wall_us() + limits->look_every_us;
            continue;
        }
        if (number == SIGINT || number == SIGTERM) {
            signalled++;
            tell = true;
        } else if (number == 0) {
            number = told ? SIGKILL : SIGTERM;
            tell = true;
        }
        if (reap(runs, count, &running) && !ended) {
            number = number == SIGKILL ? SIGKILL : SIGTERM;
            tell = ended = true;
        }
        if (tell) {
            tell_all(runs, count, number);
            until_us = limits->grace_us > 0 ? wall_us() + limits->grace_us : 0;
            told = true;
        }
    }
}

int children_run(struct child_run *runs, size_t count, const struct children_limits *limits)
{
    const int watched[] = {SIGINT, SIGTERM, SIGCHLD};
    const struct children_limits none = {0};
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
            (void)fprintf(stderr, "sshload: %s cannot be started: %s\n", runs[i].foreign ? runs[i].words[0] : "a run",
                          strerror(rc));
            tell_all(runs, count, SIGTERM);
            ended = true;
        }
    }
    await_all(runs, count, &set, limits == NULL ? &none : limits, running, ended);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    (void)sigaction(SIGINT, &before[0], NULL);
    (void)sigaction(SIGTERM, &before[1], NULL);
    return signalled;
}
