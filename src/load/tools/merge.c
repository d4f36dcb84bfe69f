/* Inside the room of tools.h: several results of one run in one. */
#include "load/result/report.h"
#include "load/result/result_add.h"
#include "load/tools/tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct merge_options {
    char *json, *hdr, *hlog, *csv;
    bool quiet, help;
};

static const struct option_spec specs[] = {
    {"json", 0, OPTION_STRING, offsetof(struct merge_options, json), 0, 0, NULL, NULL, "FILE",
     "Write the merged result as JSON; - is stdout.", "Options", OPTION_COMMAND_LINE},
    {"hdr", 0, OPTION_STRING, offsetof(struct merge_options, hdr), 0, 0, NULL, NULL, "FILE",
     "Write the percentiles of the merged latencies.", "Options", OPTION_COMMAND_LINE},
    {"hlog", 0, OPTION_STRING, offsetof(struct merge_options, hlog), 0, 0, NULL, NULL, "FILE",
     "Write the merged intervals as an HdrHistogram log.", "Options", OPTION_COMMAND_LINE},
    {"csv", 0, OPTION_STRING, offsetof(struct merge_options, csv), 0, 0, NULL, NULL, "FILE",
     "Write a row for each merged interval.", "Options", OPTION_COMMAND_LINE},
    {"quiet", 'q', OPTION_BOOL, offsetof(struct merge_options, quiet), 0, 0, "no", NULL, NULL, "Print no report.",
     "Options", OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, offsetof(struct merge_options, help), 0, 0, "no", NULL, NULL, "Print this and exit.",
     "Options", OPTION_COMMAND_LINE},
};

const struct option_table merge_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload merge FILE.json... [--json FILE]",
};

/* Options that may differ between the parts of one run: they say where and how a part ran, not what it did. */
static const char *const local_options[] = {"shard",
                                            "start-at",
                                            "json",
                                            "hdr",
                                            "hlog",
                                            "csv",
                                            "label",
                                            "interval",
                                            "progress",
                                            "quiet",
                                            "bind",
                                            "fail-if",
                                            "log-level",
                                            "log-format",
                                            "password-file",
                                            "password-env",
                                            "identity",
                                            "known-hosts",
                                            "threads",
                                            "batching",
                                            "crypto-shortcuts",
                                            "percentiles",
                                            "live",
                                            "metrics-listen",
                                            "server-metrics",
                                            "server-pid",
                                            "server-cgroup",
                                            "processes",
                                            NULL};

static bool is_apart(const char *name, const char *const *entry)
{
    while (*entry != NULL && strcmp(*entry, name) != 0) {
        entry++;
    }
    return *entry != NULL;
}

static json_t *options_of(const struct result *result)
{
    return json_object_get(result->about, "options");
}

bool tools_options_match(const struct result *a, const struct result *b, const char *const *apart, char *reason,
                         size_t reason_size)
{
    const char *name;
    json_t *value;
    json_object_foreach(options_of(a), name, value)
    {
        json_t *other = json_object_get(options_of(b), name);
        if (!is_apart(name, apart) && !json_equal(value, other)) {
            char *left = json_dumps(value, JSON_ENCODE_ANY);
            char *right = other == NULL ? NULL : json_dumps(other, JSON_ENCODE_ANY);
            (void)snprintf(reason, reason_size, "its option %s is %s, not %s", name, right == NULL ? "missing" : right,
                           left == NULL ? "?" : left);
            free(left);
            free(right);
            return false;
        }
    }
    return true;
}

/* The shards that a result holds are in about.parts, once it has been merged. */
static bool holds(const struct result *into, uint64_t shard, int64_t started_at_us)
{
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(into->about, "parts"), i, part)
    {
        if ((uint64_t)json_integer_value(json_object_get(part, "shard")) == shard ||
            json_integer_value(json_object_get(part, "started_at_us")) == started_at_us) {
            return true;
        }
    }
    return false;
}

static bool shares_a_shard(const struct result *into, const struct result *next, char *reason, size_t reason_size)
{
    json_t *parts = json_object_get(next->about, "parts");
    size_t count = parts == NULL ? 1 : json_array_size(parts);
    for (size_t i = 0; i < count; i++) {
        json_t *part = json_array_get(parts, i);
        uint64_t shard =
            part == NULL ? next->shard_index : (uint64_t)json_integer_value(json_object_get(part, "shard"));
        int64_t started_at_us =
            part == NULL ? next->started_at_us : json_integer_value(json_object_get(part, "started_at_us"));
        if (holds(into, shard, started_at_us)) {
            (void)snprintf(reason, reason_size, "shard %llu of %llu is in already", (unsigned long long)shard,
                           (unsigned long long)next->shard_count);
            return true;
        }
    }
    return false;
}

/* Parts that start further apart than this did not load the server together: their rates do not add up. */
static double apart_allowed_s(const struct result *a, const struct result *b)
{
    double shorter_s = a->seconds < b->seconds ? a->seconds : b->seconds;
    return shorter_s * 0.05 > 1.0 ? shorter_s * 0.05 : 1.0;
}

bool merge_matches(const struct result *into, const struct result *next, char *reason, size_t reason_size)
{
    if (strcmp(into->mode, next->mode) != 0) {
        (void)snprintf(reason, reason_size, "its mode is %s, not %s", next->mode, into->mode);
        return false;
    }
    if (into->shard_count != next->shard_count) {
        (void)snprintf(reason, reason_size, "it is one of %llu shards, not of %llu",
                       (unsigned long long)next->shard_count, (unsigned long long)into->shard_count);
        return false;
    }
    if (!tools_options_match(into, next, local_options, reason, reason_size) ||
        shares_a_shard(into, next, reason, reason_size)) {
        return false;
    }
    if (next->shard_count < 2) {
        (void)snprintf(reason, reason_size,
                       "neither is a shard of a run (--shard I/N), so each is a run by itself (compare and plot take "
                       "such results)");
        return false;
    }
    if (!timeline_fits(&into->timeline, &next->timeline)) {
        (void)snprintf(reason, reason_size, "its intervals of %lld us and those of %lld us have no common length",
                       (long long)next->timeline.length_us, (long long)into->timeline.length_us);
        return false;
    }
    double apart_s = (double)(next->started_at_us - into->started_at_us) / 1e6;
    apart_s = apart_s < 0.0 ? -apart_s : apart_s;
    if (apart_s > apart_allowed_s(into, next)) {
        (void)snprintf(reason, reason_size,
                       "it started %.1f s apart, so the two did not run together; give all parts one --start-at "
                       "(compare and plot take such results)",
                       apart_s);
        return false;
    }
    return true;
}

static json_t *part_json(const struct result *result)
{
    json_t *host = json_object_get(json_object_get(result->about, "environment"), "host");
    return json_pack("{s:I, s:I, s:O}", "shard", (json_int_t)result->shard_index, "started_at_us",
                     (json_int_t)result->started_at_us, "host", host == NULL ? json_null() : host);
}

static json_t *parts_of(struct result *result)
{
    json_t *parts = json_object_get(result->about, "parts");
    if (parts == NULL) {
        parts = json_array();
        (void)json_array_append_new(parts, part_json(result));
        (void)json_object_set_new(result->about, "parts", parts);
    }
    return parts;
}

int merge_add(struct result *into, struct result *next)
{
    (void)json_array_append_new(parts_of(into), part_json(next));
    into->shard_index = 0;
    into->shards_merged += next->shards_merged;
    return result_add(into, next);
}

static int merge_files(struct result *merged, const struct string_list *files)
{
    char error[512];
    char reason[256];
    if (result_load(merged, files->items[0], error, sizeof error) != 0) {
        return tools_complain(TOOLS_USAGE, error);
    }
    (void)parts_of(merged);
    for (size_t i = 1; i < files->count; i++) {
        struct result next;
        if (result_load(&next, files->items[i], error, sizeof error) != 0) {
            return tools_complain(TOOLS_USAGE, error);
        }
        bool matches = merge_matches(merged, &next, reason, sizeof reason);
        int rc = matches ? merge_add(merged, &next) : 0;
        result_free(&next);
        if (!matches) {
            (void)snprintf(error, sizeof error, "%s does not match %s: %s", files->items[i], files->items[0], reason);
            return tools_complain(TOOLS_USAGE, error);
        }
        if (rc != 0) {
            return tools_complain(TOOLS_WRONG, "out of memory");
        }
    }
    if (merged->shards_merged < merged->shard_count) {
        (void)fprintf(stderr, "sshload: note: %llu of %llu shards are here; the figures lack the others\n",
                      (unsigned long long)merged->shards_merged, (unsigned long long)merged->shard_count);
    }
    return TOOLS_OK;
}

int merge_run(const void *values, const struct string_list *files)
{
    const struct merge_options *options = values;
    struct result merged = {0};
    char error[512];
    int code = merge_files(&merged, files);
    if (code == TOOLS_OK && !options->quiet) {
        bool json_on_stdout = options->json != NULL && strcmp(options->json, "-") == 0;
        report_print(&merged, json_on_stdout ? stderr : stdout);
    }
    if (code == TOOLS_OK && options->json != NULL && result_save(&merged, options->json, error, sizeof error) != 0) {
        code = tools_complain(TOOLS_WRONG, error);
    }
    if (code == TOOLS_OK &&
        report_save_files(&merged, options->hdr, options->hlog, options->csv, error, sizeof error) != 0) {
        code = tools_complain(TOOLS_WRONG, error);
    }
    result_free(&merged);
    return code;
}
