#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int die(ssh_session session, const char *what)
{
    fprintf(stderr, "%s: %s\n", what, ssh_get_error(session));
    return 1;
}

static int log_in(ssh_session session, const char *login, const char *path)
{
    if (strcmp(login, "none") == 0) {
        return ssh_userauth_none(session, NULL);
    }
    if (strcmp(login, "password") == 0) {
        return ssh_userauth_password(session, NULL, "secret");
    }
    if (strcmp(login, "publickey") == 0) { /* at once, without asking by `none`, as many programs do */
        ssh_key key = NULL;
        if (ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) != SSH_OK) {
            return SSH_AUTH_ERROR;
        }
        int rc = ssh_userauth_publickey(session, NULL, key);
        ssh_key_free(key);
        return rc;
    }
    int rc = ssh_userauth_kbdint(session, NULL, NULL);
    while (rc == SSH_AUTH_INFO) {
        for (int i = 0; i < ssh_userauth_kbdint_getnprompts(session); i++) {
            (void)ssh_userauth_kbdint_setanswer(session, (unsigned)i, "secret");
        }
        rc = ssh_userauth_kbdint(session, NULL, NULL);
    }
    return rc;
}

static long long now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int ping(ssh_channel channel, int trips)
{
    char message[64] = "x";
    long long began = now_us();
    for (int i = 0; i < trips; i++) {
        int got = 0, n = ssh_channel_write(channel, message, sizeof message);
        for (; n > 0 && got < (int)sizeof message; got += n) {
            n = ssh_channel_read(channel, message, (uint32_t)(sizeof message - (size_t)got), 0);
        }
        if (n <= 0) {
            return 1;
        }
    }
    printf("%lld\n", now_us() - began);
    return 0;
}

/* Sends and reads at the same time; with nothing to send, reads to the end. */
static int echo(ssh_session session, ssh_channel channel, const char *input, size_t size)
{
    static char buffer[65536];
    size_t sent = 0;
    ssh_set_blocking(session, 0);
    while (!ssh_channel_is_eof(channel)) {
        size_t piece = size - sent < 32768 ? size - sent : 32768;
        int written = piece > 0 ? ssh_channel_write(channel, input + sent, (uint32_t)piece) : 0;
        sent += written > 0 ? (size_t)written : 0;
        if (piece > 0 && sent == size) {
            (void)ssh_channel_send_eof(channel);
        }
        int n = ssh_channel_read_timeout(channel, buffer, sizeof buffer, 0, written > 0 ? 0 : 20);
        if (n < 0 && n != SSH_AGAIN) {
            return die(session, "read");
        }
        fwrite(buffer, 1, n > 0 ? (size_t)n : 0, stdout);
    }
    ssh_set_blocking(session, 1);
    return ssh_channel_get_exit_status(channel);
}

int main(int argc, char **argv)
{
    static char input[80 << 20];
    const char *command = getenv("COMMAND"), *channels = getenv("CHANNELS"), *trips = getenv("PING");
    int port = argc == 7 ? atoi(argv[2]) : 0, no = 0, status = 0, count = channels == NULL ? 1 : atoi(channels);
    uint64_t rekey = argc == 7 ? strtoull(argv[6], NULL, 10) : 0;
    ssh_session session = ssh_new();
    if (port == 0 || session == NULL) {
        return 2;
    }
    (void)ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
    (void)ssh_options_set(session, SSH_OPTIONS_HOST, argv[1]);
    (void)ssh_options_set(session, SSH_OPTIONS_PORT, &port);
    (void)ssh_options_set(session, SSH_OPTIONS_USER, "tester");
    if (rekey != 0) {
        (void)ssh_options_set(session, SSH_OPTIONS_REKEY_DATA, &rekey);
    }
    if (argv[4][0] != '\0' && (ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, argv[4]) != SSH_OK ||
                               ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, argv[4]) != SSH_OK)) {
        return 77;
    }
    if (ssh_connect(session) != SSH_OK) {
        return die(session, "connect");
    }
    if (log_in(session, argv[3], argv[5]) != SSH_AUTH_SUCCESS) {
        return die(session, "login");
    }
    ssh_channel channel[100];
    for (int i = 0; i < count; i++) {
        channel[i] = ssh_channel_new(session);
        if (channel[i] == NULL || ssh_channel_open_session(channel[i]) != SSH_OK ||
            ssh_channel_request_exec(channel[i], command == NULL ? "cat" : command) != SSH_OK) {
            return die(session, "channel");
        }
    }
    if (trips != NULL) {
        return ping(channel[0], atoi(trips));
    }
    size_t size = fread(input, 1, sizeof input, stdin);
    for (int i = 0; count > 1 && i < count; i++) {
        if (ssh_channel_write(channel[i], input, (uint32_t)size) != (int)size || ssh_channel_send_eof(channel[i])) {
            return die(session, "write");
        }
    }
    for (int i = 0; i < count; i++) {
        status = echo(session, channel[i], input, count > 1 ? 0 : size);
        ssh_channel_free(channel[i]);
    }
    ssh_disconnect(session);
    ssh_free(session);
    return status;
}
