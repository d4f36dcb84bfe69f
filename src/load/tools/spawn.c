#include "load/tools/spawn.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t signalled;
static volatile pid_t child;

static void on_signal(int number)
{
    signalled++;
    if (child > 0) {
        (void)kill(child, number);
    }
}

int spawn_run(char *const *words, size_t count, int *stopped)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before_int;
    struct sigaction before_term;
    static char name[] = "sshload";
    int status = 0;
    pid_t pid = 0;
    char **argv = calloc(count + 2, sizeof *argv);
    if (argv == NULL) {
        (void)fprintf(stderr, "sshload: out of memory\n");
        return -1;
    }
    argv[0] = name;
    memcpy(argv + 1, words, count * sizeof *argv);
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, &before_int);
    (void)sigaction(SIGTERM, &action, &before_term);
    signalled = 0;
    /* In a group of its own: a Ctrl-C then reaches it once, through us, and not twice, which would end it at once. */
    posix_spawnattr_t attributes;
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawn(&pid, "/proc/self/exe", NULL, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    child = rc == 0 ? pid : 0;
    while (rc == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    child = 0;
    (void)sigaction(SIGINT, &before_int, NULL);
    (void)sigaction(SIGTERM, &before_term, NULL);
    free(argv);
    *stopped = signalled > 0;
    if (rc != 0) {
        (void)fprintf(stderr, "sshload: a run cannot be started: %s\n", strerror(rc));
        return -1;
    }
    if (!WIFEXITED(status)) {
        (void)fprintf(stderr, "sshload: a run was ended by signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        return -1;
    }
    return WEXITSTATUS(status);
}
