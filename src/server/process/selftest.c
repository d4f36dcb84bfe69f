#include "server/process/selftest.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/identity/algorithms.h"

/* Each step moves whatever can be moved; an exchange takes about ten. */
#define STEPS_MAX 1000

/* More than the reading of one packet takes. */
#define FORGERY_STEPS 8

static ssh_session make_client(const struct config *config, int fd)
{
    ssh_session client = ssh_new();
    bool no = false;
    if (client == NULL) {
        return NULL;
    }
    ssh_set_blocking(client, 0);
    if (ssh_options_set(client, SSH_OPTIONS_PROCESS_CONFIG, &no) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_HOST, "ourselves") != SSH_OK ||
        /* given, so that libssh need not ask who we are: a container's user has no entry in passwd(5) */
        ssh_options_set(client, SSH_OPTIONS_USER, "ourselves") != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_SSH_DIR, "/nonexistent") != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_KEY_EXCHANGE, config->kex) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_HOSTKEYS, config->host_key_algorithms) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_CIPHERS_C_S, config->ciphers) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_CIPHERS_S_C, config->ciphers) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_HMAC_C_S, config->macs) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_HMAC_S_C, config->macs) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_COMPRESSION, config->compression) != SSH_OK ||
        ssh_options_set(client, SSH_OPTIONS_FD, &fd) != SSH_OK) {
        ssh_free(client);
        return NULL;
    }
    return client;
}

/* One packet of the client's, its last byte (of the tag or MAC) changed on the way from `from` to `to`. */
static bool accepts_forgery(ssh_session server, int to, ssh_session client, int from)
{
    unsigned char packet[1024];
    if (ssh_send_ignore(client, "forged") != SSH_OK || ssh_blocking_flush(client, 0) != SSH_OK) {
        return false;
    }
    ssize_t size = recv(to, packet, sizeof packet, MSG_DONTWAIT);
    if (size <= 0) {
        return false;
    }
    packet[size - 1] ^= 1;
    if (send(from, packet, (size_t)size, MSG_NOSIGNAL) != size) {
        return false;
    }
    ssh_event event = ssh_event_new();
    bool pumped = event != NULL && ssh_event_add_session(event, server) == SSH_OK;
    for (int step = 0; pumped && step < FORGERY_STEPS; step++) {
        (void)ssh_event_dopoll(event, 0);
    }
    bool alive = pumped && ssh_get_error_code(server) != SSH_FATAL &&
                 (ssh_get_status(server) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0;
    if (pumped) {
        (void)ssh_event_remove_session(event, server);
    }
    ssh_event_free(event);
    return alive;
}

bool selftest_run(ssh_bind bind, const struct config *config, bool *takes_forgeries, char *why, size_t why_size)
{
    int pair[2] = {-1, -1};
    bool done = false;
    *takes_forgeries = false;
    ssh_session client = NULL;
    ssh_session server = ssh_new();
    (void)snprintf(why, why_size, "no memory or no socket pair");
    if (server == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        goto out;
    }
    client = make_client(config, pair[1]);
    if (client == NULL || algorithms_tell_session(server, config) != 0 ||
        ssh_bind_accept_fd(bind, server, pair[0]) != SSH_OK) {
        goto out;
    }
    ssh_set_blocking(server, 0);
    int served = SSH_AGAIN;
    int connected = SSH_AGAIN;
    for (int step = 0; step < STEPS_MAX && (served == SSH_AGAIN || connected == SSH_AGAIN); step++) {
        served = served == SSH_AGAIN ? ssh_handle_key_exchange(server) : served;
        connected = connected == SSH_AGAIN ? ssh_connect(client) : connected;
    }
    done = served == SSH_OK && connected == SSH_OK;
    const char *told = *ssh_get_error(client) != '\0' ? ssh_get_error(client) : ssh_get_error(server);
    (void)snprintf(why, why_size, "%s", *told != '\0' ? told : "nothing in common");
    *takes_forgeries = done && accepts_forgery(server, pair[0], client, pair[1]);
out:
    if (pair[0] >= 0 && (server == NULL || ssh_get_fd(server) != pair[0])) {
        (void)close(pair[0]);
    }
    if (pair[1] >= 0 && (client == NULL || ssh_get_fd(client) != pair[1])) {
        (void)close(pair[1]);
    }
    ssh_free(client);
    ssh_free(server);
    return done;
}
