/*
 * main.c - room: the entry of sshload.
 *
 * Reads the command line, chooses between a run and the commands that work on its results, and turns outcomes into exit
 * codes: 0 done, 1 something went wrong in the run, 2 bad usage, 99 a --fail-if condition holds.
 */
#include "load/campaign/agents.h"
#include "load/commands.h"
#include "load/connection/login.h"
#include "load/drive/processes.h"
#include "load/drive/run.h"
#include "load/result/gate.h"
#include "load/result/percentiles.h"
#include "load/result/report.h"
#include "load/result/result.h"
#include "load/result/verdict.h"
#include "load/settings.h"
#include "load/tools/tools.h"
#include "sshecho/log.h"
#include "sshecho/net.h"
#include "sshecho/pump.h"
#include "sshecho/version.h"

#include <libssh/libssh.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_GATE = 99 };

static int complain(int code, const char *text)
{
    (void)fprintf(stderr, "sshload: %s\n", text);
    return code;
}

static int parse_gates(const struct load_options *o, struct gate **out, struct option_error *error)
{
    *out = calloc(o->fail_if.count + 1, sizeof **out);
    for (size_t i = 0; *out != NULL && i < o->fail_if.count; i++) {
        char problem[480];
        if (gate_parse(o->fail_if.items[i], &(*out)[i], problem, sizeof problem) != 0) {
            (void)option_fail(error, NULL, "--fail-if", "%s", problem);
            return -1;
        }
    }
    return *out == NULL ? -1 : 0;
}

static int check_percentiles(const struct load_options *o, struct option_error *error)
{
    struct percentiles list;
    char problem[256];
    if (percentiles_parse(o->percentiles, &list, problem, sizeof problem) != 0) {
        return option_fail(error, NULL, "--percentiles", "%s", problem);
    }
    return 0;
}

/* Whether the server can be observed as asked is found before anything is started. */
static int try_observer(const struct settings *settings, struct option_error *error)
{
    struct observed what = run_observed(settings);
    char why[sizeof error->text];
    return observer_try(&what, why, sizeof why) == 0 ? 0 : option_fail(error, NULL, NULL, "%s", why);
}

/* Each thread reads the keys for itself; a file that cannot be read is found before anything is started. */
static int try_keys(const struct settings *settings, struct option_error *error)
{
    struct login_material material;
    char why[sizeof error->text];
    int rc = login_prepare(&material, settings, why, sizeof why);
    if (rc != 0) {
        (void)option_fail(error, NULL, NULL, "%s", why);
    }
    login_release(&material);
    return rc;
}

static int say_outcome(const struct settings *settings, const struct result *result, const struct gate *gates)
{
    const struct load_options *o = &settings->options;
    char error[512];
    int code = result_is_bad(result) ? EXIT_WRONG : EXIT_OK;
    bool report_to_stderr = o->json != NULL && strcmp(o->json, "-") == 0;
    if (!o->quiet) {
        report_print(result, report_to_stderr ? stderr : stdout);
    }
    if (o->json != NULL && result_save(result, o->json, error, sizeof error) != 0) {
        code = complain(EXIT_WRONG, error);
    }
    if (report_save_files(result, o->hdr, o->hlog, o->csv, error, sizeof error) != 0) {
        code = complain(EXIT_WRONG, error);
    }
    bool asked = false; /* about whether the load was sustained */
    for (size_t i = 0; i < o->fail_if.count; i++) {
        asked = asked || gate_is_about(&gates[i], "sustained");
    }
    if (code == EXIT_OK && !asked && !verdict_is_sustained(result)) {
        code = complain(EXIT_WRONG, "the load was not sustained (--fail-if 'sustained < 1' makes this a condition)");
    }
    for (size_t i = 0; i < o->fail_if.count; i++) {
        double actual = 0.0;
        if (gate_is_crossed(&gates[i], result, &actual)) {
            (void)fprintf(stderr, "sshload: failed: %s (it is %.6g)\n", o->fail_if.items[i], actual);
            code = EXIT_GATE;
        }
    }
    if (fflush(stdout) != 0) {
        code = EXIT_WRONG;
    }
    return code;
}

static int load(const struct settings *settings, const struct gate *gates, int argc, char **argv)
{
    struct result result;
    char error[512];
    int code;
    const uint64_t descriptors = net_raise_fd_limit();
    const unsigned processes = processes_for(settings, descriptors);
    (void)pump_set_batching(settings->options.batching);
    if (result_init(&result) != 0) {
        return complain(EXIT_WRONG, "out of memory");
    }
    result.about = result_about(settings, argc, argv);
    int rc = processes > 1 ? processes_run(settings, processes, &result, error, sizeof error)
                           : run_load(settings, -1, &result, error, sizeof error);
    if (rc != 0) {
        code = complain(EXIT_WRONG, error);
    } else {
        code = say_outcome(settings, &result, gates);
    }
    result_free(&result);
    return code;
}

/* The same on other machines: targets, keys and what else the options name are looked at there. */
static int load_by_agents(struct settings *settings, int argc, char **argv)
{
    struct load_options *o = &settings->options;
    struct option_error error = {.text = ""};
    struct gate *gates = NULL;
    struct result merged;
    bool any = false;
    int code;
    if (parse_gates(o, &gates, &error) != 0 || check_percentiles(o, &error) != 0) {
        code = complain(EXIT_USAGE, error.text);
    } else if (o->start_at != NULL && !plan_parse_instant(o->start_at, &settings->start_at_us)) {
        code = complain(EXIT_USAGE, "--start-at: allowed: 2026-11-20T23:07:54Z, or seconds since 1970");
    } else {
        code = agents_run(settings, argc, argv, &merged, &any);
    }
    if (any) {
        int outcome = say_outcome(settings, &merged, gates);
        code = code == EXIT_OK ? outcome : code;
        result_free(&merged);
    }
    free(gates);
    return code;
}

static int start(int argc, char **argv)
{
    struct settings settings;
    struct string_list targets = {0};
    struct option_error error = {.text = ""};
    struct gate *gates = NULL;
    int code = EXIT_OK;
    if (settings_read(&settings, argc, argv, &targets, &error) != 0) {
        code = complain(EXIT_USAGE, error.text);
        goto out;
    }
    if (settings.options.help) {
        options_print_help(&load_option_table, stdout);
        goto out;
    }
    if (settings.options.version) {
        version_print("sshload", stdout);
        goto out;
    }
    if (settings.options.agents != NULL) {
        code = load_by_agents(&settings, argc, argv);
        goto out;
    }
    log_setup((enum log_level)settings.options.log_level, (enum log_format)settings.options.log_format, STDERR_FILENO,
              false);
    content_prepare();
    if (settings_complete(&settings, &targets, &error) != 0 || parse_gates(&settings.options, &gates, &error) != 0 ||
        check_percentiles(&settings.options, &error) != 0 || try_keys(&settings, &error) != 0 ||
        try_observer(&settings, &error) != 0) {
        code = complain(EXIT_USAGE, error.text);
        goto out;
    }
    code = settings.options.repeat > 1 ? repeat_run(&settings.options, argc, argv) : load(&settings, gates, argc, argv);
out:
    free(gates);
    free(targets.items);
    settings_free(&settings);
    return code;
}

/* A terminal that goes away ends a run as SIGTERM does, with what it found written down. Once: the kernel and the shell
 * may both tell us, and a second SIGTERM means now. */
static void on_hangup(int number)
{
    static volatile sig_atomic_t told;
    (void)number;
    if (!told) {
        told = 1;
        (void)kill(getpid(), SIGTERM);
    }
}

static void heed_hangup(void)
{
    struct sigaction before;
    struct sigaction action = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) { /* nohup(1) */
        (void)sigaction(SIGHUP, &action, NULL);
    }
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    heed_hangup();
    if (ssh_init() != SSH_OK) { /* before any thread */
        return complain(EXIT_WRONG, "libssh cannot be initialised");
    }
    int code = argc > 1 && commands_know(argv[1]) ? commands_run(argc - 1, argv + 1) : start(argc, argv);
    (void)ssh_finalize();
    return code;
}
