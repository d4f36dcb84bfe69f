/* Fuzzes config.h with the server's real table: up to the first NUL the input is lines of -o, behind it the file.
 * Derived values must hold their bounds whatever was given. */
#include "fuzz_files.h"

#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARGUMENTS_MAX 40

static void check(struct config *config, const struct option_error *error)
{
    if (config == NULL) {
        fuzz_check_error(error);
        return;
    }
    if (config->help || config->version || config->sample) {
        abort(); /* no configuration keys */
    }
    if (config->profile == PROFILE_AUTO || config->auth_mask == 0 || config->workers == 0 || config->workers > 256 ||
        config->listen.count == 0 || config->kex_per_turn == 0 || config->pending_bytes == 0) {
        abort();
    }
    if (config->unauth_full != 0 && (config->unauth_start > config->unauth_full || config->unauth_percent > 100)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "sshechod", set[] = "-o", from[] = "--config";
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    size_t arguments_bytes = end != NULL ? (size_t)(end - data) : size;
    struct fuzz_file file;
    fuzz_file_open(&file, end != NULL ? end + 1 : data, end != NULL ? size - arguments_bytes - 1 : 0);
    char *text = malloc(arguments_bytes + 1);
    if (text == NULL) {
        abort();
    }
    if (arguments_bytes > 0) {
        (void)memcpy(text, data, arguments_bytes);
    }
    text[arguments_bytes] = '\0';
    char *argv[ARGUMENTS_MAX] = {program, from, file.path};
    int argc = 3;
    for (char *next = text; next != NULL && *next != '\0' && argc + 2 < ARGUMENTS_MAX;) {
        argv[argc++] = set;
        argv[argc++] = strsep(&next, "\n");
    }
    struct option_error error = {""};
    struct config *config = config_read(argc, argv, &error);
    check(config, &error);
    config_free(config);
    free(text);
    (void)close(file.fd);
    return 0;
}
