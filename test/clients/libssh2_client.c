#include <libssh2.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
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

static long long now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static int ping(LIBSSH2_CHANNEL *channel, int trips)
{
    char message[64] = "x";
    long long began = now_us();
    for (int i = 0; i < trips; i++) {
        ssize_t got = 0, n = libssh2_channel_write(channel, message, sizeof message);
        for (; n > 0 && got < (ssize_t)sizeof message; got += n) {
            n = libssh2_channel_read(channel, message, sizeof message - (size_t)got);
        }
        if (n <= 0) {
            return 1;
        }
    }
    printf("%lld\n", now_us() - began);
    return 0;
}

/* Sends and reads at the same time; with nothing to send, reads to the end. */
static int echo(LIBSSH2_SESSION *session, LIBSSH2_CHANNEL *channel, int fd, const char *input, size_t size, int ended)
{
    static char buffer[65536];
    size_t sent = 0;
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
    return libssh2_channel_get_exit_status(channel);
}

static int login(LIBSSH2_SESSION *session, const char *method, const char *key_file)
{
    if (libssh2_userauth_list(session, "tester", 6) == NULL) { /* asks by `none`, which may be enough */
        return 0;
    }
    if (strcmp(method, "password") == 0) {
        return libssh2_userauth_password(session, "tester", "secret");
    }
    if (strcmp(method, "publickey") == 0) {
        return libssh2_userauth_publickey_fromfile(session, "tester", NULL, key_file, NULL);
    }
    return libssh2_userauth_keyboard_interactive(session, "tester", &answer);
}

int main(int argc, char **argv)
{
    static char input[80 << 20];
    const char *command = getenv("COMMAND"), *channels = getenv("CHANNELS"), *trips = getenv("PING");
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
    if (login(session, argv[3], argv[5]) != 0 || !libssh2_userauth_authenticated(session)) {
        return die(session, "login");
    }
    LIBSSH2_CHANNEL *channel[100];
    int count = channels == NULL ? 1 : atoi(channels), status = 0;
    for (int i = 0; i < count; i++) {
        channel[i] = libssh2_channel_open_session(session);
        if (channel[i] == NULL || libssh2_channel_exec(channel[i], command == NULL ? "cat" : command) != 0) {
            return die(session, "channel");
        }
    }
    if (trips != NULL) {
        return ping(channel[0], atoi(trips));
    }
    size_t size = fread(input, 1, sizeof input, stdin);
    for (int i = 0; count > 1 && i < count; i++) {
        if (libssh2_channel_write(channel[i], input, size) != (ssize_t)size || libssh2_channel_send_eof(channel[i])) {
            return die(session, "write");
        }
    }
    for (int i = 0; i < count; i++) {
        status = echo(session, channel[i], fd, input, count > 1 ? 0 : size, count > 1);
    }
    libssh2_session_disconnect(session, "bye");
    return status;
}
