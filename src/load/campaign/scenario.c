#include "load/campaign/scenario.h"

#include "load/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a scenario decides for all of its groups. */
static const char *const ours[] = {"json",     "hdr",   "hlog",     "csv",   "shard",
                                   "start-at", "label", "progress", "quiet", "interval"};

/* The values of one block as they are read, so that each is checked where it stands. */
struct reader {
    struct scenario *scenario;
    struct load_options options;
    struct option_state given;
    char where[300]; /* FILE:LINE */
    struct option_error *error;
};

static int fail(struct reader *reader, const char *key, const char *what)
{
    return option_fail(reader->error, reader->where, key, "%s", what);
}

int scenario_add_word(struct scenario_group *group, const char *word)
{
    char **words = realloc(group->words, (group->count + 2) * sizeof *words);
    if (words == NULL) {
        return -1;
    }
    group->words = words;
    words[group->count] = strdup(word);
    words[group->count + 1] = NULL;
    return words[group->count++] == NULL ? -1 : 0;
}

static struct scenario_group *block(struct reader *reader)
{
    struct scenario *scenario = reader->scenario;
    return scenario->count == 0 ? &scenario->shared : &scenario->groups[scenario->count - 1];
}

static int begin_group(struct reader *reader, const char *name)
{
    struct scenario *scenario = reader->scenario;
    if (name[0] == '\0' || strlen(name) >= sizeof scenario->shared.name ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != strlen(name)) {
        return fail(reader, "group", "needs a name (allowed: letters, digits, . _ -)");
    }
    if (scenario->count == SCENARIO_GROUPS) {
        return fail(reader, "group", "is one too many (allowed: 32)");
    }
    for (size_t i = 0; i < scenario->count; i++) {
        if (strcmp(scenario->groups[i].name, name) == 0) {
            return option_fail(reader->error, reader->where, "group", "there is one of the name \"%s\" already", name);
        }
    }
    struct scenario_group *group = &scenario->groups[scenario->count++];
    (void)snprintf(group->name, sizeof group->name, "%s", name);
    for (size_t i = 0; i < scenario->shared.count; i++) {
        if (scenario_add_word(group, scenario->shared.words[i]) != 0) {
            return fail(reader, NULL, "out of memory");
        }
    }
    group->targets = scenario->shared.targets;
    return 0;
}

/* What an option's own table cannot check. */
static int check_value(struct reader *reader, const char *key, const char *value)
{
    char problem[480];
    struct plan_rate rate;
    struct plan_size size;
    bool bad = (strcmp(key, "rate") == 0 && plan_rate_parse(value, &rate, problem, sizeof problem) != 0) ||
               (strcmp(key, "size") == 0 && plan_parse_size(value, &size, problem, sizeof problem) != 0);
    return bad ? fail(reader, key, problem) : 0;
}

static int take(struct reader *reader, const char *key, const char *value)
{
    struct scenario_group *group = block(reader);
    char word[4200];
    if (strcmp(key, "group") == 0) {
        return begin_group(reader, value);
    }
    if (value[0] == '\0') {
        return fail(reader, key, "has no value");
    }
    if (strcmp(key, "target") == 0) {
        group->targets++;
        return value[0] == '-'                        ? fail(reader, key, "allowed: [USER@]HOST[:PORT]")
               : scenario_add_word(group, value) != 0 ? fail(reader, NULL, "out of memory")
                                                      : 0;
    }
    const struct option_spec *spec = options_find(&load_option_table, key);
    if (spec == NULL || (spec->flags & OPTION_COMMAND_LINE) != 0) {
        return fail(reader, key, "is unknown (allowed: group, target, and the options of a run)");
    }
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (strcmp(ours[i], key) == 0) {
            return fail(reader, key, "is not a group's to choose");
        }
    }
    if (options_set(&load_option_table, &reader->options, &reader->given, reader->where, key, value, reader->error) !=
            0 ||
        check_value(reader, key, value) != 0) {
        return -1;
    }
    (void)snprintf(word, sizeof word, "%s=%s", key, value);
    return scenario_add_word(group, "-o") != 0 || scenario_add_word(group, word) != 0
               ? fail(reader, NULL, "out of memory")
               : 0;
}

/* Cuts `key value` or `key = value` at blanks; comments and empty lines have no key. */
static int take_line(struct reader *reader, char *line)
{
    char *key = line + strspn(line, " \t");
    key[strcspn(key, "\r\n")] = '\0';
    if (*key == '\0' || *key == '#') {
        return 0;
    }
    char *rest = key + strcspn(key, " \t=");
    char *value = rest + strspn(rest, " \t");
    value += *value == '=' ? 1 + strspn(value + 1, " \t") : 0;
    *rest = '\0';
    size_t length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t')) {
        value[--length] = '\0';
    }
    return take(reader, key, value);
}

static int check_whole(const struct scenario *scenario, const char *path, struct option_error *error)
{
    if (scenario->count == 0) {
        return option_fail(error, path, NULL, "has no group (begin one with: group NAME)");
    }
    for (size_t i = 0; i < scenario->count; i++) {
        if (scenario->groups[i].targets == 0) {
            return option_fail(error, path, "target", "group %s has none, and none stands above the groups",
                               scenario->groups[i].name);
        }
    }
    return 0;
}

int scenario_load(struct scenario *scenario, const char *path, struct option_error *error)
{
    struct reader reader = {.scenario = scenario, .error = error};
    char line[4096];
    int rc = 0;
    *scenario = (struct scenario){0};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return option_fail(error, path, NULL, "%s", strerror(errno));
    }
    rc = options_init(&load_option_table, &reader.options, &reader.given, error);
    for (unsigned number = 1; rc == 0 && fgets(line, sizeof line, file) != NULL; number++) {
        (void)snprintf(reader.where, sizeof reader.where, "%.280s:%u", path, number);
        rc = strlen(line) + 1 == sizeof line ? fail(&reader, NULL, "the line is too long (allowed: 4094 bytes)")
                                             : take_line(&reader, line);
    }
    options_free(&load_option_table, &reader.options, &reader.given);
    (void)fclose(file);
    return rc == 0 ? check_whole(scenario, path, error) : rc;
}

static void free_group(struct scenario_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        free(group->words[i]);
    }
    free(group->words);
}

void scenario_free(struct scenario *scenario)
{
    free_group(&scenario->shared);
    for (size_t i = 0; i < scenario->count; i++) {
        free_group(&scenario->groups[i]);
    }
    *scenario = (struct scenario){0};
}
