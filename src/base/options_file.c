/* Inside the room of options.h: the configuration file, one `key value` a line as in sshd_config. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "options_internal.h"

/* A configuration is a page or two; this only stops somebody who names a disk image. */
#define FILE_MAX_BYTES ((size_t)1024 * 1024)

static const char blanks[] = " \t\r";

struct load {
    const struct option_table *table;
    void *values;
    struct option_state *state;
    struct option_error *error;
    const char *path;
    int *first_lines; /* [table->count]; 0: not seen yet */
    char where[256];  /* "PATH:LINE" of the line being read */
};

static int fail(struct load *load, const char *key, const char *message)
{
    return option_fail(load->error, load->where, key, "%s", message);
}

static int hex_value(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Takes the quotes off in place: \\, \" (or \') and \xNN are understood in them. NULL: the string does not end,
 * something follows it, or a NUL byte is in it. */
static char *unquote(char *text)
{
    char quote = *text;
    char *from = text + 1;
    char *to = text;
    while (*from != quote) {
        if (*from == '\\' && from[1] == 'x' && isxdigit((unsigned char)from[2]) && isxdigit((unsigned char)from[3])) {
            *to = (char)(hex_value(from[2]) * 16 + hex_value(from[3]));
            from += 4;
            if (*to++ == '\0') {
                return NULL;
            }
            continue;
        }
        from += *from == '\\' && (from[1] == quote || from[1] == '\\') ? 1 : 0;
        if (*from == '\0') {
            return NULL;
        }
        *to++ = *from++;
    }
    from++;
    from += strspn(from, blanks);
    if (*from != '\0' && *from != '#') {
        return NULL;
    }
    *to = '\0';
    return text;
}

/* A value without quotes ends before a comment, or with the line. */
static char *trim(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '#' && (at == text || strchr(blanks, at[-1]) != NULL)) {
            *at = '\0';
            break;
        }
    }
    size_t length = strlen(text);
    while (length > 0 && strchr(blanks, text[length - 1]) != NULL) {
        length--;
    }
    text[length] = '\0';
    return text;
}

/* What stands behind the key; NULL with the error filled in. */
static char *read_value(struct load *load, const char *key, char *text)
{
    if (strncmp(text, "+=", 2) == 0) {
        (void)fail(load, key, "to add to a list, write the key once more on a line of its own");
        return NULL;
    }
    if (*text == '=') { /* "key = value" is as good */
        text += 1 + strspn(text + 1, blanks);
    }
    if (*text == '{') {
        (void)fail(load, key, "a list is written one value a line, each behind the key");
        return NULL;
    }
    if (*text == '"' || *text == '\'') {
        char *value = unquote(text);
        if (value == NULL) {
            (void)fail(load, key, "the quoted value does not end with the line");
        }
        return value;
    }
    if (*trim(text) == '\0') {
        (void)fail(load, key, "needs a value (\"\" for none)");
        return NULL;
    }
    return text;
}

static int read_line(struct load *load, char *line, int number)
{
    (void)snprintf(load->where, sizeof load->where, "%.160s:%d", load->path, number);
    char *key = line + strspn(line, blanks);
    if (*key == '\0' || *key == '#') {
        return 0;
    }
    size_t length = strcspn(key, " \t\r=+");
    char *rest = key + length + strspn(key + length, blanks);
    if (length == 0) {
        return fail(load, NULL, "a line begins with a key");
    }
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), key);
    const struct option_spec *spec = options_find(load->table, name);
    if (spec == NULL) {
        return option_unknown(load->table, load->where, name, load->error);
    }
    if ((spec->flags & OPTION_COMMAND_LINE) != 0) {
        return option_fail(load->error, load->where, name, "belongs on the command line, as --%s", name);
    }
    int *first_line = &load->first_lines[spec - load->table->specs];
    if (*first_line != 0 && spec->type != OPTION_STRING_LIST) {
        return option_fail(load->error, load->where, name, "given twice, first on line %d", *first_line);
    }
    *first_line = *first_line != 0 ? *first_line : number;
    const char *value = read_value(load, name, rest);
    if (value == NULL) {
        return -1;
    }
    return option_apply(load->table, load->values, load->state, spec, OPTION_RANK_FILE, load->where, value,
                        load->error);
}

/* Returns the malloc'd text, or NULL with the error filled in. */
static char *read_text(const char *path, struct option_error *error)
{
    char *text = NULL;
    size_t length;
    bool good = false;
    struct stat status;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)option_fail(error, path, NULL, "cannot open: %s", strerror(errno));
        return NULL;
    }
    if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode)) {
        (void)option_fail(error, path, NULL, "is a directory, not a file");
        goto out;
    }
    text = malloc(FILE_MAX_BYTES + 2);
    if (text == NULL) {
        (void)option_fail(error, path, NULL, "out of memory");
        goto out;
    }
    length = fread(text, 1, FILE_MAX_BYTES + 1, file);
    text[length] = '\0';
    if (ferror(file) != 0) {
        (void)option_fail(error, path, NULL, "cannot read: %s", strerror(errno));
    } else if (length > FILE_MAX_BYTES) {
        (void)option_fail(error, path, NULL, "larger than 1 MiB, not a configuration file");
    } else if (memchr(text, '\0', length) != NULL) {
        (void)option_fail(error, path, NULL, "holds a NUL byte, not a configuration file");
    } else {
        good = true;
    }
out:
    (void)fclose(file);
    if (!good) {
        free(text);
        text = NULL;
    }
    return text;
}

int options_load_file(const struct option_table *table, void *values, struct option_state *state, const char *path,
                      struct option_error *error)
{
    int rc = -1;
    struct load load = {.table = table, .values = values, .state = state, .error = error, .path = path};
    char *text = read_text(path, error);
    if (text == NULL) {
        return -1;
    }
    load.first_lines = calloc(table->count + 1, sizeof *load.first_lines);
    if (load.first_lines == NULL) {
        (void)option_fail(error, path, NULL, "out of memory");
        goto out;
    }
    rc = 0;
    char *rest = text;
    for (int number = 1; rc == 0 && rest != NULL; number++) {
        char *line = strsep(&rest, "\n");
        rc = read_line(&load, line, number);
    }
out:
    free(load.first_lines);
    free(text);
    return rc;
}
