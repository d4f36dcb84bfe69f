#include "server/login/password_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sshecho/log.h"

/* ---- who is next ------------------------------------------------------------------------------------------------- */

static void append_source(struct password_checks *checks, struct password_check *check)
{
    check->next_source = NULL;
    if (checks->last != NULL) {
        checks->last->next_source = check;
    } else {
        checks->first = check;
    }
    checks->last = check;
}

static void enqueue(struct password_checks *checks, struct password_check *check)
{
    check->waiting = true;
    check->next = NULL;
    counters_add(&checks->counters->password_checks_waiting, 1);
    for (struct password_check *first = checks->first; first != NULL; first = first->next_source) {
        if (first->source == check->source) {
            while (first->next != NULL) {
                first = first->next;
            }
            first->next = check;
            return;
        }
    }
    append_source(checks, check);
}

/* Takes `check` out of its source's line; `before` is the source in front. */
static void unlink_check(struct password_checks *checks, struct password_check *first, struct password_check *before,
                         struct password_check *check)
{
    check->waiting = false;
    counters_sub(&checks->counters->password_checks_waiting, 1);
    if (first != check) {
        while (first->next != check) {
            first = first->next;
        }
        first->next = check->next;
        return;
    }
    struct password_check *heir = check->next != NULL ? check->next : check->next_source;
    if (check->next != NULL) {
        check->next->next_source = check->next_source;
    }
    if (before != NULL) {
        before->next_source = heir;
    } else {
        checks->first = heir;
    }
    if (checks->last == check) {
        checks->last = check->next != NULL ? check->next : before;
    }
}

/* The first of the source whose turn it is; the rest of that source goes to the end. */
static struct password_check *take_next(struct password_checks *checks)
{
    struct password_check *check = checks->first;
    if (check != NULL) {
        struct password_check *rest = check->next;
        unlink_check(checks, check, NULL, check);
        if (rest != NULL && checks->last != rest) { /* it is first now */
            checks->first = rest->next_source;
            append_source(checks, rest);
        }
    }
    return check;
}

/* ---- the checker ------------------------------------------------------------------------------------------------- */

static void forget_question(struct password_check *check)
{
    if (check->question != NULL) {
        explicit_bzero(check->question, check->question_bytes);
        free(check->question);
        check->question = NULL;
    }
}

static void finish(struct password_check *check, enum password_verdict verdict)
{
    check->running = false;
    forget_question(check);
    check->done(check->data, verdict);
}

/* It and the process that would have made another are gone: nobody is let in on a guess. */
static void lose_checker(struct password_checks *checks)
{
    log_line(LOG_ERROR, "password_checker_lost", log_str("note", "this worker refuses passwords from now on"));
    ev_io_stop(checks->loop, &checks->io);
    (void)close(checks->fd);
    checks->fd = -1;
    checks->busy = false;
    if (checks->running != NULL) {
        struct password_check *running = checks->running;
        checks->running = NULL;
        finish(running, PASSWORD_UNKNOWN);
    }
    for (struct password_check *check = take_next(checks); check != NULL; check = take_next(checks)) {
        finish(check, PASSWORD_UNKNOWN);
    }
}

static void send_next(struct password_checks *checks)
{
    struct password_check *check = checks->busy || checks->fd < 0 ? NULL : take_next(checks);
    if (check == NULL) {
        return;
    }
    struct password_question head = {.ticket = ++checks->ticket};
    memcpy(check->question, &head, sizeof head);
    checks->busy = true;
    checks->running = check;
    check->running = true;
    counters_add(&checks->counters->password_checks, 1);
    /* The socket is empty, as we have waited for the last answer; a failure shows as its end. */
    (void)sendto(checks->fd, check->question, check->question_bytes, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
    forget_question(check);
}

static void on_answer(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct password_checks *checks = io->data;
    struct password_answer answer;
    ssize_t got = recvfrom(checks->fd, &answer, sizeof answer, MSG_DONTWAIT, NULL, NULL);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got != (ssize_t)sizeof answer) {
        lose_checker(checks);
        return;
    }
    bool died = answer.ticket == 0;
    if (died) {
        log_line(LOG_ERROR, "password_checker_died", log_str("note", "it has been replaced"));
    }
    if (!checks->busy || (!died && answer.ticket != checks->ticket)) {
        return;
    }
    struct password_check *check = checks->running;
    checks->busy = false;
    checks->running = NULL;
    send_next(checks); /* before anything else: the checker need not wait for us */
    if (check != NULL) {
        finish(check, died ? PASSWORD_UNKNOWN : answer.right != 0 ? PASSWORD_RIGHT : PASSWORD_WRONG);
    }
}

/* ---- for connections --------------------------------------------------------------------------------------------- */

void password_checks_init(struct password_checks *checks, struct ev_loop *loop, int fd, struct counters *counters)
{
    *checks = (struct password_checks){.loop = loop, .fd = fd, .counters = counters};
    if (fd >= 0) {
        ev_io_init(&checks->io, on_answer, fd, EV_READ);
        checks->io.data = checks;
        ev_io_start(loop, &checks->io);
    }
}

void password_checks_destroy(struct password_checks *checks)
{
    if (checks->fd >= 0) {
        ev_io_stop(checks->loop, &checks->io);
        (void)close(checks->fd);
        checks->fd = -1;
    }
}

bool password_check_begin(struct password_checks *checks, struct password_check *check, uint64_t source,
                          const char *user, const char *password)
{
    size_t head = sizeof(struct password_question);
    size_t user_size = strlen(user) + 1;
    size_t password_size = strlen(password) + 1;
    check->question_bytes = head + user_size + password_size;
    check->question = checks->fd >= 0 ? malloc(check->question_bytes) : NULL;
    if (check->question == NULL) {
        return false;
    }
    memcpy(check->question + head, user, user_size);
    memcpy(check->question + head + user_size, password, password_size);
    check->source = source;
    enqueue(checks, check);
    send_next(checks);
    return true;
}

void password_check_cancel(struct password_checks *checks, struct password_check *check)
{
    if (check->running) {
        checks->running = NULL;
        check->running = false;
    }
    struct password_check *before = NULL;
    for (struct password_check *first = checks->first; check->waiting && first != NULL; first = first->next_source) {
        if (first->source == check->source) {
            unlink_check(checks, first, before, check);
            break;
        }
        before = first;
    }
    forget_question(check);
}
