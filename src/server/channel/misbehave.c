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
    {VERB_ECHO, "delay", UNIT_DURATION, offsetof(struct bench, delay_us)},
    {VERB_ECHO, "jitter", UNIT_DURATION, offsetof(struct bench, jitter_us)},
    {VERB_ECHO, "rate", UNIT_SIZE, offsetof(struct bench, rate_bytes_per_s)},
    {VERB_STALL, "after", UNIT_SIZE, offsetof(struct bench, stall_after_bytes)},
    {VERB_STALL, "for", UNIT_DURATION, offsetof(struct bench, stall_for_us)},
    {VERB_DROP, "after", UNIT_SIZE, offsetof(struct bench, drop_after_bytes)},
    {VERB_RESET, "after", UNIT_SIZE, offsetof(struct bench, reset_after_bytes)},
    {VERB_EXIT, "after", UNIT_SIZE, offsetof(struct bench, exit_after_bytes)},
    {VERB_EXIT, "status", UNIT_STATUS, offsetof(struct bench, exit_status)},
    {VERB_EXIT, "signal", UNIT_SIGNAL, offsetof(struct bench, exit_signal)},
    {VERB_SPLIT, "size", UNIT_SIZE, offsetof(struct bench, split_bytes)},
    {VERB_REKEY, "every", UNIT_SIZE, offsetof(struct bench, rekey_every_bytes)},
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

bool bench_understands(const char *words)
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

static bool set_value(struct bench *bench, enum unit unit, size_t offset, const char *value)
{
    void *field = (char *)bench + offset;
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
        if (*value == '\0' || strlen(value) >= BENCH_SIGNAL_MAX ||
            strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(value)) {
            return false;
        }
        memcpy(field, value, strlen(value) + 1);
        return true;
    }
    return false;
}

static int parse_pair(struct bench *bench, enum verb verb, const char *word, size_t length, char *complaint,
                      size_t size)
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
        if (!set_value(bench, keys[i].unit, keys[i].offset, value)) {
            return complain(complaint, size, "bad value", word, length);
        }
        return 0;
    }
    return complain(complaint, size, "unknown key for this word", word, length);
}

int bench_parse(const char *words, struct bench *out, char *complaint, size_t complaint_size)
{
    enum verb verb = VERB_COUNT;
    size_t length;
    *out = (struct bench){.drop_after_bytes = UINT64_MAX,
                          .reset_after_bytes = UINT64_MAX,
                          .exit_after_bytes = UINT64_MAX,
                          .dice = (uint64_t)mono_now().ns | 1};
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
    return 0;
}

/* ---- the gate -------------------------------------------------------------------------------------------------------
 */

void bench_arrived(struct bench *bench, uint64_t bytes, mono_time now)
{
    bench->arrived_bytes += bytes;
    if (bench->delay_us == 0 && bench->jitter_us == 0) {
        return;
    }
    int64_t jitter_us = 0;
    if (bench->jitter_us != 0) { /* evenly between -jitter and +jitter */
        bench->dice ^= bench->dice << 13;
        bench->dice ^= bench->dice >> 7;
        bench->dice ^= bench->dice << 17;
        jitter_us = (int64_t)(bench->dice % (2 * bench->jitter_us + 1)) - (int64_t)bench->jitter_us;
    }
    int64_t after_us = (int64_t)bench->delay_us + jitter_us;
    mono_time due = mono_add_us(now, after_us > 0 ? after_us : 0);
    if (bench->mark_count > 0) {
        unsigned last = (bench->first_mark + bench->mark_count - 1) % BENCH_MARKS;
        if (due.ns < bench->marks[last].due.ns) {
            due = bench->marks[last].due; /* jitter never reorders a stream */
        }
        if (bench->mark_count == BENCH_MARKS) {
            bench->marks[last].end_bytes = bench->arrived_bytes;
            bench->marks[last].due = due;
            return;
        }
    }
    unsigned next = (bench->first_mark + bench->mark_count) % BENCH_MARKS;
    bench->marks[next].end_bytes = bench->arrived_bytes;
    bench->marks[next].due = due;
    bench->mark_count++;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How far the stream may go by due times; *wait_us until the next mark when nothing is due. */
static uint64_t due_bytes(struct bench *bench, mono_time now, int64_t *wait_us)
{
    uint64_t end = bench->passed_bytes;
    if (bench->delay_us == 0 && bench->jitter_us == 0) {
        return UINT64_MAX;
    }
    for (unsigned i = 0; i < bench->mark_count; i++) {
        unsigned at = (bench->first_mark + i) % BENCH_MARKS;
        if (bench->marks[at].due.ns > now.ns) {
            *wait_us = mono_us_between(now, bench->marks[at].due) + 1;
            break;
        }
        end = bench->marks[at].end_bytes;
    }
    return end - bench->passed_bytes;
}

static uint64_t rated_bytes(struct bench *bench, mono_time now, uint64_t want, int64_t *wait_us)
{
    double rate = (double)bench->rate_bytes_per_s;
    double burst = rate * RATE_BURST_S > RATE_PORTION_BYTES ? rate * RATE_BURST_S : RATE_PORTION_BYTES;
    if (bench->rate_bytes_per_s == 0) {
        return UINT64_MAX;
    }
    bench->tokens += mono_s_between(bench->tokens_at, now) * rate;
    bench->tokens_at = now;
    bench->tokens = bench->tokens > burst ? burst : bench->tokens;
    double portion = (double)least(want, RATE_PORTION_BYTES);
    if (bench->tokens < portion) {
        *wait_us = (int64_t)((portion - bench->tokens) / rate * 1e6) + 1;
        return 0;
    }
    return (uint64_t)bench->tokens;
}

/* Bytes until the stall begins; 0 while it lasts. */
static uint64_t before_stall(struct bench *bench, mono_time now, int64_t *wait_us)
{
    if (bench->stall_for_us == 0 || bench->stalled) {
        return UINT64_MAX;
    }
    if (bench->passed_bytes < bench->stall_after_bytes) {
        return bench->stall_after_bytes - bench->passed_bytes;
    }
    if (!bench->stalling) {
        bench->stalling = true;
        bench->stalled_until = mono_add_us(now, (int64_t)bench->stall_for_us);
    }
    int64_t left = mono_us_between(now, bench->stalled_until);
    if (left > 0) {
        *wait_us = left + 1;
        return 0;
    }
    bench->stalled = true;
    return UINT64_MAX;
}

enum bench_verdict bench_limit(struct bench *bench, mono_time now, uint64_t want, uint64_t *allowed, int64_t *wait_us)
{
    uint64_t passed = bench->passed_bytes;
    *wait_us = 0;
    *allowed = 0;
    if (passed >= bench->reset_after_bytes) {
        return BENCH_RESET;
    }
    if (passed >= bench->drop_after_bytes) {
        return BENCH_DROP;
    }
    if (passed >= bench->exit_after_bytes) {
        return BENCH_EXIT;
    }
    uint64_t n = least(want, bench->reset_after_bytes - passed);
    n = least(n, bench->drop_after_bytes - passed);
    n = least(n, bench->exit_after_bytes - passed);
    n = least(n, before_stall(bench, now, wait_us));
    n = n > 0 ? least(n, due_bytes(bench, now, wait_us)) : 0;
    n = n > 0 ? least(n, rated_bytes(bench, now, n, wait_us)) : 0;
    n = bench->split_bytes != 0 ? least(n, bench->split_bytes) : n;
    *allowed = n;
    return n > 0 ? BENCH_GO : BENCH_WAIT;
}

void bench_passed(struct bench *bench, uint64_t bytes)
{
    bench->passed_bytes += bytes;
    if (bench->rate_bytes_per_s != 0) {
        bench->tokens -= (double)bytes;
    }
    while (bench->mark_count > 0 && bench->marks[bench->first_mark].end_bytes <= bench->passed_bytes) {
        bench->first_mark = (bench->first_mark + 1) % BENCH_MARKS;
        bench->mark_count--;
    }
}
