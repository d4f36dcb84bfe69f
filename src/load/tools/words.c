#include "load/tools/words.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec *find_ours(const struct option_table *table, const char *word, bool *has_value)
{
    *has_value = false;
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        size_t length = strlen(spec->name);
        if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, spec->name, length) == 0 &&
            (word[2 + length] == '\0' || word[2 + length] == '=')) {
            *has_value = word[2 + length] == '=';
            return spec;
        }
        if (spec->short_name != 0 && word[0] == '-' && word[1] == spec->short_name) {
            *has_value = word[2] != '\0';
            return spec;
        }
    }
    return NULL;
}

int words_sort(const struct option_table *table, int argc, char **argv, struct words_line *out)
{
    *out = (struct words_line){.ours.items = calloc((size_t)argc + 2, sizeof(char *)),
                               .runs.items = calloc((size_t)argc + 2, sizeof(char *))};
    if (out->ours.items == NULL || out->runs.items == NULL) {
        return -1;
    }
    out->ours.items[out->ours.count++] = argv[0];
    for (int i = 1; i < argc; i++) {
        bool has_value = false;
        const struct option_spec *spec = find_ours(table, argv[i], &has_value);
        struct words *side = spec != NULL ? &out->ours : &out->runs;
        side->items[side->count++] = argv[i];
        if (spec != NULL && spec->type != OPTION_BOOL && !has_value && i + 1 < argc) {
            side->items[side->count++] = argv[++i];
        }
    }
    return 0;
}

void words_free(struct words_line *line)
{
    free(line->ours.items);
    free(line->runs.items);
    *line = (struct words_line){0};
}

int words_read_run(const struct words *runs, struct load_options *options, struct option_state *given,
                   struct string_list *targets, struct option_error *error)
{
    static char name[] = "sshload";
    char **argv = calloc(runs->count + 2, sizeof *argv);
    *options = (struct load_options){0};
    *given = (struct option_state){0};
    if (argv == NULL) {
        return option_fail(error, NULL, NULL, "out of memory");
    }
    argv[0] = name;
    memcpy(argv + 1, runs->items, runs->count * sizeof *argv);
    int rc = options_init(&load_option_table, options, given, error);
    if (rc == 0) {
        rc = options_parse_arguments(&load_option_table, options, given, (int)runs->count + 1, argv, targets, error);
    }
    free(argv);
    return rc;
}
