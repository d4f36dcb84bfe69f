/* Fuzzes credentials.h: the input is read as an authorized_keys file and as a password file. Each is taken or refused
 * with one line. */
#include "fuzz_files.h"

#include "server/login/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct config *config)
{
    struct option_error error = {""};
    struct credentials *credentials = credentials_read(config, &error);
    if (credentials == NULL) {
        fuzz_check_error(&error);
    }
    credentials_free(credentials);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_file file;
    fuzz_file_open(&file, data, size);
    check(&(struct config){.authorized_keys = file.path});
    check(&(struct config){.password_file = file.path});
    (void)close(file.fd);
    return 0;
}
