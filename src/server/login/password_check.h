/*
 * password_check.h - room: passwords under examination.
 *
 * crypt(3) takes as long as its hash asks for, so it runs in a process of its own (process/checker.h); here the worker
 * keeps those that wait for it. One password is there at a time, one of each connection is here: limits of connections
 * (max-unauthenticated, max-per-source) are limits of checks. Sources take turns, so that one which tries many
 * passwords delays others by one check each time. A connection may go at any moment: it cancels, and the answer that
 * comes for it is dropped. Passwords are wiped once they have been handed over.
 *
 * Knows libev and the socket to the checker, which it owns; no connection and no libssh.
 */
#ifndef SERVER_LOGIN_PASSWORD_CHECK_H
#define SERVER_LOGIN_PASSWORD_CHECK_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/figures/counters.h"

/* One message each way. A question is `struct password_question`, then user and password, each with its NUL. */
struct password_question {
    uint64_t ticket;
};
struct password_answer {
    uint64_t ticket; /* 0: the checker has died over what it had; there is another one */
    uint8_t right;
};

/* libcrypt takes no password of more (CRYPT_MAX_PASSPHRASE_SIZE); no user of ours has a longer name. */
#define PASSWORD_MAX_BYTES 512
#define PASSWORD_USER_MAX_BYTES 1024
#define PASSWORD_QUESTION_MAX_BYTES                                                                                    \
    (sizeof(struct password_question) + PASSWORD_MAX_BYTES + PASSWORD_USER_MAX_BYTES + 2)

enum password_verdict { PASSWORD_WRONG, PASSWORD_RIGHT, PASSWORD_UNKNOWN /* the checker could not say */ };

/* In its login, zeroed at first. */
struct password_check {
    struct password_check *next;        /* of the same source */
    struct password_check *next_source; /* in the first of a source: the first of the next one */
    uint64_t source;
    unsigned char *question;
    size_t question_bytes;
    bool waiting, running;
    void (*done)(void *data, enum password_verdict verdict); /* from the loop, never from within password_check_begin */
    void *data;
};

struct password_checks {
    struct ev_loop *loop;
    ev_io io;
    int fd; /* -1: no checker */
    uint64_t ticket;
    bool busy;                           /* the checker has one */
    struct password_check *running;      /* whose that is; NULL when it has been cancelled */
    struct password_check *first, *last; /* of the sources, in the order of their turns */
    struct counters *counters;
};

/* Takes over fd, -1 where nothing is ever to be checked. */
void password_checks_init(struct password_checks *checks, struct ev_loop *loop, int fd, struct counters *counters);
void password_checks_destroy(struct password_checks *checks);

/* done and data are set. False if there is no memory, or no checker any more. */
bool password_check_begin(struct password_checks *checks, struct password_check *check, uint64_t source,
                          const char *user, const char *password);
/* Safe at any time. */
void password_check_cancel(struct password_checks *checks, struct password_check *check);

static inline bool password_check_is_pending(const struct password_check *check)
{
    return check->waiting || check->running;
}

#endif
