/* Inside the room of options.h: the configuration file, read with libconfuse. */
#include <confuse.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "options_internal.h"

/* A configuration is a page or two; this only stops somebody who names a disk image. */
#define FILE_MAX_BYTES ((size_t)1024 * 1024)

struct key_use {
    int first_line;   /* 0: not seen yet */
    unsigned n_items; /* of a list, so far */
};

struct load {
    const struct option_table *table;
    void *values;
    struct option_state *state;
    struct option_error *error;
    const char *path;
    struct key_use *uses; /* [table->count] */
    bool failed;          /* the first error is the one that is reported */
};

/* libconfuse's callbacks have no argument of ours. (Its scanner is one per process anyway.) */
static struct load *current;

static const char *position(const cfg_t *cfg, char buffer[256])
{
    (void)snprintf(buffer, 256, "%.160s:%d", current->path, cfg->line);
    return buffer;
}

static int check_repeated(struct load *load, const cfg_t *cfg, const cfg_opt_t *opt, const struct option_spec *spec)
{
    struct key_use *use = &load->uses[spec - load->table->specs];
    bool list = spec->type == OPTION_STRING_LIST;
    char where[256];
    /* opt->nvalues counts this value too; a second `key = {...}` begins at 1 again. */
    if (use->first_line != 0 && (!list || opt->nvalues <= use->n_items))
        return option_fail(load->error, position(cfg, where), spec->name, "given twice, first on line %d%s",
                           use->first_line, list ? " (+= adds to a list)" : "");
    if (use->first_line == 0)
        use->first_line = cfg->line;
    use->n_items = opt->nvalues;
    return 0;
}

/* Called with each value as it is read, while cfg->line is its line. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
    struct load *load = current;
    char where[256];
    const struct option_spec *spec = options_find(load->table, opt->name);
    int rc = -1;
    (void)position(cfg, where);
    if (!spec)
        rc = option_fail(load->error, where, opt->name, "no such option");
    else if (spec->flags & OPTION_COMMAND_LINE)
        rc = option_fail(load->error, where, spec->name, "belongs on the command line, as --%s", spec->name);
    else if (check_repeated(load, cfg, opt, spec) == 0)
        rc = option_apply(load->table, load->values, load->state, spec, OPTION_RANK_FILE, where, text, load->error);
    if (rc != 0)
        load->failed = true;
    *(const char **)result = text;
    return rc;
}

/* `key = {}` makes libconfuse call nobody, and it takes the default away. */
static int apply_empty_lists(struct load *load, cfg_t *cfg)
{
    for (size_t i = 0; i < load->table->count; i++) {
        const struct option_spec *spec = &load->table->specs[i];
        const cfg_opt_t *opt = spec->type == OPTION_STRING_LIST ? cfg_getopt(cfg, spec->name) : NULL;
        if (opt && opt->nvalues == 0 && (opt->flags & CFGF_MODIFIED) && !(spec->flags & OPTION_COMMAND_LINE) &&
            option_apply(load->table, load->values, load->state, spec, OPTION_RANK_FILE, load->path, "", load->error))
            return -1;
    }
    return 0;
}

/* libconfuse's own complaints. Its message for an unknown key is recognized by its format; any other passes as it is.
 */
static void on_error(cfg_t *cfg, const char *format, va_list arguments)
{
    struct load *load = current;
    if (!load || load->failed)
        return;
    load->failed = true;
    char where[256];
    char message[300];
    (void)position(cfg, where);
    (void)vsnprintf(message, sizeof message, format, arguments);
    static const char unknown[] = "no such option '";
    size_t length = strlen(message);
    if (strncmp(message, unknown, sizeof unknown - 1) == 0 && message[length - 1] == '\'') {
        message[length - 1] = '\0';
        const char *key = message + sizeof unknown - 1;
        const char *similar = option_similar(load->table, key);
        (void)option_fail(load->error, where, key, "no such option%s%s%s", similar ? ", did you mean " : "",
                          similar ? similar : "", similar ? "?" : "");
        return;
    }
    (void)option_fail(load->error, where, NULL, "%s", message);
}

static cfg_t *make_parser(const struct option_table *table)
{
    cfg_opt_t *opts = calloc(table->count + 1, sizeof *opts);
    if (!opts)
        return NULL;
    for (size_t i = 0; i < table->count; i++) {
        bool list = table->specs[i].type == OPTION_STRING_LIST;
        opts[i] = (cfg_opt_t){
            .name = table->specs[i].name,
            .type = CFGT_STR,
            .flags = CFGF_NODEFAULT | (list ? CFGF_LIST : CFGF_NONE),
            .parsecb = on_value,
        };
    }
    opts[table->count] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = cfg_init(opts, CFGF_NONE); /* copies opts */
    free(opts);
    if (cfg)
        (void)cfg_set_error_function(cfg, on_error);
    return cfg;
}

/* Where the scan below is in the text. */
struct cursor {
    char *at;
    int line;
};

static void skip(struct cursor *cursor)
{
    if (*cursor->at == '\n')
        cursor->line++;
    cursor->at++;
}

static void blank(struct cursor *cursor)
{
    if (*cursor->at != '\n')
        *cursor->at = ' ';
    skip(cursor);
}

static int fail_at(const struct load *load, int line, const char *message)
{
    char where[256];
    (void)snprintf(where, sizeof where, "%.160s:%d", load->path, line);
    return option_fail(load->error, where, NULL, "%s", message);
}

/* "${NAME}": libconfuse would look for the brace up to the end of the file. */
static bool variable_is_closed(const char *at)
{
    return at[0] != '$' || at[1] != '{' || at[2 + strcspn(at + 2, "}\"'\n")] == '}';
}

static int skip_string(const struct load *load, struct cursor *cursor)
{
    int line = cursor->line;
    char quote = *cursor->at;
    for (skip(cursor); *cursor->at != quote; skip(cursor)) {
        if (quote == '"' && !variable_is_closed(cursor->at))
            return fail_at(load, cursor->line, "${ without }, write \\$ for a plain dollar sign");
        if (*cursor->at == '\\' && cursor->at[1] != '\0')
            skip(cursor);
        if (*cursor->at == '\0')
            return fail_at(load, line, "a string begins here that does not end");
    }
    skip(cursor);
    return 0;
}

static int blank_block_comment(const struct load *load, struct cursor *cursor)
{
    int line = cursor->line;
    blank(cursor);
    blank(cursor);
    while (*cursor->at != '\0' && (cursor->at[0] != '*' || cursor->at[1] != '/'))
        blank(cursor);
    if (*cursor->at == '\0')
        return fail_at(load, line, "a comment begins here that does not end");
    blank(cursor);
    blank(cursor);
    return 0;
}

/* Turns comments into spaces and refuses what does not end. libconfuse counts lines wrongly after a comment, takes an
 * open comment for the end of the file, and tells an open string as an error of the last line. */
static int prepare_text(const struct load *load, char *text)
{
    struct cursor cursor = {.at = text, .line = 1};
    bool in_word = false; /* "http://x" holds no comment */
    while (*cursor.at != '\0') {
        int rc = 0;
        bool slash = *cursor.at == '/' && !in_word;
        if (*cursor.at == '"' || *cursor.at == '\'')
            rc = skip_string(load, &cursor);
        else if (slash && cursor.at[1] == '*')
            rc = blank_block_comment(load, &cursor);
        else if (*cursor.at == '#' || (slash && cursor.at[1] == '/'))
            while (*cursor.at != '\n' && *cursor.at != '\0')
                blank(&cursor);
        else if (!variable_is_closed(cursor.at))
            rc = fail_at(load, cursor.line, "${ without }, write \"\\$...\" for a plain dollar sign");
        else {
            in_word = !strchr(" \t\r\n={}()+,", *cursor.at);
            skip(&cursor);
            continue;
        }
        if (rc != 0)
            return -1;
        in_word = false;
    }
    return 0;
}

/* Reads the whole file before libconfuse sees it: its scanner ends the process when a read fails. Makes sure that a
 * line break ends it. Returns the malloc'd text, or NULL with the error filled in. */
static char *read_text(const char *path, struct option_error *error)
{
    char *text = NULL;
    size_t length;
    bool failed = true;
    struct stat status;
    FILE *file = fopen(path, "re");
    if (!file) {
        (void)option_fail(error, path, NULL, "cannot open: %s", strerror(errno));
        return NULL;
    }
    if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode)) {
        (void)option_fail(error, path, NULL, "is a directory, not a file");
        goto out;
    }
    text = malloc(FILE_MAX_BYTES + 2);
    if (!text) {
        (void)option_fail(error, path, NULL, "out of memory");
        goto out;
    }
    length = fread(text, 1, FILE_MAX_BYTES + 1, file);
    if (ferror(file))
        (void)option_fail(error, path, NULL, "cannot read: %s", strerror(errno));
    else if (length > FILE_MAX_BYTES)
        (void)option_fail(error, path, NULL, "larger than 1 MiB, not a configuration file");
    else if (memchr(text, '\0', length))
        (void)option_fail(error, path, NULL, "holds a NUL byte, not a configuration file");
    else
        failed = false;
    if (failed)
        goto out;
    if (length == 0 || text[length - 1] != '\n')
        text[length++] = '\n';
    text[length] = '\0';
out:
    (void)fclose(file);
    if (failed) {
        free(text);
        text = NULL;
    }
    return text;
}

static int parse_text(struct load *load, char *text)
{
    int rc = -1;
    cfg_t *cfg = make_parser(load->table);
    FILE *stream = fmemopen(text, strlen(text), "r");
    if (!cfg || !stream) {
        (void)option_fail(load->error, load->path, NULL, "out of memory");
        goto out;
    }
    current = load;
    rc = cfg_parse_fp(cfg, stream);
    current = NULL;
    if (rc == CFG_SUCCESS && !load->failed) {
        rc = apply_empty_lists(load, cfg);
        goto out;
    }
    if (!load->failed)
        (void)option_fail(load->error, load->path, NULL, "cannot be parsed");
    rc = -1;
out:
    if (stream)
        (void)fclose(stream);
    if (cfg)
        (void)cfg_free(cfg);
    return rc;
}

int options_load_file(const struct option_table *table, void *values, struct option_state *state, const char *path,
                      struct option_error *error)
{
    int rc = -1;
    struct load load = {.table = table, .values = values, .state = state, .error = error, .path = path};
    char *text = read_text(path, error);
    if (!text)
        return -1;
    load.uses = calloc(table->count + 1, sizeof *load.uses);
    if (!load.uses)
        (void)option_fail(error, path, NULL, "out of memory");
    else if (prepare_text(&load, text) == 0)
        rc = parse_text(&load, text);
    free(load.uses);
    free(text);
    return rc;
}
