#include "sshecho/version.h"

#include <ev.h>
#include <libssh/libssh.h>
#include <stdlib.h>

#ifndef SSHECHO_TRANSPORT
#define SSHECHO_TRANSPORT 1
#endif
#ifndef SSHECHO_CRYPTO_SHORTCUTS
#define SSHECHO_CRYPTO_SHORTCUTS 0
#endif

const char *version_libssh(void)
{
    const char *text = ssh_version(0);
    return text ? text : "unknown";
}

int version_libssh_number(void)
{
    const char *text = version_libssh();
    int parts[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) {
        char *end;
        long part = strtol(text, &end, 10);
        if (end == text || part < 0 || part > 255) {
            break;
        }
        parts[i] = (int)part;
        if (*end != '.') {
            break;
        }
        text = end + 1;
    }
    return SSH_VERSION_INT(parts[0], parts[1], parts[2]);
}

const char *version_libev(void)
{
    static char text[32];
    if (text[0] == '\0') {
        (void)snprintf(text, sizeof text, "%d.%d", ev_version_major(), ev_version_minor());
    }
    return text;
}

void version_print(const char *program, FILE *out)
{
    (void)fprintf(out, "%s %s\n", program, SSHECHO_VERSION);
    (void)fprintf(out, "libssh %d.%d.%d compiled, %s running\n", LIBSSH_VERSION_MAJOR, LIBSSH_VERSION_MINOR,
                  LIBSSH_VERSION_MICRO, version_libssh());
    (void)fprintf(out, "libev %d.%d compiled, %s running\n", EV_VERSION_MAJOR, EV_VERSION_MINOR, version_libev());
#ifdef HAVE_SECCOMP
    (void)fputs("libseccomp: yes\n", out);
#else
    (void)fputs("libseccomp: no\n", out);
#endif
#ifdef HAVE_SYSTEMD
    (void)fputs("libsystemd: yes\n", out);
#else
    (void)fputs("libsystemd: no\n", out);
#endif
#ifdef HAVE_MICROHTTPD
    (void)fputs("libmicrohttpd: yes\n", out);
#else
    (void)fputs("libmicrohttpd: no\n", out);
#endif
#ifdef HAVE_CURL
    (void)fputs("libcurl: yes\n", out);
#else
    (void)fputs("libcurl: no\n", out);
#endif
    (void)fprintf(out, "batched transport: %s\n", SSHECHO_TRANSPORT ? "built in" : "not built in");
    (void)fprintf(out, "crypto shortcuts: %s\n", SSHECHO_CRYPTO_SHORTCUTS ? "built in" : "not built in");
}
