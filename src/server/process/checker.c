#include "server/process/checker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server/login/password_check.h"
#include "server/process/sandbox.h"

#define ITS_FD 3
#define NICENESS 10

/* A checker that dies at once must not become a storm of forks. */
#define REST_NS (100 * 1000 * 1000)

/* User and password of a well-formed question, or false. */
static bool parse(char *question, size_t size, const char **user, const char **password)
{
    size_t head = sizeof(struct password_question);
    if (size < head + 2 || question[size - 1] != '\0') {
        return false;
    }
    *user = question + head;
    size_t user_size = strlen(*user) + 1;
    *password = *user + user_size;
    return head + user_size < size && head + user_size + strlen(*password) + 1 == size;
}

static _Noreturn void check_passwords(const struct credentials *credentials)
{
    char question[PASSWORD_QUESTION_MAX_BYTES];
    for (;;) {
        ssize_t size = recvfrom(ITS_FD, question, sizeof question, 0, NULL, NULL);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            _exit(0); /* the worker has gone */
        }
        struct password_answer answer;
        memset(&answer, 0, sizeof answer); /* padding too */
        const char *user, *password;
        if (parse(question, (size_t)size, &user, &password)) {
            memcpy(&answer.ticket, question, sizeof answer.ticket);
            answer.right = credentials_password_ok(credentials, user, password) ? 1 : 0;
        }
        explicit_bzero(question, (size_t)size);
        (void)sendto(ITS_FD, &answer, sizeof answer, MSG_NOSIGNAL, NULL, 0);
    }
}

/* Dies with its parent, also with one that has died already. */
static void follow(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent) {
        _exit(1);
    }
}

static _Noreturn void supervise(const struct config *config, const struct credentials *credentials)
{
    struct option_error error = {""};
    for (;;) {
        pid_t me = getpid();
        pid_t child = fork();
        if (child == 0) {
            follow(me);
            if (sandbox_enter_checker(config, &error) != 0) {
                _exit(2);
            }
            check_passwords(credentials);
        }
        int status = -1;
        while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        if (child > 0 && WIFEXITED(status)) {
            _exit(WEXITSTATUS(status)); /* as it should, or because it cannot be confined */
        }
        struct timespec rest = {.tv_nsec = REST_NS};
        (void)nanosleep(&rest, NULL);
        struct password_answer died;
        memset(&died, 0, sizeof died);
        (void)sendto(ITS_FD, &died, sizeof died, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
    }
}

int checker_start(const struct config *config, const struct credentials *credentials)
{
    struct option_error error = {""};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return -1;
    }
    pid_t me = getpid();
    pid_t child = fork();
    if (child == 0) {
        if (dup2(pair[1], ITS_FD) != ITS_FD) {
            _exit(1);
        }
        (void)close_range(ITS_FD + 1, ~0U, 0);
        (void)setpriority(PRIO_PROCESS, 0,
                          getpriority(PRIO_PROCESS, 0) + NICENESS); /* below the worker, wherever that is */
        if (sandbox_drop_root(config, &error) != 0) {
            _exit(1);
        }
        follow(me); /* after the change of user, which clears it; signals stay blocked: it ends with the worker */
        supervise(config, credentials);
    }
    (void)close(pair[1]);
    if (child < 0) {
        (void)close(pair[0]);
        return -1;
    }
    return pair[0];
}
