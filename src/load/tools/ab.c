/* Inside the room of tools.h: runs that take turns (ab), and runs again and again (--repeat). */
#include "load/result/verdict.h"
#include "load/tools/sets.h"
#include "load/tools/spawn.h"
#include "load/tools/tools.h"
#include "load/tools/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wordexp.h>

struct ab_options {
    uint64_t pairs;
    char *a, *b, *tolerance, *json, *keep;
    bool force, help;
};

#define AT(field) offsetof(struct ab_options, field)
static const struct option_spec specs[] = {
    {"pairs", 'n', OPTION_COUNT, AT(pairs), 1, BOOTSTRAP_RUNS_MAX, "10", NULL, "N",
     "Runs of each side; at least 4 to tell a change from chance.", "Options", OPTION_COMMAND_LINE},
    {"a", 0, OPTION_STRING, AT(a), 0, 0, NULL, NULL, "OPTIONS", "Options of side A alone, in one word.", "Options",
     OPTION_COMMAND_LINE},
    {"b", 0, OPTION_STRING, AT(b), 0, 0, NULL, NULL, "OPTIONS", "Options of side B alone.", "Options",
     OPTION_COMMAND_LINE},
    {"tolerance", 0, OPTION_STRING, AT(tolerance), 0, 0, "5%", NULL, "PERCENT",
     "How far a figure may move and still count as the same.", "Options", OPTION_COMMAND_LINE},
    {"force", 0, OPTION_BOOL, AT(force), 0, 0, "no", NULL, NULL, "As for compare.", "Options", OPTION_COMMAND_LINE},
    {"json", 0, OPTION_STRING, AT(json), 0, 0, NULL, NULL, "FILE", "Write the comparison as JSON; - is stdout.",
     "Options", OPTION_COMMAND_LINE},
    {"keep", 0, OPTION_STRING, AT(keep), 0, 0, NULL, NULL, "DIRECTORY",
     "Leave the result of each run there: a1.json, b1.json, ...", "Options", OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, AT(help), 0, 0, "no", NULL, NULL, "Print this and exit.", "Options",
     OPTION_COMMAND_LINE},
};

const struct option_table ab_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload ab -n N [OPTION OF A RUN]... TARGET_A TARGET_B\n"
             "       sshload ab -n N --a 'OPTIONS' --b 'OPTIONS' [OPTION OF A RUN]... TARGET...",
};

/* The targets among the words of a run, which is checked on the way. */
static int find_targets(const struct words *runs, struct string_list *targets)
{
    struct load_options options;
    struct option_state given;
    struct option_error error = {.text = ""};
    int code = words_read_run(runs, &options, &given, targets, &error) != 0 ? tools_complain(TOOLS_USAGE, error.text)
                                                                            : TOOLS_OK;
    options_free(&load_option_table, &options, &given);
    return code;
}

/* ---- runs ---- */

struct side {
    char letter;
    const char *target; /* the other side's is left out; NULL: all are taken */
    wordexp_t own;
    bool has_own;
    char **files;
};

static int run_once(const struct side *side, const char *other_target, const struct words *runs, const char *file,
                    int *stopped)
{
    static char quiet[] = "--quiet", calm[] = "--no-progress", json[] = "--json", once[] = "--repeat=1";
    size_t count = 0;
    char *path = strdup(file);
    char **words = calloc(runs->count + (side->has_own ? side->own.we_wordc : 0) + 8, sizeof *words);
    int code = -1;
    if (words == NULL || path == NULL) {
        goto out;
    }
    for (size_t i = 0; i < runs->count; i++) {
        if (side->target == NULL || runs->items[i] != other_target) { /* the very word, not one that looks like it */
            words[count++] = runs->items[i];
        }
    }
    for (size_t i = 0; side->has_own && i < side->own.we_wordc; i++) {
        words[count++] = side->own.we_wordv[i];
    }
    char *const last[] = {quiet, calm, once, json, path};
    memcpy(words + count, last, sizeof last);
    count += sizeof last / sizeof last[0];
    (void)unlink(file);
    code = spawn_run(words, count, stopped);
out:
    free(words);
    free(path);
    return code;
}

static int split_own(struct side *side, const char *text)
{
    if (text == NULL) {
        return TOOLS_OK;
    }
    if (wordexp(text, &side->own, WRDE_NOCMD | WRDE_UNDEF) != 0) {
        return tools_complain(TOOLS_USAGE, "ab: --a and --b take options as a shell would read them, without commands");
    }
    side->has_own = true;
    return TOOLS_OK;
}

static bool name_files(struct side *side, const char *directory, size_t count)
{
    side->files = calloc(count, sizeof *side->files);
    for (size_t i = 0; side->files != NULL && i < count; i++) {
        if (asprintf(&side->files[i], "%s/%c%zu.json", directory, side->letter, i + 1) < 0) {
            side->files[i] = NULL;
            return false;
        }
    }
    return side->files != NULL;
}

/* Runs in the order A B B A A B B A ..., so that a machine that grows slower or faster favours neither. Returns the
 * pairs that are complete, or -1. */
static int take_turns(struct side sides[2], const struct words *runs, size_t pairs)
{
    int stopped = 0;
    for (size_t i = 0; i < pairs; i++) {
        for (size_t turn = 0; turn < 2; turn++) {
            struct side *side = &sides[(turn + i) % 2];
            const struct side *other = side == &sides[0] ? &sides[1] : &sides[0];
            if (isatty(STDERR_FILENO)) {
                (void)fprintf(stderr, "\r\x1b[Krun %zu of %zu: %c", 2 * i + turn + 1, 2 * pairs, side->letter);
            }
            /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who gets here has named the files of both sides */
            int code = run_once(side, other->target, runs, side->files[i], &stopped);
            if (stopped != 0) {
                return (int)i;
            }
            if (code < 0 || code == TOOLS_USAGE || access(side->files[i], R_OK) != 0) {
                return -1; /* it has said why */
            }
        }
    }
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r\x1b[K", stderr);
    }
    return (int)pairs;
}

static int judge(const struct side sides[2], size_t pairs, const struct ab_options *options, double tolerance)
{
    struct compare_set a = {0};
    struct compare_set b = {0};
    struct compare_rules rules = {.tolerance = tolerance,
                                  .paired = true,
                                  .differing = sides[0].has_own || sides[1].has_own,
                                  .force = options->force,
                                  .json = options->json};
    int code = compare_set_load(&a, sides[0].files, pairs);
    if (code == TOOLS_OK) {
        code = compare_set_load(&b, sides[1].files, pairs);
    }
    if (code == TOOLS_OK) {
        code = compare_judge(&a, &b, &rules);
    }
    compare_set_free(&a);
    compare_set_free(&b);
    return code;
}

static void side_free(struct side *side, size_t pairs, bool keep)
{
    for (size_t i = 0; side->files != NULL && i < pairs; i++) {
        if (!keep && side->files[i] != NULL) {
            (void)unlink(side->files[i]);
        }
        free(side->files[i]);
    }
    free(side->files);
    if (side->has_own) {
        wordfree(&side->own);
    }
}

static int alternate(const struct ab_options *options, const struct words *runs, const struct string_list *targets)
{
    char directory[] = "/tmp/sshload-ab.XXXXXX";
    const char *place = options->keep;
    struct side sides[2] = {{.letter = 'a'}, {.letter = 'b'}};
    bool settings_differ = options->a != NULL || options->b != NULL;
    double tolerance = 0.0;
    if (!compare_parse_tolerance(options->tolerance, &tolerance)) {
        return tools_complain(TOOLS_USAGE, "--tolerance: allowed: a percentage from 0 to 1000, such as 5%");
    }
    if (settings_differ ? targets->count == 0 : targets->count != 2) {
        return tools_complain(TOOLS_USAGE, settings_differ
                                               ? "ab: needs a target"
                                               : "ab: needs two targets, or --a and --b for two settings of one run");
    }
    if (!settings_differ) {
        sides[0].target = targets->items[0];
        sides[1].target = targets->items[1];
    }
    size_t pairs = (size_t)options->pairs;
    int code = split_own(&sides[0], options->a);
    code = code == TOOLS_OK ? split_own(&sides[1], options->b) : code;
    if (code == TOOLS_OK && place == NULL && (place = mkdtemp(directory)) == NULL) {
        code = tools_complain(TOOLS_WRONG, "ab: no temporary directory can be made in /tmp");
    }
    if (code == TOOLS_OK && !(name_files(&sides[0], place, pairs) && name_files(&sides[1], place, pairs))) {
        code = tools_complain(TOOLS_WRONG, "out of memory");
    }
    if (code == TOOLS_OK) {
        int done = take_turns(sides, runs, pairs);
        if (done > 0 && (size_t)done < pairs) {
            (void)fprintf(stderr, "sshload: interrupted after %d of %llu pairs\n", done,
                          (unsigned long long)options->pairs);
        }
        code = done > 0 ? judge(sides, (size_t)done, options, tolerance)
                        : tools_complain(TOOLS_WRONG, "ab: no comparison, since a run left no result");
    }
    side_free(&sides[0], pairs, options->keep != NULL);
    side_free(&sides[1], pairs, options->keep != NULL);
    if (options->keep == NULL && place != NULL) {
        (void)rmdir(place);
    }
    return code;
}

int ab_run(int argc, char **argv)
{
    struct ab_options options = {0};
    struct option_state given = {0};
    struct option_error error = {.text = ""};
    struct string_list rest = {0};
    struct string_list targets = {0};
    struct words_line line;
    int code;
    if (words_sort(&ab_option_table, argc, argv, &line) != 0) {
        code = tools_complain(TOOLS_WRONG, "out of memory");
        goto out;
    }
    if (options_init(&ab_option_table, &options, &given, &error) != 0 ||
        options_parse_arguments(&ab_option_table, &options, &given, (int)line.ours.count, line.ours.items, &rest,
                                &error) != 0) {
        code = tools_complain(TOOLS_USAGE, error.text);
    } else if (options.help) {
        options_print_help(&ab_option_table, stdout);
        code = TOOLS_OK;
    } else if ((code = find_targets(&line.runs, &targets)) == TOOLS_OK) {
        code = alternate(&options, &line.runs, &targets);
    }
    options_free(&ab_option_table, &options, &given);
out:
    free(rest.items);
    free(targets.items);
    words_free(&line);
    return code;
}

/* ---- --repeat ---- */

/* "result.json" and 3: "result-3.json". */
static bool numbered(char **out, const char *path, size_t number)
{
    const char *dot = strrchr(path, '.');
    const char *slash = strrchr(path, '/');
    int stem = dot != NULL && dot > path && (slash == NULL || dot > slash + 1) ? (int)(dot - path) : (int)strlen(path);
    return asprintf(out, "%.*s-%zu%s", stem, path, number, path + stem) >= 0;
}

int repeat_run(const struct load_options *options, int argc, char **argv)
{
    char directory[] = "/tmp/sshload-repeat.XXXXXX";
    char unnamed[64];
    size_t count = (size_t)options->repeat;
    size_t done = 0;
    int worst = TOOLS_OK;
    int stopped = 0;
    struct words runs = {argv + 1, (size_t)argc - 1};
    struct side side = {.letter = 'r'};
    struct compare_set set = {0};
    const char *path = options->json;
    if (path == NULL && mkdtemp(directory) == NULL) {
        return tools_complain(TOOLS_WRONG, "--repeat: no temporary directory can be made in /tmp");
    }
    (void)snprintf(unnamed, sizeof unnamed, "%s/run.json", directory);
    side.files = calloc(count, sizeof *side.files);
    while (side.files != NULL && done < count && stopped == 0) {
        if (!numbered(&side.files[done], path != NULL ? path : unnamed, done + 1)) {
            side.files[done] = NULL;
            break;
        }
        int code = run_once(&side, NULL, &runs, side.files[done], &stopped);
        worst = code < 0 ? TOOLS_WRONG : code > worst ? code : worst;
        done++;
        if (code < 0 || access(side.files[done - 1], R_OK) != 0) {
            break;
        }
    }
    if (done > 0 && access(side.files[done - 1], R_OK) == 0 && compare_set_load(&set, side.files, done) == TOOLS_OK &&
        !options->quiet) {
        sets_summarize(&(struct run_set){set.results, set.count}, 1, stdout);
        for (size_t i = 0; i < set.count; i++) {
            const char *why = verdict_unfit(&set.results[i]);
            if (why != NULL) {
                (void)printf("Note: run %zu says little about the server: %s\n", i + 1, why);
            }
        }
    } else if (set.count == 0) {
        worst = worst == TOOLS_OK ? TOOLS_WRONG : worst;
    }
    compare_set_free(&set);
    side_free(&side, done, path != NULL);
    if (path == NULL) {
        (void)rmdir(directory);
    }
    return worst;
}
