#include "server/channel/misbehave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshecho/units.h"

/* With a rate, bytes go in portions of at least this (or of all there is): a packet for every token would be all
 * overhead. */
#define RATE_PORTION_BYTES 1024

/* A rate may be exceeded for this long after silence. */
#define RATE_BURST_S 0.05

/* Longest delay, jitter or stall: longer than any test runs, and far from where a sum of instants overflows. */
#define DURATION_MAX_US ((uint64_t)(24 * 3600) * (uint64_t)US_PER_S)

enum verb {
    VERB_ECHO,
    VERB_STALL,
    VERB_DROP,
    VERB_RESET,
    VERB_EXIT,
    VERB_STDERR,
    VERB_SPLIT,
    VERB_REKEY,
    VERB_REFUSE,
    VERB_COUNT
};
static const char *const verbs[VERB_COUNT] = {"echo",   "stall", "drop",  "reset", "exit",
                                              "stderr", "split", "rekey", "refuse"};

enum unit { UNIT_SIZE, UNIT_DURATION, UNIT_STATUS, UNIT_SIGNAL };

static const struct {
    enum verb verb;
    const char *key;
    enum unit unit;
    size_t offset;
} keys[] = {
    {VERB_ECHO, "delay", UNIT_DURATION, offsetof(struct misbehaviour, delay_us)},
    {VERB_ECHO, "jitter", UNIT_DURATION, offsetof(struct misbehaviour, jitter_us)},
    {VERB_ECHO, "rate", UNIT_SIZE, offsetof(struct misbehaviour, rate_bytes_per_s)},
    {VERB_ECHO, "for", UNIT_DURATION, offsetof(struct misbehaviour, life_us)},
    {VERB_STALL, "after", UNIT_SIZE, offsetof(struct misbehaviour, stall_after_bytes)},
    {VERB_STALL, "for", UNIT_DURATION, offsetof(struct misbehaviour, stall_for_us)},
    {VERB_DROP, "after", UNIT_SIZE, offsetof(struct misbehaviour, drop_after_bytes)},
    {VERB_RESET, "after", UNIT_SIZE, offsetof(struct misbehaviour, reset_after_bytes)},
    {VERB_EXIT, "after", UNIT_SIZE, offsetof(struct misbehaviour, exit_after_bytes)},
    {VERB_EXIT, "status", UNIT_STATUS, offsetof(struct misbehaviour, exit_status)},
    {VERB_EXIT, "signal", UNIT_SIGNAL, offsetof(struct misbehaviour, exit_signal)},
    {VERB_SPLIT, "size", UNIT_SIZE, offsetof(struct misbehaviour, split_bytes)},
    {VERB_REKEY, "every", UNIT_SIZE, offsetof(struct misbehaviour, rekey_every_bytes)},
};

static const char *next_word(const char *at, size_t *length)
{
    at += strspn(at, " \t");
    *length = strcspn(at, " \t");
    return at;
}

static enum verb find_verb(const char *word, size_t length)
{
    unsigned verb = 0;
    while (verb < VERB_COUNT && (strlen(verbs[verb]) != length || strncmp(verbs[verb], word, length) != 0)) {
        verb++;
    }
    return (enum verb)verb;
}

bool misbehave_understands(const char *words)
{
    size_t length;
    const char *word = next_word(words, &length);
    enum verb verb = find_verb(word, length);
    if (verb == VERB_COUNT) {
        return false;
    }
    word = next_word(word + length, &length);
    if (length == 0) {
        return verb != VERB_ECHO; /* a lone echo is the service anyway */
    }
    return memchr(word, '=', length) != NULL || find_verb(word, length) != VERB_COUNT;
}

static int complain(char *complaint, size_t size, const char *what, const char *word, size_t length)
{
    char printable[48];
    size_t n = 0;
    for (size_t i = 0; i < length && n + 1 < sizeof printable; i++) {
        printable[n++] = word[i] >= ' ' && word[i] <= '~' ? word[i] : '?';
    }
    printable[n] = '\0';
    (void)snprintf(complaint, size, "%s: \"%s\" (see TEST BENCH in sshechod(8))\n", what, printable);
    return -1;
}

static bool set_value(struct misbehaviour *misbehaviour, enum unit unit, size_t offset, const char *value)
{
    void *field = (char *)misbehaviour + offset;
    uint64_t number;
    switch (unit) {
    case UNIT_SIZE:
        return units_parse_size_bytes(value, field);
    case UNIT_DURATION:
        if (!units_parse_duration_us(value, &number) || number > DURATION_MAX_US) {
            return false;
        }
        *(uint64_t *)field = number;
        return true;
    case UNIT_STATUS:
        if (!units_parse_count(value, &number) || number > 255) {
            return false;
        }
        *(int *)field = (int)number;
        return true;
    case UNIT_SIGNAL: /* RFC 4254, 6.10: the name without SIG */
        if (*value == '\0' || strlen(value) >= MISBEHAVE_SIGNAL_MAX ||
            strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(value)) {
            return false;
        }
        memcpy(field, value, strlen(value) + 1);
        return true;
    }
    return false;
}

static int parse_pair(struct misbehaviour *misbehaviour, enum verb verb, const char *word, size_t length,
                      char *complaint, size_t size)
{
    char value[64];
    const char *equals = memchr(word, '=', length);
    size_t key_length = (size_t)(equals - word);
    size_t value_length = length - key_length - 1;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].verb != verb || strlen(keys[i].key) != key_length || strncmp(keys[i].key, word, key_length) != 0) {
            continue;
        }
        if (value_length >= sizeof value) {
            break;
        }
        memcpy(value, equals + 1, value_length);
        value[value_length] = '\0';
        if (!set_value(misbehaviour, keys[i].unit, keys[i].offset, value)) {
            return complain(complaint, size, "bad value", word, length);
        }
        return 0;
    }
    return complain(complaint, size, "unknown key for this word", word, length);
}

int misbehave_parse(const char *words, struct misbehaviour *out, char *complaint, size_t complaint_size)
{
    enum verb verb = VERB_COUNT;
    size_t length;
    *out = (struct misbehaviour){.drop_after_bytes = UINT64_MAX,
                                 .reset_after_bytes = UINT64_MAX,
                                 .exit_after_bytes = UINT64_MAX,
                                 .dice = {(unsigned short)mono_now().ns}};
    for (const char *word = next_word(words, &length); length > 0; word = next_word(word + length, &length)) {
        if (memchr(word, '=', length) != NULL) {
            if (parse_pair(out, verb, word, length, complaint, complaint_size) != 0) {
                return -1;
            }
            continue;
        }
        verb = find_verb(word, length);
        switch (verb) {
        case VERB_COUNT:
            return complain(complaint, complaint_size, "unknown word", word, length);
        case VERB_STALL:
            out->stall_for_us = 5 * (uint64_t)US_PER_S;
            break;
        case VERB_DROP:
            out->drop_after_bytes = 0;
            break;
        case VERB_RESET:
            out->reset_after_bytes = 0;
            break;
        case VERB_STDERR:
            out->to_stderr = true;
            break;
        case VERB_SPLIT:
            out->split_bytes = 1;
            break;
        case VERB_REKEY:
            out->rekey_every_bytes = 1024UL * 1024;
            break;
        case VERB_REFUSE:
            out->refuse = true;
            break;
        default:
            break;
        }
    }
    if (out->rekey_every_bytes != 0 && out->rekey_every_bytes < 4096) {
        return complain(complaint, complaint_size, "re-keying more often than every 4K would do nothing else", "rekey",
                        5);
    }
    out->tokens_at = mono_now();
    out->ends_at = mono_add_us(out->tokens_at, (int64_t)out->life_us);
    return 0;
}

/* ---- the gate -------------------------------------------------------------------------------------------------------
 */

void misbehave_arrived(struct misbehaviour *misbehaviour, uint64_t bytes, mono_time now)
{
    misbehaviour->arrived_bytes += bytes;
    if (misbehaviour->delay_us == 0 && misbehaviour->jitter_us == 0) {
        return;
    }
    int64_t jitter_us = 0;
    if (misbehaviour->jitter_us != 0) { /* evenly between -jitter and +jitter */
        jitter_us = (int64_t)((erand48(misbehaviour->dice) * 2.0 - 1.0) * (double)misbehaviour->jitter_us);
    }
    int64_t after_us = (int64_t)misbehaviour->delay_us + jitter_us;
    mono_time due = mono_add_us(now, after_us > 0 ? after_us : 0);
    if (misbehaviour->mark_count > 0) {
        unsigned last = (misbehaviour->first_mark + misbehaviour->mark_count - 1) % MISBEHAVE_MARKS;
        if (due.ns < misbehaviour->marks[last].due.ns) {
            due = misbehaviour->marks[last].due; /* jitter never reorders a stream */
        }
        if (misbehaviour->mark_count == MISBEHAVE_MARKS) {
            misbehaviour->marks[last].end_bytes = misbehaviour->arrived_bytes;
            misbehaviour->marks[last].due = due;
            return;
        }
    }
    unsigned next = (misbehaviour->first_mark + misbehaviour->mark_count) % MISBEHAVE_MARKS;
    misbehaviour->marks[next].end_bytes = misbehaviour->arrived_bytes;
    misbehaviour->marks[next].due = due;
    misbehaviour->mark_count++;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How far the stream may go by due times; *wait_us until the next mark when nothing is due. */
static uint64_t due_bytes(struct misbehaviour *misbehaviour, mono_time now, int64_t *wait_us)
{
    uint64_t end = misbehaviour->passed_bytes;
    if (misbehaviour->delay_us == 0 && misbehaviour->jitter_us == 0) {
        return UINT64_MAX;
    }
    for (unsigned i = 0; i < misbehaviour->mark_count; i++) {
        unsigned at = (misbehaviour->first_mark + i) % MISBEHAVE_MARKS;
        if (misbehaviour->marks[at].due.ns > now.ns) {
            *wait_us = mono_us_between(now, misbehaviour->marks[at].due) + 1;
            break;
        }
        end = misbehaviour->marks[at].end_bytes;
    }
    return end - misbehaviour->passed_bytes;
}

static uint64_t rated_bytes(struct misbehaviour *misbehaviour, mono_time now, uint64_t want, int64_t *wait_us)
{
    double rate = (double)misbehaviour->rate_bytes_per_s;
    double burst = rate * RATE_BURST_S > RATE_PORTION_BYTES ? rate * RATE_BURST_S : RATE_PORTION_BYTES;
    if (misbehaviour->rate_bytes_per_s == 0) {
        return UINT64_MAX;
    }
    misbehaviour->tokens += mono_s_between(misbehaviour->tokens_at, now) * rate;
    misbehaviour->tokens_at = now;
    misbehaviour->tokens = misbehaviour->tokens > burst ? burst : misbehaviour->tokens;
    double portion = (double)least(want, RATE_PORTION_BYTES);
    if (misbehaviour->tokens < portion) {
        *wait_us = (int64_t)((portion - misbehaviour->tokens) / rate * 1e6) + 1;
        return 0;
    }
    return (uint64_t)misbehaviour->tokens;
}

/* Bytes until the stall begins; 0 while it lasts. */
static uint64_t before_stall(struct misbehaviour *misbehaviour, mono_time now, int64_t *wait_us)
{
    if (misbehaviour->stall_for_us == 0 || misbehaviour->stalled) {
        return UINT64_MAX;
    }
    if (misbehaviour->passed_bytes < misbehaviour->stall_after_bytes) {
        return misbehaviour->stall_after_bytes - misbehaviour->passed_bytes;
    }
    if (!misbehaviour->stalling) {
        misbehaviour->stalling = true;
        misbehaviour->stalled_until = mono_add_us(now, (int64_t)misbehaviour->stall_for_us);
    }
    int64_t left = mono_us_between(now, misbehaviour->stalled_until);
    if (left > 0) {
        *wait_us = left + 1;
        return 0;
    }
    misbehaviour->stalled = true;
    return UINT64_MAX;
}

enum misbehave_verdict misbehave_limit(struct misbehaviour *misbehaviour, mono_time now, uint64_t want,
                                       uint64_t *allowed, int64_t *wait_us)
{
    uint64_t passed = misbehaviour->passed_bytes;
    *wait_us = 0;
    *allowed = 0;
    if (passed >= misbehaviour->reset_after_bytes) {
        return MISBEHAVE_RESET;
    }
    if (passed >= misbehaviour->drop_after_bytes) {
        return MISBEHAVE_DROP;
    }
    if (passed >= misbehaviour->exit_after_bytes) {
        return MISBEHAVE_EXIT;
    }
    uint64_t n = least(want, misbehaviour->reset_after_bytes - passed);
    n = least(n, misbehaviour->drop_after_bytes - passed);
    n = least(n, misbehaviour->exit_after_bytes - passed);
    n = least(n, before_stall(misbehaviour, now, wait_us));
    n = n > 0 ? least(n, due_bytes(misbehaviour, now, wait_us)) : 0;
    n = n > 0 ? least(n, rated_bytes(misbehaviour, now, n, wait_us)) : 0;
    n = misbehaviour->split_bytes != 0 ? least(n, misbehaviour->split_bytes) : n;
    *allowed = n;
    return n > 0 ? MISBEHAVE_GO : MISBEHAVE_WAIT;
}

bool misbehave_over(struct misbehaviour *misbehaviour, mono_time now, int64_t *wait_us)
{
    *wait_us = 0;
    if (misbehaviour->life_us != 0 && misbehaviour->exit_after_bytes == UINT64_MAX) {
        int64_t left_us = mono_us_between(now, misbehaviour->ends_at);
        if (left_us > 0) {
            *wait_us = left_us + 1;
        } else {
            misbehaviour->exit_after_bytes = misbehaviour->arrived_bytes; /* what came in time is still echoed */
        }
    }
    return misbehaviour->passed_bytes >= misbehaviour->exit_after_bytes;
}

void misbehave_passed(struct misbehaviour *misbehaviour, uint64_t bytes)
{
    misbehaviour->passed_bytes += bytes;
    if (misbehaviour->rate_bytes_per_s != 0) {
        misbehaviour->tokens -= (double)bytes;
    }
    while (misbehaviour->mark_count > 0 &&
           misbehaviour->marks[misbehaviour->first_mark].end_bytes <= misbehaviour->passed_bytes) {
        misbehaviour->first_mark = (misbehaviour->first_mark + 1) % MISBEHAVE_MARKS;
        misbehaviour->mark_count--;
    }
}
