/* Fuzzes options_load_file: any file is either refused with one line, or its values print as a file that loads to the
 * same values. A good file must load right after it: nothing of a bad one may stay in the parser. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load_bytes(struct fuzz_values *values, struct option_state *state, const void *data, size_t size,
                      struct option_error *error)
{
    char path[32];
    int fd = memfd_create("fuzz.conf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = options_load_file(&fuzz_table, values, state, path, error);
    (void)close(fd);
    return rc;
}

static char *effective(const struct fuzz_values *values, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out)
        abort();
    options_print_effective(&fuzz_table, values, out);
    (void)fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_values values;
    struct option_state state;
    struct option_error error;
    if (options_init(&fuzz_table, &values, &state, &error) != 0)
        abort();
    int rc = load_bytes(&values, &state, data, size, &error);
    fuzz_check(&values, rc, &error);
    if (values.check)
        abort(); /* a command-line option is no key */
    size_t length = 0;
    char *first = effective(&values, &length);
    options_free(&fuzz_table, &values, &state);

    if (options_init(&fuzz_table, &values, &state, &error) != 0 ||
        load_bytes(&values, &state, first, length, &error) != 0)
        abort();
    size_t again_length = 0;
    char *again = effective(&values, &again_length);
    if (again_length != length || memcmp(first, again, length) != 0)
        abort();
    free(first);
    free(again);
    options_free(&fuzz_table, &values, &state);
    return 0;
}
