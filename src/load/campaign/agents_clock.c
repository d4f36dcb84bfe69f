/* Inside the room of agents.h: whether the agents' clocks agree with ours, without which there is no common start. */
#include "load/campaign/agents.h"
#include "load/campaign/agents_parts.h"
#include "load/tools/tools.h"
#include "sshecho/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER "sshload-clock "
#define ASKED_TIMES 6
#define EXIT_WITHIN_US INT64_C(2000000)
#define SKEW_MOST_US 50000

struct asked {
    pid_t pid;
    int to, from;
    char text[512];
    size_t length;
};

int agents_clock(void)
{
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        (void)printf(ANSWER "%lld\n", (long long)wall_us());
        if (fflush(stdout) != 0) {
            return TOOLS_WRONG;
        }
    }
    return TOOLS_OK;
}

/* In our group: a Ctrl-C now ends it as it ends us. */
static int ask(struct agent *agent, struct asked *asked)
{
    int in[2];
    int out[2];
    posix_spawn_file_actions_t files;
    if (pipe2(in, O_CLOEXEC) != 0) {
        return errno;
    }
    if (pipe2(out, O_CLOEXEC) != 0) {
        int rc = errno;
        (void)close(in[0]);
        (void)close(in[1]);
        return rc;
    }
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&files, agent->complaints, STDERR_FILENO);
    int rc = posix_spawnp(&asked->pid, agent->ssh[0], &files, NULL, agent->ssh, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)close(in[0]);
    (void)close(out[1]);
    asked->to = in[1];
    asked->from = out[0];
    asked->pid = rc == 0 ? asked->pid : 0;
    return rc;
}

/* Reads until an answer is there; what a login shell prints beside it is passed over. 0; ETIMEDOUT; or ECONNRESET: it
 * has ended. */
static int read_answer(struct asked *asked, int64_t until_us, int64_t *answer_us)
{
    for (;;) {
        char *end = memchr(asked->text, '\n', asked->length);
        if (end != NULL) {
            *end = '\0';
            long long value = 0;
            int found = sscanf(asked->text, ANSWER "%lld", &value);
            asked->length -= (size_t)(end + 1 - asked->text);
            memmove(asked->text, end + 1, asked->length);
            if (found == 1) {
                *answer_us = value;
                return 0;
            }
            continue;
        }
        asked->length = asked->length == sizeof asked->text ? 0 : asked->length;
        int64_t left_us = until_us - mono_now().ns / NS_PER_US;
        struct pollfd readable = {.fd = asked->from, .events = POLLIN};
        if (left_us <= 0) {
            return ETIMEDOUT;
        }
        if (poll(&readable, 1, (int)(left_us / 1000) + 1) < 0) {
            return ECONNRESET;
        }
        if (readable.revents != 0) {
            ssize_t got = read(asked->from, asked->text + asked->length, sizeof asked->text - asked->length);
            if (got <= 0) {
                return ECONNRESET;
            }
            asked->length += (size_t)got;
        }
    }
}

/* The offset of its clock, by the exchange that took least; *within_us is how far off that may be. 0 or as
 * read_answer. */
static int exchange(struct asked *asked, int64_t answer_within_us, int64_t *offset_us, int64_t *within_us)
{
    int64_t until_us = mono_now().ns / NS_PER_US + answer_within_us;
    *within_us = INT64_MAX;
    for (int i = 0; i < ASKED_TIMES; i++) {
        int64_t before_us = wall_us();
        int64_t answer_us = 0;
        int rc = write(asked->to, "\n", 1) == 1 ? read_answer(asked, until_us, &answer_us) : ECONNRESET;
        if (rc != 0) {
            return rc;
        }
        int64_t after_us = wall_us();
        int64_t half_us = (after_us - before_us + 1) / 2;
        if (half_us < *within_us) {
            *within_us = half_us;
            *offset_us = answer_us - before_us - half_us;
        }
    }
    return 0;
}

/* Its end: by the signal, or with 0 by itself, so that it can say why; by SIGKILL if that takes too long. */
static void take_leave(struct asked *asked, int number)
{
    if (asked->pid == 0) {
        return;
    }
    (void)close(asked->to);
    int64_t until_us = mono_now().ns / NS_PER_US + EXIT_WITHIN_US;
    if (number != 0) {
        (void)kill(asked->pid, number);
    }
    while (waitpid(asked->pid, NULL, WNOHANG) == 0) {
        const struct timespec moment = {.tv_nsec = 2000000};
        if (mono_now().ns / NS_PER_US >= until_us) {
            (void)kill(asked->pid, SIGKILL);
        }
        (void)nanosleep(&moment, NULL);
    }
    (void)close(asked->from);
    asked->pid = 0;
}

static int judge(const struct agent *agent, int64_t offset_us, int64_t within_us, int quiet)
{
    double ahead_ms = (double)offset_us / 1e3;
    int64_t surely_us = llabs(offset_us) - within_us;
    if (surely_us > SKEW_MOST_US) {
        (void)fprintf(stderr,
                      "sshload: agent %s: its clock is %.1f ms %s ours (to within %.1f ms; allowed: 50 ms); set "
                      "the clocks, without which there is no common start\n",
                      agent->host, ahead_ms < 0.0 ? -ahead_ms : ahead_ms, ahead_ms < 0.0 ? "behind" : "ahead of",
                      (double)within_us / 1e3);
        return TOOLS_USAGE;
    }
    if (!quiet) {
        (void)fprintf(stderr, "sshload: agent %s: clock %+.1f ms, to within %.1f ms\n", agent->host, ahead_ms,
                      (double)within_us / 1e3);
    }
    return TOOLS_OK;
}

static int fail(const struct agent *agent, const char *otherwise)
{
    char words[256];
    agents_last_words(agent, words, sizeof words);
    (void)fprintf(stderr, "sshload: agent %s does not answer: %s\n", agent->host, words[0] != '\0' ? words : otherwise);
    return TOOLS_USAGE;
}

int agents_measure_clocks(struct agent *agents, size_t count, const struct load_options *o, int64_t *reach_us)
{
    const int64_t answer_within_us = (int64_t)(o->connect_timeout_us + o->handshake_timeout_us); /* ssh needs both */
    char otherwise[96];
    int64_t asked_us = mono_now().ns / NS_PER_US;
    struct asked *asked = calloc(count, sizeof *asked);
    char *words = NULL;
    int code = TOOLS_OK;
    if (asked == NULL || agents_quote(&words, o->agent_command) != 0 || agents_quote(&words, "clock") != 0) {
        free(asked);
        free(words);
        return tools_complain(TOOLS_WRONG, "out of memory");
    }
    (void)snprintf(otherwise, sizeof otherwise, "no time in %.3g s from `sshload clock` there",
                   (double)answer_within_us / 1e6);
    for (size_t i = 0; i < count && code == TOOLS_OK; i++) {
        agents[i].ssh[agents[i].ssh_count] = words;
        int rc = ask(&agents[i], &asked[i]);
        code = rc == 0 ? TOOLS_OK : fail(&agents[i], strerror(rc));
    }
    for (size_t i = 0; i < count && code == TOOLS_OK; i++) {
        int64_t offset_us = 0;
        int64_t within_us = 0;
        int rc = exchange(&asked[i], answer_within_us, &offset_us, &within_us);
        *reach_us = mono_now().ns / NS_PER_US - asked_us;
        take_leave(&asked[i], rc == 0 ? SIGTERM : rc == ETIMEDOUT ? SIGKILL : 0);
        code = rc == 0 ? judge(&agents[i], offset_us, within_us, o->quiet) : fail(&agents[i], otherwise);
    }
    for (size_t i = 0; i < count; i++) {
        take_leave(&asked[i], SIGKILL);
        agents[i].ssh[agents[i].ssh_count] = NULL;
    }
    free(words);
    free(asked);
    return code;
}
