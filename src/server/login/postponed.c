#include "server/login/postponed.h"

#include <libssh/server.h>
#include <stdlib.h>

struct postponed_request {
    ssh_message message;
    mono_time due;
    struct postponed_request *next;
};

static void free_message(struct postponed *postponed, ssh_message message)
{
    answers_heard(postponed->answers); /* answers.h need not refuse it */
    ssh_message_free(message);
}

static void answer_first(struct postponed *postponed)
{
    struct postponed_request *request = postponed->first;
    postponed->first = request->next;
    postponed->last = request->next != NULL ? postponed->last : NULL;
    postponed->count--;
    postponed->answering = true; /* it may have libssh read on, and come back here with the next request */
    postponed->answer(postponed->data, request->message);
    postponed->answering = false;
    free_message(postponed, request->message);
    free(request);
}

bool postponed_keep(struct postponed *postponed, ssh_message message, mono_time now)
{
    if (postponed->delay_us == 0 || !answers_reached()) {
        return false;
    }
    while (!postponed->answering && postponed->count >= postponed->most) {
        answer_first(postponed);
    }
    struct postponed_request *request = malloc(sizeof *request);
    if (request == NULL) {
        return false;
    }
    *request = (struct postponed_request){.message = message, .due = mono_add_us(now, (int64_t)postponed->delay_us)};
    if (postponed->last != NULL) {
        postponed->last->next = request;
    } else {
        postponed->first = request;
    }
    postponed->last = request;
    postponed->count++;
    answers_keep(postponed->answers, message);
    return true;
}

int64_t postponed_answer(struct postponed *postponed, mono_time now)
{
    while (postponed->first != NULL && postponed->first->due.ns <= now.ns) {
        answer_first(postponed);
    }
    return postponed->first != NULL ? mono_us_between(now, postponed->first->due) + 1 : 0;
}

void postponed_drop(struct postponed *postponed, ssh_channel of)
{
    struct postponed_request **at = &postponed->first;
    postponed->last = NULL;
    while (*at != NULL) {
        struct postponed_request *request = *at;
        if (of != NULL && ssh_message_channel_request_channel(request->message) != of) {
            postponed->last = request;
            at = &request->next;
            continue;
        }
        *at = request->next;
        postponed->count--;
        free_message(postponed, request->message);
        free(request);
    }
}
