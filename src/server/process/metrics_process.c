#include "server/process/metrics_process.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/figures/metrics.h"
#include "server/process/sandbox.h"
#include "sshecho/log.h"

/* One that dies at once is not made anew at once. */
#define PAUSE_US (1 * US_PER_S)

#define LISTENING_FD 3

static void ignore_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE}; /* they are the master's */
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Keeps the standard descriptors and ours alone. */
static int keep_only(int fd)
{
    if (fd != LISTENING_FD && dup2(fd, LISTENING_FD) != LISTENING_FD) {
        return -1;
    }
    if (syscall(SYS_close_range, (unsigned)LISTENING_FD + 1, UINT_MAX, 0) == 0) {
        return 0;
    }
    for (int i = LISTENING_FD + 1; i < (int)sysconf(_SC_OPEN_MAX); i++) { /* before Linux 5.9 */
        (void)close(i);
    }
    return 0;
}

/* The life of the new process. What it must not have goes first: keys, descriptors, root. */
static _Noreturn void serve(struct generation *generation, struct generation *previous, struct scoreboard *board,
                            pid_t master)
{
    struct option_error error = {""};
    char *user = generation->config->user != NULL ? strdup(generation->config->user) : NULL;
    bool filter = generation->config->sandbox;
    (void)prctl(PR_SET_NAME, METRICS_PROCESS_NAME, 0, 0, 0);
    ignore_signals();
    if (keep_only(generation->metrics_fd) != 0) {
        _exit(1);
    }
    generation->metrics_fd = -1;
    generation->listeners.count = 0;
    if (previous != NULL) {
        previous->metrics_fd = -1;
        previous->listeners.count = 0;
    }
    generation_free(generation);
    generation_free(previous);
    struct metrics *metrics = metrics_start(LISTENING_FD, board);
    if (metrics == NULL || mprotect(board, sizeof *board, PROT_READ) != 0 ||
        sandbox_enter_metrics(user, filter, master, &error) != 0) {
        log_line(LOG_ERROR, "metrics_failed", log_str("why", error.text[0] != '\0' ? error.text : "no HTTP server"));
        _exit(1);
    }
    free(user);
    metrics_run(metrics);
}

static void start(struct metrics_process *process, struct generation *generation, struct generation *previous,
                  struct scoreboard *board, pid_t master)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        log_forked();
        serve(generation, previous, board, master);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        log_line(LOG_ERROR, "metrics_failed", log_str("why", strerror(errno)));
        return;
    }
    process->pid = pid;
    process->serves = generation->metrics_asked;
    log_line(LOG_DEBUG, "metrics_started", log_u64("metrics_pid", (uint64_t)pid));
}

void metrics_process_look(struct metrics_process *process, struct generation *generation, struct generation *previous,
                          struct scoreboard *board, pid_t master)
{
    mono_time now = mono_now();
    bool wanted = generation->metrics_fd >= 0;
    if (process->pid != 0 && !(wanted && net_same_address(&process->serves, &generation->metrics_asked))) {
        metrics_process_stop(process);
    }
    if (wanted && process->pid == 0 && mono_us_between(process->next_start, now) >= 0) {
        process->next_start = mono_add_us(now, PAUSE_US);
        start(process, generation, previous, board, master);
    }
}

bool metrics_process_ended(struct metrics_process *process, pid_t pid, int status)
{
    if (process->pid == 0 || process->pid != pid) {
        return false;
    }
    process->pid = 0;
    log_line(LOG_WARN, "metrics_lost", log_u64("metrics_pid", (uint64_t)pid), log_i64("wait_status", status));
    return true;
}

void metrics_process_stop(struct metrics_process *process)
{
    if (process->pid != 0) {
        (void)kill(process->pid, SIGKILL); /* it has nothing to tidy up */
        process->pid = 0;
        process->next_start = (mono_time){0};
    }
}
