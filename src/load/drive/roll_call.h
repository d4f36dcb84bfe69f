/*
 * roll_call.h - room: is every session that hold mode holds still there?
 *
 * After the measured time, when those that --reconnect-* was about to replace are back, each session that is up is
 * pinged once on every channel, spread over a time of its own so that many sessions make no burst. Who does not answer
 * fails as in traffic, by --timeout. Works on a thread's clients, owns nothing but how far it has come. Counts the
 * sessions that were held; ending.h counts those that answered.
 */
#ifndef LOAD_DRIVE_ROLL_CALL_H
#define LOAD_DRIVE_ROLL_CALL_H

#include "load/drive/traffic.h"

#include <stdbool.h>
#include <stdint.h>

struct roll_call {
    struct traffic *traffic;
    int64_t from_ns;
    uint64_t length_us; /* the same for all threads of the run */
    uint64_t called;    /* channels, those of sessions that are down included */
};

/* Counts who is up, whether anybody is to be pinged or not. Zeroes are a roll call that has not begun. */
void roll_call_begin(struct roll_call *roll_call, struct traffic *traffic, int64_t now_ns);
static inline bool roll_call_has_begun(const struct roll_call *roll_call)
{
    return roll_call->traffic != NULL;
}
/* Pings those whose turn it is. When the next one's is; INT64_MAX after the last. */
int64_t roll_call_go_on(struct roll_call *roll_call, int64_t now_ns);
/* All have been pinged, and have answered or are no longer up. */
bool roll_call_is_over(const struct roll_call *roll_call);

#endif
