/*
 * Preloaded into sshechod by test/system/test_isolation.py: plays the attacker who has taken a worker over. At the
 * first accept it tries what a worker has no business doing and writes "ESCAPE what errno" to stderr for each; errno 0
 * is a success.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void told(const char *what, long result)
{
    char line[80];
    int length = snprintf(line, sizeof line, "ESCAPE %s %d\n", what, result < 0 ? errno : 0);
    (void)!write(STDERR_FILENO, line, (size_t)length);
}

static void try_everything(void)
{
    char *const arguments[] = {"true", NULL};
    told("open", open("/etc/passwd", O_RDONLY));
    told("create", open("/tmp/sshecho-escape", O_WRONLY | O_CREAT, 0600));
    told("unlink", unlink("/tmp/sshecho-escape"));
    told("socket", socket(AF_INET, SOCK_STREAM, 0));
    told("fork", syscall(SYS_fork));
    told("execve", execv("/bin/true", arguments));
    told("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
    told("kill-master", kill(getppid(), SIGTERM));
    told("signal-sibling", syscall(SYS_tgkill, getpid() + 1, getpid() + 1, 0));
    told("setuid", setuid(0));
    told("raise-limit", setrlimit(RLIMIT_CORE, &(struct rlimit){1 << 20, 1 << 20}));
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    told("executable-memory", map == MAP_FAILED ? -1 : 0);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    static int (*real)(int, struct sockaddr *, socklen_t *, int);
    if (real == NULL) {
        real = (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
        try_everything();
    }
    return real(fd, address, length, flags);
}
