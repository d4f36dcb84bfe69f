#include "server/process/generation.h"

#include <stdlib.h>
#include <unistd.h>

#include "server/figures/metrics.h"
#include "server/identity/algorithms.h"
#include "server/process/sandbox.h"
#include "server/process/selftest.h"
#include "server/report/report_file.h"
#include "sshecho/log.h"

struct generation *generation_adopt(struct config *config)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL) {
        config_free(config);
        return NULL;
    }
    config->sandbox = true;
    config->ready_timeout_us = (uint64_t)20 * 1000000;
    generation->config = config;
    generation->metrics_fd = generation->report_fd = -1;
    generation->adopted = true;
    return generation;
}

struct generation *generation_create(struct config *config, const struct generation *previous,
                                     struct option_error *error)
{
    struct generation *generation = calloc(1, sizeof *generation);
    ssh_bind trial = NULL;
    if (generation == NULL) {
        (void)option_fail(error, NULL, NULL, "out of memory");
        config_free(config);
        return NULL;
    }
    generation->config = config;
    generation->metrics_fd = generation->report_fd = -1;
    if (sandbox_check(config, error) != 0 || algorithms_narrow(config, error) != 0 ||
        hostkeys_load(&generation->keys, config, previous != NULL ? &previous->keys : NULL, error) != 0) {
        goto bad;
    }
    generation->credentials = credentials_read(config, error);
    if (generation->credentials == NULL) {
        goto bad;
    }
    trial = algorithms_make_bind(&generation->keys, config, error);
    if (trial == NULL) {
        goto bad;
    }
    char why[256];
    if (!selftest_run(trial, config, &generation->takes_forgeries, why, sizeof why)) {
        (void)option_fail(
            error, NULL, NULL,
            "host keys and algorithm lists do not work together (kex, host-key-algorithms, ciphers, macs): %s", why);
        ssh_bind_free(trial);
        goto bad;
    }
    ssh_bind_free(trial);
    return generation;
bad:
    generation_free(generation);
    return NULL;
}

int generation_open(struct generation *generation, const struct generation *previous, struct option_error *error)
{
    const struct config *config = generation->config;
    if (config->metrics_listen != NULL) {
        generation->metrics_fd =
            metrics_open(config, previous != NULL ? previous->metrics_fd : -1,
                         previous != NULL ? &previous->metrics_asked : NULL, &generation->metrics_asked, error);
        if (generation->metrics_fd < 0) {
            return -1;
        }
    }
    if (config->report_file != NULL) { /* anew with each generation: somebody may have moved the old one away */
        generation->report_fd = report_file_make(config->report_file, error);
        if (generation->report_fd < 0) {
            return -1;
        }
    }
    return listeners_open(&generation->listeners, config, previous != NULL ? &previous->listeners : NULL, error);
}

void generation_close(struct generation *generation)
{
    listeners_close(&generation->listeners);
    generation_close_metrics(generation);
    if (generation->report_fd >= 0) {
        (void)close(generation->report_fd);
        generation->report_fd = -1;
    }
}

void generation_stop_listening(struct generation *generation, const struct generation *keep)
{
    listeners_retire(&generation->listeners, keep != NULL ? &keep->listeners : NULL);
    listeners_close(&generation->listeners);
}

void generation_retire(struct generation *generation, const struct generation *keep)
{
    generation_stop_listening(generation, keep);
    generation_close(generation);
}

void generation_close_metrics(struct generation *generation)
{
    if (generation->metrics_fd >= 0) {
        (void)close(generation->metrics_fd);
        generation->metrics_fd = -1;
    }
}

void generation_free(struct generation *generation)
{
    if (generation != NULL) {
        generation_close(generation);
        credentials_free(generation->credentials);
        hostkeys_free(&generation->keys);
        config_free(generation->config);
        free(generation);
    }
}

void generation_log(const struct generation *generation)
{
    hostkeys_log(&generation->keys);
    if (generation->takes_forgeries) {
        log_line(LOG_WARN, "libssh_unsafe", log_str("why", "it accepts packets whose authentication is wrong"),
                 log_str("note", "update libssh (CVE-2026-59847), or choose other ciphers"));
    }
}
