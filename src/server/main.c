/* sshechod: an SSH echo server. Reads the command line and becomes the master. */
#include <libssh/libssh.h>
#include <stdio.h>

#include "server/config.h"
#include "server/master/master.h"
#include "server/process/generation.h"
#include "sshecho/version.h"

static int check(struct config *config)
{
    struct option_error error = {""};
    /* printed from here: creating the generation may take the configuration with it */
    struct generation *generation = generation_create(config, NULL, &error);
    if (generation == NULL) {
        (void)fprintf(stderr, "sshechod: %s\n", error.text);
        return 2;
    }
    options_print_effective(&config_table, generation->config, stdout);
    generation_free(generation);
    return 0;
}

int main(int argc, char **argv)
{
    struct option_error error = {""};
    if (ssh_init() != SSH_OK) {
        (void)fprintf(stderr, "sshechod: libssh cannot be initialised\n");
        return 1;
    }
    struct config *config = config_read(argc, argv, &error);
    int status = 0;
    if (config == NULL && !master_is_heir()) {
        (void)fprintf(stderr, "sshechod: %s\n", error.text);
        status = 2;
    } else if (config == NULL) {
        status = master_run(NULL, &error, argc, argv);
    } else if (config->help) {
        options_print_help(&config_table, stdout);
        config_free(config);
    } else if (config->version) {
        version_print("sshechod", stdout);
        config_free(config);
    } else if (config->sample) {
        options_print_sample(&config_table, stdout);
        config_free(config);
    } else if (config->check) {
        status = check(config);
    } else {
        status = master_run(config, NULL, argc, argv);
    }
    (void)ssh_finalize();
    if (fflush(stdout) != 0 || ferror(stdout)) { /* a full disk is no success */
        perror("sshechod: standard output");
        status = 1;
    }
    return status;
}
