#include <libssh2.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(const char *name, int name_len, const char *instruction, int instruction_len, int prompts,
                   const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompt, LIBSSH2_USERAUTH_KBDINT_RESPONSE *response,
                   void **data)
{
    (void)name, (void)name_len, (void)instruction, (void)instruction_len, (void)prompt, (void)data;
    for (int i = 0; i < prompts; i++) {
        response[i].text = strdup("secret");
        response[i].length = 6;
    }
}

static int die(LIBSSH2_SESSION *session, const char *what)
{
    char *text = NULL;
    libssh2_session_last_error(session, &text, NULL, 0);
    fprintf(stderr, "%s: %s\n", what, text);
    return 1;
}

int main(int argc, char **argv)
{
    static char input[8 << 20], buffer[65536];
    struct addrinfo *to = NULL;
    if (argc != 7 || getaddrinfo(argv[1], argv[2], NULL, &to) != 0 || libssh2_init(0) != 0) {
        return 2;
    }
    int fd = socket(to->ai_family, SOCK_STREAM, 0);
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
        return 2;
    }
    LIBSSH2_SESSION *session = libssh2_session_init();
    if (strcmp(argv[6], "0") != 0 ||
        (argv[4][0] != '\0' && (libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_CS, argv[4]) != 0 ||
                                libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_SC, argv[4]) != 0))) {
        return 77;
    }
    if (libssh2_session_handshake(session, fd) != 0) {
        return die(session, "handshake");
    }
    const char *methods = libssh2_userauth_list(session, "tester", 6); /* asks by `none` */
    int rc = methods == NULL                    ? 0
             : strcmp(argv[3], "password") == 0 ? libssh2_userauth_password(session, "tester", "secret")
             : strcmp(argv[3], "publickey") == 0
                 ? libssh2_userauth_publickey_fromfile(session, "tester", NULL, argv[5], NULL)
                 : libssh2_userauth_keyboard_interactive(session, "tester", &answer);
    if (rc != 0 || !libssh2_userauth_authenticated(session)) {
        return die(session, "login");
    }
    LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(session);
    if (channel == NULL || libssh2_channel_exec(channel, "cat") != 0) {
        return die(session, "channel");
    }
    size_t size = fread(input, 1, sizeof input, stdin), sent = 0;
    int ended = 0;
    libssh2_session_set_blocking(session, 0);
    while (!libssh2_channel_eof(channel)) {
        ssize_t moved = 0, n = 0;
        if (sent < size && (n = libssh2_channel_write(channel, input + sent, size - sent)) > 0) {
            sent += (size_t)n;
            moved += n;
        }
        if (sent == size && !ended) {
            ended = libssh2_channel_send_eof(channel) == 0;
        }
        while ((n = libssh2_channel_read(channel, buffer, sizeof buffer)) > 0) {
            fwrite(buffer, 1, (size_t)n, stdout);
            moved += n;
        }
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) {
            return die(session, "read");
        }
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        if (moved == 0 && poll(&waiting, 1, 20) < 0) {
            return 2;
        }
    }
    libssh2_session_set_blocking(session, 1);
    libssh2_channel_wait_closed(channel);
    int status = libssh2_channel_get_exit_status(channel);
    libssh2_session_disconnect(session, "bye");
    return status;
}
