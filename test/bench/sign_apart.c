/*
 * sign_apart.c - room: what a signature costs here, and what it costs when another process holds the key.
 *
 * One Ed25519 signature over a 32-byte exchange hash, as a handshake needs it, N times: in this process; and in a child
 * that is asked over a socket pair and waited for, as libssh would wait. Prints wall clock and CPU of both processes.
 *
 *   sign-apart [N]
 */
#include "sshecho/clock.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HASH_BYTES 32
#define SIGNATURE_BYTES 64

static EVP_PKEY *key;

static int sign(const unsigned char *hash, unsigned char *signature)
{
    size_t length = SIGNATURE_BYTES;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int rc = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                     EVP_DigestSign(context, signature, &length, hash, HASH_BYTES) == 1
                 ? 0
                 : -1;
    EVP_MD_CTX_free(context);
    return rc;
}

static void serve(int fd)
{
    unsigned char hash[HASH_BYTES], signature[SIGNATURE_BYTES];
    while (recv(fd, hash, sizeof hash, 0) == (ssize_t)sizeof hash && sign(hash, signature) == 0 &&
           send(fd, signature, sizeof signature, 0) == (ssize_t)sizeof signature) {
    }
    _exit(0);
}

static double cpu_us(int who)
{
    struct rusage used;
    (void)getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* Asks `fd`, or signs here where it is negative. Returns 0, or -1. */
static int run(const char *name, int fd, long count, pid_t child)
{
    unsigned char hash[HASH_BYTES] = {0}, signature[SIGNATURE_BYTES];
    mono_time start = mono_now();
    double before = cpu_us(RUSAGE_SELF);
    for (long i = 0; i < count; i++) {
        memcpy(hash, &i, sizeof i);
        if (fd < 0 ? sign(hash, signature) != 0
                   : send(fd, hash, sizeof hash, 0) != (ssize_t)sizeof hash ||
                         recv(fd, signature, sizeof signature, 0) != (ssize_t)sizeof signature) {
            return -1;
        }
    }
    double wall = (double)mono_us_between(start, mono_now());
    double own = cpu_us(RUSAGE_SELF) - before, other = 0.0;
    if (child > 0) {
        (void)close(fd);
        (void)waitpid(child, NULL, 0);
        other = cpu_us(RUSAGE_CHILDREN);
    }
    double each = (double)count;
    return printf("%-22s %6.1f us wall, %6.1f us CPU here, %6.1f us CPU there\n", name, wall / each, own / each,
                  other / each) > 0
               ? 0
               : -1;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    int pair[2];
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (count <= 0 || key == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) {
        (void)fprintf(stderr, "usage: sign-apart [N]\n");
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        (void)close(pair[0]);
        serve(pair[1]);
    }
    (void)close(pair[1]);
    int rc =
        child > 0 && run("in this process", -1, count, 0) == 0 && run("in another process", pair[0], count, child) == 0
            ? 0
            : 1;
    EVP_PKEY_free(key);
    return rc;
}
