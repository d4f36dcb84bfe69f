/*
 * postponed.h - room: requests whose answer the test bench puts off.
 *
 * channel-open-delay and reply-delay: libssh's message of a request is kept beyond its callback (answers.h), and handed
 * back in a turn of the pump when its time has come, in the order of arrival, which is the order that replies must have
 * (RFC 4254, 5.4). Bounded: where one more would wait than may, the oldest is answered early.
 *
 * Owns the messages that wait. Knows neither channels nor whose it is: what the answer is, is asked upwards.
 */
#ifndef SERVER_LOGIN_POSTPONED_H
#define SERVER_LOGIN_POSTPONED_H

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/login/answers.h"
#include "sshecho/clock.h"

struct postponed {
    struct answers *answers;
    uint64_t delay_us;                               /* 0: nothing is put off */
    uint64_t most, count;                            /* that wait */
    void (*answer)(void *data, ssh_message message); /* the time has come; the message is freed afterwards */
    void *data;

    struct postponed_request *first, *last;
    bool answering;
};

/* In libssh's message callback. False: the request is not put off (no delay is set, or it cannot be) and is to be
 * answered at once. */
bool postponed_keep(struct postponed *postponed, ssh_message message, mono_time now);
/* Has those answered whose time has come. Returns µs until the next one, 0 where none waits. */
int64_t postponed_answer(struct postponed *postponed, mono_time now);
/* Those of a channel that goes, or all (NULL), are freed without an answer. */
void postponed_drop(struct postponed *postponed, ssh_channel of);

#endif
