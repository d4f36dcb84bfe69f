/* Inside the room of master_state.h: from one generation to the next. */
#include <ev.h>
#include <stdio.h>
#include <unistd.h>

#include "server/master/master_state.h"
#include "server/master/notify.h"
#include "sshecho/log.h"
#include "sshecho/version.h"

static void use_log_of(const struct generation *generation)
{
    log_setup((enum log_level)generation->config->log_level, (enum log_format)generation->config->log_format,
              STDERR_FILENO, notify_wants_priorities());
}

static struct generation *read_generation(struct master *m, struct option_error *error)
{
    struct config *config = config_read(m->argc, m->argv, error);
    struct generation *next = config != NULL ? generation_create(config, m->generation, error) : NULL;
    if (next != NULL && generation_open(next, m->generation, error) != 0) {
        generation_free(next);
        next = NULL;
    }
    return next;
}

static void refuse(struct master *m, const char *why, const char *note)
{
    bool heir = m->inheritance.kind == INHERITS_ALL;
    counters_add(&m->board->reload_failures, 1);
    log_line(LOG_ERROR, heir ? "upgrade_failed" : "reload_failed", log_str("why", why), log_str("note", note));
    inheritance_end(&m->inheritance);
    if (!m->reload_again && !m->upgrade_again) {
        notify_ready(NULL);
    }
}

static void reload(struct master *m)
{
    struct option_error error = {""};
    m->reload_again = false;
    struct generation *next = read_generation(m, &error);
    if (next == NULL) {
        refuse(m, error.text, "nothing has changed");
        return;
    }
    m->previous = m->generation;
    m->generation = next;
    m->announced = false; /* old workers leave when the new ones are ready */
    m->ready_by_us = m->workers.watched_us + (int64_t)next->config->ready_timeout_us;
    workers_forget_losses(&m->workers);
    use_log_of(next);
    log_line(LOG_INFO, "reloading", log_u64("workers", next->config->workers));
    generation_log(next);
    loop_start_missing_workers(m);
}

void reload_ask(struct master *m)
{
    if (m->draining) {
        return;
    }
    notify_reloading();
    if (m->previous != NULL || !m->announced || m->rehearsal.pid != 0) {
        m->reload_again = true;
        log_line(LOG_INFO, "reload_deferred",
                 log_str("why", m->rehearsal.pid != 0 ? "an upgrade is being rehearsed: it is done when that is over"
                                : m->announced
                                    ? "workers of the last reload are still leaving: it is done when they have"
                                    : "workers are starting: it is done when that is over"));
        return;
    }
    reload(m);
}

/* A rehearsal ends here: it could serve. */
static void answer(struct master *m)
{
    if (inheritance_answer(m->inheritance.fd) != 0) {
        m->status = 1;
    }
    m->draining = true;
    workers_dismiss(&m->workers, NULL);
}

/* The new generation serves: the old one may go. */
static void announce(struct master *m)
{
    struct option_error error = {""};
    struct generation *generation = m->generation;
    if (m->inheritance.kind == INHERITS_REHEARSAL) {
        answer(m);
        return;
    }
    const struct config *config = generation->config;
    if (m->previous != NULL) {
        generation_retire(m->previous, generation);
        counters_add(&m->board->reloads, 1);
    }
    workers_dismiss(&m->workers, generation); /* those of the generation before */
    listeners_log(&generation->listeners);
    if (config->port_file != NULL &&
        listeners_write_port_file(&generation->listeners, config->port_file, &error) != 0) {
        log_line(LOG_ERROR, "port_file", log_str("why", error.text));
    }
    log_line(LOG_INFO, "ready", log_u64("workers", config->workers), log_str("libssh", version_libssh()),
             log_str("profile", config->profile == PROFILE_EXPOSED ? "exposed" : "bench"));
    if (m->inheritance.kind == INHERITS_ALL) {
        log_line(LOG_INFO, "upgraded", log_str("from", m->inheritance.version), log_str("to", SSHECHO_VERSION));
        inheritance_end(&m->inheritance);
    }
    m->announced = m->served = true;
    m->sampled_at = (mono_time){0}; /* the new workers' first figures at once */
    if (!m->reload_again && !m->upgrade_again) {
        notify_ready("serving");
    }
}

/* The new generation has had its time: the old one, which still serves, stays. */
static void roll_back(struct master *m)
{
    struct generation *failed = m->generation;
    char why[128];
    (void)snprintf(why, sizeof why, "its workers are not ready within %g s (ready-timeout)",
                   (double)failed->config->ready_timeout_us / (double)US_PER_S);
    m->generation = m->previous;
    m->previous = failed;
    m->announced = true;
    generation_retire(failed, m->generation);
    workers_dismiss(&m->workers, m->generation);
    workers_forget_losses(&m->workers);
    use_log_of(m->generation);
    refuse(m, why, "the configuration before this one goes on");
    reload_go_on(m);
}

void reload_disinherit(struct master *m, const char *why)
{
    m->generation = m->previous;
    m->previous = NULL;
    m->announced = true;
    use_log_of(m->generation);
    refuse(m, why, "the workers of the program before go on; mend it and send SIGHUP");
}

void reload_look(struct master *m, unsigned ready)
{
    if (m->announced || m->draining || m->is_worker) {
        return;
    }
    if (ready >= m->generation->config->workers) {
        announce(m);
        reload_go_on(m);
    } else if (m->previous != NULL && m->inheritance.kind != INHERITS_REHEARSAL &&
               m->workers.watched_us > m->ready_by_us) {
        roll_back(m);
    }
}

void reload_go_on(struct master *m)
{
    if (m->previous != NULL && workers_count(&m->workers, m->previous) == 0 && m->announced) {
        generation_free(m->previous);
        m->previous = NULL;
    }
    if (m->upgrade_again && upgrade_is_possible(m)) {
        upgrade_start(m);
    } else if (m->reload_again && m->previous == NULL && m->announced && !m->draining && m->rehearsal.pid == 0) {
        reload(m);
    }
}
