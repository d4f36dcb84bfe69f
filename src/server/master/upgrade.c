/* Inside the room of master_state.h: from one program to the next. */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/master/inheritance.h"
#include "server/master/master_state.h"
#include "server/master/notify.h"
#include "sshecho/log.h"
#include "sshecho/version.h"

/* What the log's reader is given before this program is no more. */
#define LOG_FINISH_US (200 * US_PER_MS)

/* ---- which program ----------------------------------------------------------------------------------------------- */

static bool is_program(const char *path, struct stat *st)
{
    return stat(path, st) == 0 && S_ISREG(st->st_mode);
}

static bool search_path(const char *name, char path[PATH_MAX], struct stat *st)
{
    const char *at = getenv("PATH");
    while (at != NULL && *at != '\0') {
        size_t length = strcspn(at, ":");
        int written = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, at, name);
        if (written > 0 && written < PATH_MAX && is_program(path, st) && access(path, X_OK) == 0) {
            return true;
        }
        at += length + (at[length] == ':' ? 1 : 0);
    }
    return false;
}

/* What we were called by, so that a link that has been turned is followed; else what lies where we came from. */
static bool find_program(const struct master *m, char path[PATH_MAX], struct stat *st)
{
    static const char gone[] = " (deleted)";
    const char *name = m->argv[0];
    if (strchr(name, '/') != NULL && strlen(name) < PATH_MAX) {
        (void)snprintf(path, PATH_MAX, "%s", name);
        if (is_program(path, st)) {
            return true;
        }
    } else if (search_path(name, path, st)) {
        return true;
    }
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length <= 0) {
        return false;
    }
    path[length] = '\0';
    size_t end = (size_t)length - (sizeof gone - 1);
    if ((size_t)length > sizeof gone - 1 && strcmp(path + end, gone) == 0) {
        path[end] = '\0';
    }
    return is_program(path, st);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* ---- the rehearsal ----------------------------------------------------------------------------------------------- */

static struct estate estate_of(const struct master *m)
{
    return (struct estate){
        .generation = m->generation, .workers = &m->workers, .board_fd = m->board_fd, .metrics_pid = m->metrics.pid};
}

static void forget_rehearsal(struct rehearsal *rehearsal)
{
    if (rehearsal->estate_fd >= 0) {
        (void)close(rehearsal->estate_fd);
    }
    if (rehearsal->output_fd >= 0) {
        (void)close(rehearsal->output_fd);
    }
    rehearsal->pid = 0;
    rehearsal->over = false;
    rehearsal->estate_fd = rehearsal->output_fd = -1;
}

static void fail(struct master *m, const char *why)
{
    forget_rehearsal(&m->rehearsal);
    counters_add(&m->board->reload_failures, 1);
    log_line(LOG_ERROR, "upgrade_failed", log_str("why", why), log_str("program", m->rehearsal.path),
             log_str("note", "the program that runs goes on, nothing has changed"));
    if (!m->reload_again && !m->upgrade_again) {
        notify_ready(NULL);
    }
}

/* In the child: the new program, with copies of what it will inherit, and nobody listening to it but us. */
static _Noreturn void rehearse(struct master *m, int output)
{
    struct estate estate = estate_of(m);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)unsetenv("NOTIFY_SOCKET");
    if (getppid() != m->pid || dup2(output, STDERR_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        inheritance_keep(&estate, m->rehearsal.estate_fd, true) != 0 ||
        inheritance_name(INHERITS_REHEARSAL, m->rehearsal.estate_fd) != 0) {
        _exit(126);
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execv(m->rehearsal.path, m->argv);
    (void)dprintf(STDERR_FILENO, "cannot be executed: %s\n", strerror(errno));
    _exit(127);
}

static void start_rehearsal(struct master *m)
{
    struct rehearsal *rehearsal = &m->rehearsal;
    struct estate estate = estate_of(m);
    int output[2] = {-1, -1};
    m->upgrade_again = false;
    rehearsal->estate_fd = rehearsal->output_fd = -1;
    if (!find_program(m, rehearsal->path, &rehearsal->program)) {
        fail(m, "there is no program where this one came from");
        return;
    }
    rehearsal->estate_fd = inheritance_write(&estate);
    if (rehearsal->estate_fd < 0 || pipe2(output, O_CLOEXEC) != 0) {
        fail(m, strerror(errno));
        return;
    }
    rehearsal->output_fd = output[0];
    (void)fcntl(output[0], F_SETFL, O_NONBLOCK);
    rehearsal->deadline_us = m->workers.watched_us + (int64_t)m->generation->config->ready_timeout_us;
    log_line(LOG_INFO, "upgrade_rehearsal", log_str("program", rehearsal->path));
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        rehearse(m, output[1]);
    }
    int reason = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    (void)close(output[1]);
    if (pid < 0) {
        fail(m, strerror(reason));
        return;
    }
    rehearsal->pid = pid;
}

/* The last line that it wrote, or how it ended. */
static void describe_end(const struct rehearsal *rehearsal, int status, char *why, size_t size)
{
    char text[2048];
    ssize_t length = read(rehearsal->output_fd, text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    for (char *end = text + strlen(text); end > text && end[-1] == '\n';) {
        *--end = '\0';
    }
    const char *last = strrchr(text, '\n');
    last = last != NULL ? last + 1 : text;
    if (rehearsal->killed) {
        (void)snprintf(why, size, "its rehearsal was not over by the deadline (ready-timeout)%s%.400s",
                       *last ? ": " : "", last);
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(why, size, "its rehearsal ended by signal %d%s%.400s", WTERMSIG(status), *last ? ": " : "",
                       last);
    } else if (WEXITSTATUS(status) != 0) {
        (void)snprintf(why, size, "its rehearsal ended with status %d%s%.400s", WEXITSTATUS(status), *last ? ": " : "",
                       last);
    } else {
        (void)snprintf(why, size, "its rehearsal gave no answer: no sshechod that can be upgraded to%s%.400s",
                       *last ? ": " : "", last);
    }
}

/* ---- taking over ------------------------------------------------------------------------------------------------- */

static void become_program(struct master *m)
{
    struct estate estate = estate_of(m);
    char why[256];
    int fd = inheritance_write(&estate); /* anew: workers may have come and gone */
    if (fd < 0 || inheritance_keep(&estate, fd, true) != 0 || inheritance_name(INHERITS_ALL, fd) != 0) {
        (void)snprintf(why, sizeof why, "what it needs cannot be handed over: %s", strerror(errno));
        goto failed;
    }
    log_line(LOG_INFO, "upgrading", log_str("from", SSHECHO_VERSION), log_str("to", m->rehearsal.version),
             log_str("program", m->rehearsal.path));
    log_finish(LOG_FINISH_US);
    (void)execv(m->rehearsal.path, m->argv);
    (void)snprintf(why, sizeof why, "cannot be executed: %s", strerror(errno));
failed:
    (void)inheritance_keep(&estate, fd, false);
    (void)inheritance_name(INHERITS_NOTHING, -1);
    if (fd >= 0) {
        (void)close(fd);
    }
    fail(m, why);
}

/* What came before the signals were held back has been answered by now: a request to stop goes before the upgrade. */
static void on_take_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = timer->data;
    if (m->draining) {
        forget_rehearsal(&m->rehearsal);
    } else {
        become_program(m);
    }
    (void)sigprocmask(SIG_SETMASK, &m->rehearsal.heard_before, NULL);
    reload_go_on(m);
}

/* Only libev knows of signals that have come in this turn, and an execve would lose them. From now on they wait in the
 * kernel until the heir can hear them; the loop goes round once more for the others, which it serves before this. */
static void take_over_next_turn(struct master *m)
{
    struct rehearsal *rehearsal = &m->rehearsal;
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &rehearsal->heard_before);
    rehearsal->over = true;
    ev_timer_init(&rehearsal->take_over, on_take_over, 0, 0);
    ev_set_priority(&rehearsal->take_over, EV_MINPRI);
    rehearsal->take_over.data = m;
    ev_timer_start(m->loop, &rehearsal->take_over);
}

/* Generations may leave one behind the other, as long as there are slots for one more. */
bool upgrade_is_possible(const struct master *m)
{
    return m->announced && m->rehearsal.pid == 0 && !m->draining &&
           workers_count(&m->workers, NULL) + m->generation->config->workers <= SCOREBOARD_WORKERS;
}

void upgrade_ask(struct master *m)
{
    if (m->draining) {
        return;
    }
    notify_reloading();
    if (!upgrade_is_possible(m)) {
        m->upgrade_again = true;
        log_line(LOG_INFO, "upgrade_deferred",
                 log_str("why", "workers are starting or leaving: it is done when that is over"));
        return;
    }
    start_rehearsal(m);
}

void upgrade_start(struct master *m)
{
    start_rehearsal(m);
}

void upgrade_look(struct master *m)
{
    struct rehearsal *rehearsal = &m->rehearsal;
    if (rehearsal->pid != 0 && !rehearsal->over && !rehearsal->killed &&
        (m->draining || m->workers.watched_us > rehearsal->deadline_us)) {
        rehearsal->killed = true;
        (void)kill(rehearsal->pid, SIGKILL);
    }
}

bool upgrade_child_ended(struct master *m, pid_t pid, int status)
{
    struct rehearsal *rehearsal = &m->rehearsal;
    struct stat now;
    char why[600];
    if (rehearsal->pid == 0 || rehearsal->over || rehearsal->pid != pid) {
        return false;
    }
    bool answered = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                    inheritance_answered(rehearsal->estate_fd, rehearsal->version, sizeof rehearsal->version);
    if (m->draining) {
        forget_rehearsal(rehearsal);
    } else if (!answered) {
        describe_end(rehearsal, status, why, sizeof why);
        fail(m, why);
    } else if (!is_program(rehearsal->path, &now) || !same_file(&now, &rehearsal->program)) {
        forget_rehearsal(rehearsal);
        m->upgrade_again = true; /* it is another one by now */
    } else {
        take_over_next_turn(m);
    }
    rehearsal->killed = false;
    return true;
}

/* ---- the heir ---------------------------------------------------------------------------------------------------- */

void upgrade_inherit(struct master *m)
{
    struct inheritance *inheritance = &m->inheritance;
    if (inheritance->board_fd < 0) { /* their heartbeats are on another board, which we cannot read */
        m->previous->config->watchdog_us = 0;
    }
    for (unsigned i = 0; i < inheritance->worker_count; i++) {
        workers_adopt(&m->workers, inheritance->workers[i].slot, inheritance->workers[i].pid,
                      inheritance->workers[i].leaving, m->previous);
    }
    m->metrics.pid = inheritance->metrics_pid; /* serves on until ours does */
    m->served = true;
    if (m->generation != NULL) {
        m->ready_by_us = m->workers.watched_us + (int64_t)m->generation->config->ready_timeout_us;
    }
}

void upgrade_hear_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)kill(getpid(), SIGCHLD); /* who has ended in between is waited for */
}
