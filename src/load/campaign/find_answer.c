/* Inside the room of campaign.h: what a find says. */
#include "load/campaign/find_step.h"
#include "load/result/result_server.h"
#include "sshecho/units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BAR_MOST 40

static const char *unit_of(const struct find_question *question)
{
    static const char *const units[] = {[FIND_RATE] = "messages a second",
                                        [FIND_SESSIONS] = "sessions at the same time",
                                        [FIND_HANDSHAKES] = "handshakes a second"};
    bool connects = question->by == FIND_RATE && question->mode_given && question->options->mode == MODE_CONNECT;
    return connects ? units[FIND_HANDSHAKES] : units[question->by];
}

/* What the last step at the level just above ran into; none where nothing is above. */
static enum find_limit limit_of(const struct find_answer *answer, const char **reason)
{
    uint64_t high = search_high(answer->search);
    enum find_limit limit = FIND_LIMIT_NONE;
    *reason = "";
    for (size_t i = 0; i < answer->count; i++) {
        if (high > 0 && answer->steps[i].level == high) {
            limit = answer->steps[i].limit;
            *reason = answer->steps[i].reason;
        }
    }
    return limit;
}

/* Nothing shows that the server could not do more. */
static bool is_lower_bound(enum find_limit limit)
{
    return limit == FIND_LIMIT_NONE || limit == FIND_LIMIT_GENERATOR;
}

static char *sentence_of(const struct find_answer *answer)
{
    char *text = NULL;
    const char *reason;
    uint64_t low = search_low(answer->search);
    uint64_t high = search_high(answer->search);
    enum find_limit limit = limit_of(answer, &reason);
    char promise[256] = "the promise";
    size_t at = 0;
    for (size_t i = 0; i < answer->question->texts->count && at + 40 < sizeof promise; i++) {
        at += (size_t)snprintf(promise + at, sizeof promise - at, "%s%.80s", i > 0 ? " and " : "",
                               answer->question->texts->items[i]);
        at = at < sizeof promise ? at : sizeof promise - 1;
    }
    int rc;
    if (low == 0) {
        rc = asprintf(&text, "No load keeps %s, not even %llu %s (%s).", promise, (unsigned long long)high,
                      unit_of(answer->question), reason);
    } else if (limit == FIND_LIMIT_NONE) {
        rc = asprintf(&text, "At least %llu %s keep %s: nothing higher was tried.", (unsigned long long)low,
                      unit_of(answer->question), promise);
    } else if (limit == FIND_LIMIT_GENERATOR) {
        rc = asprintf(&text, "At least %llu %s keep %s: at %llu the generator is the limit, not the server (%s).",
                      (unsigned long long)low, unit_of(answer->question), promise, (unsigned long long)high, reason);
    } else {
        rc = asprintf(&text, "Up to %llu %s keep %s; %llu do not (%s).", (unsigned long long)low,
                      unit_of(answer->question), promise, (unsigned long long)high, reason);
    }
    return rc < 0 ? NULL : text;
}

static void print_steps(const struct find_answer *answer, FILE *out)
{
    char head[32];
    bool observed = false;
    for (size_t i = 0; i < answer->count; i++) {
        observed = observed || answer->steps[i].server_cost >= 0.0;
    }
    (void)snprintf(head, sizeof head, "p%g", answer->question->percentile);
    (void)fprintf(out, "%-4s %10s %-10s %8s %12s %10s  %s%sverdict\n", "step", find_by_names[answer->question->by],
                  "why", "seconds", "answered/s", head, observed ? find_server_figure(answer->question)->name : "",
                  observed ? "  " : "");
    for (size_t i = 0; i < answer->count; i++) {
        const struct find_step *step = &answer->steps[i];
        char latency[32];
        (void)units_human_duration(latency, sizeof latency, step->latency_us);
        (void)fprintf(out, "%-4zu %10llu %-10s %8.1f %12.1f %10s  ", i + 1, (unsigned long long)step->level,
                      search_purpose_names[step->purpose], step->seconds, step->achieved_per_s, latency);
        int width = observed ? (int)strlen(find_server_figure(answer->question)->name) : 0;
        if (observed && step->server_cost >= 0.0) {
            (void)fprintf(out, "%*.2f  ", width, step->server_cost);
        } else if (observed) {
            (void)fprintf(out, "%*s  ", width, "-");
        }
        (void)fprintf(out, "%s%s%s\n", step->kept ? "kept" : find_limit_names[step->limit], step->kept ? "" : ": ",
                      step->reason);
    }
}

static int by_level(const void *a, const void *b)
{
    const struct find_step *left = *(const struct find_step *const *)a;
    const struct find_step *right = *(const struct find_step *const *)b;
    if (left->level != right->level) {
        return left->level < right->level ? -1 : 1;
    }
    return (left > right) - (left < right);
}

/* Latency against load: bars of a logarithm, from the least to the most that was seen. */
static void print_curve(const struct find_answer *answer, FILE *out)
{
    const struct find_step **sorted = calloc(answer->count, sizeof *sorted);
    double least = INFINITY;
    double most = 0.0;
    for (size_t i = 0; sorted != NULL && i < answer->count; i++) {
        sorted[i] = &answer->steps[i];
        if (answer->steps[i].latency_us > 0.0) {
            least = fmin(least, answer->steps[i].latency_us);
            most = fmax(most, answer->steps[i].latency_us);
        }
    }
    if (sorted == NULL || most <= 0.0) {
        free(sorted);
        return;
    }
    qsort(sorted, answer->count, sizeof *sorted, by_level);
    (void)fprintf(out, "\n%10s %10s  (logarithmic; x: the promise was broken)\n", find_by_names[answer->question->by],
                  "latency");
    for (size_t i = 0; i < answer->count; i++) {
        char latency[32];
        const struct find_step *step = sorted[i];
        double share = step->latency_us > 0.0 && most > least ? log(step->latency_us / least) / log(most / least) : 0.0;
        (void)fprintf(out, "%10llu %10s  ", (unsigned long long)step->level,
                      units_human_duration(latency, sizeof latency, step->latency_us));
        for (int column = 0; column <= (int)lround(share * BAR_MOST); column++) {
            (void)fputc(step->kept ? '*' : 'x', out);
        }
        (void)fputc('\n', out);
    }
    free(sorted);
}

void find_answer_print(const struct find_answer *answer, FILE *out)
{
    char *sentence = sentence_of(answer);
    (void)fprintf(out, "%s\n", sentence == NULL ? "out of memory" : sentence);
    free(sentence);
    if (answer->interrupted) {
        (void)fprintf(out, "Note: interrupted before the answer was as precise as asked for.\n");
    } else if (search_low(answer->search) > 0 && !search_is_confirmed(answer->search)) {
        (void)fprintf(out, "Note: not confirmed: runs at one level came to different ends, again and again.\n");
    }
    (void)fputc('\n', out);
    print_steps(answer, out);
    print_curve(answer, out);
}

/* ---- for programs ---- */

static json_t *text_or_null(const char *text)
{
    return text == NULL ? json_null() : json_string(text);
}

static json_t *step_json(const struct find_step *step)
{
    return json_pack("{s:I, s:s, s:b, s:o, s:o, s:f, s:f, s:o, s:I, s:b, s:O?}", "level", (json_int_t)step->level,
                     "purpose", search_purpose_names[step->purpose], "kept", step->kept, "limited_by",
                     text_or_null(find_limit_names[step->limit]), "reason",
                     step->reason[0] == '\0' ? json_null() : json_string(step->reason), "seconds", step->seconds,
                     "achieved_per_s", step->achieved_per_s, "latency_us",
                     isnan(step->latency_us) ? json_null() : json_real(step->latency_us), "samples",
                     (json_int_t)step->samples, "client_bound", step->client_bound, "result", step->result);
}

json_t *find_answer_json(const struct find_answer *answer)
{
    json_t *promises = json_array();
    json_t *steps = json_array();
    json_t *words = json_array();
    const char *reason;
    char *sentence = sentence_of(answer);
    uint64_t low = search_low(answer->search);
    enum find_limit limit = limit_of(answer, &reason);
    for (size_t i = 0; i < answer->question->texts->count; i++) {
        (void)json_array_append_new(promises, json_string(answer->question->texts->items[i]));
    }
    for (size_t i = 0; i < answer->question->runs->count; i++) {
        json_t *word = json_string(answer->question->runs->items[i]);
        (void)json_array_append_new(words, word == NULL ? json_string("?") : word);
    }
    for (size_t i = 0; i < answer->count; i++) {
        (void)json_array_append_new(steps, step_json(&answer->steps[i]));
    }
    json_t *found = low == 0 ? json_null() : json_pack("{s:I}", find_by_names[answer->question->by], (json_int_t)low);
    json_t *document = json_pack(
        "{s:s, s:s, s:o, s:o, s:b, s:o, s:b, s:b, s:f, s:f, s:s, s:o, s:o}", "schema", "sshload-find/1", "by",
        find_by_names[answer->question->by], "slo", promises, "found", found, "at_least", is_lower_bound(limit),
        "limited_by", text_or_null(find_limit_names[limit]), "confirmed", search_is_confirmed(answer->search),
        "interrupted", answer->interrupted, "percentile", answer->question->percentile, "precision",
        answer->search->precision, "sentence", sentence == NULL ? "?" : sentence, "options", words, "steps", steps);
    free(sentence);
    return document;
}
