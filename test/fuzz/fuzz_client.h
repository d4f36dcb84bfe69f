/* The client of fuzz_server_session.c: frames packets as aes128-gcm@openssh.com does (the cipher itself is
 * fuzz_null_cipher.h), takes what the server says apart and compares what comes back on one channel with what was sent.
 * An answer that is no SSH, or a byte that nobody sent, ends the process. Owns its end of the socket. */
#ifndef FUZZ_CLIENT_H
#define FUZZ_CLIENT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_TAG_BYTES 16
#define CLIENT_PACKET_MAX 40000 /* no packet of the server's is longer: libssh's are 32 KiB and a little */
#define CLIENT_IN_BYTES ((size_t)256 * 1024)
#define CLIENT_FED_BYTES ((size_t)64 * 1024)

enum { MESSAGE_NEWKEYS = 21, MESSAGE_OPEN = 90, MESSAGE_CONFIRMATION = 91, MESSAGE_DATA = 94 };

/* What is sent on our channel 0, and how much of it has come back. */
struct client_echo {
    uint8_t fed[CLIENT_FED_BYTES];
    size_t fed_bytes, back_bytes;
    uint32_t server_number; /* of the channel; 0: not open */
    bool compared;          /* the bytes; else only that SSH comes */
};

struct client {
    int fd;
    bool reads, writes; /* both as long as the script says nothing else and the server takes it */
    bool banner_seen, server_keyed, keyed;
    uint8_t in[CLIENT_IN_BYTES];
    size_t in_bytes;
    uint64_t messages;
    struct client_echo echo;
};

static void client_find(const char *what)
{
    (void)fprintf(stderr, "fuzz_client: %s\n", what);
    abort();
}

static uint32_t client_number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void client_put_number(uint8_t *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(number >> (24 - 8 * i));
    }
}

/* ---- what the server says --------------------------------------------------------------------------------------- */

static void client_echoed(struct client_echo *echo, const uint8_t *payload, size_t size)
{
    if (size < 9 || client_number(payload + 5) != size - 9) {
        client_find("a data packet that does not add up");
    }
    if (client_number(payload + 1) != 0 || !echo->compared) {
        return;
    }
    size -= 9;
    if (size > echo->fed_bytes - echo->back_bytes || memcmp(echo->fed + echo->back_bytes, payload + 9, size) != 0) {
        client_find("a byte came back that was not sent, or in another order");
    }
    echo->back_bytes += size;
}

static void client_told(struct client *c, const uint8_t *payload, size_t size)
{
    c->messages++;
    switch (payload[0]) {
    case MESSAGE_NEWKEYS:
        c->server_keyed = true;
        break;
    case MESSAGE_CONFIRMATION:
        if (size == 17 && client_number(payload + 1) == 0 && c->echo.server_number == 0) {
            c->echo.server_number = client_number(payload + 5);
        }
        break;
    case MESSAGE_DATA:
        client_echoed(&c->echo, payload, size);
        break;
    default:
        break;
    }
}

/* The bytes of the first packet or banner line in `in` that are whole; 0: none is. */
static size_t client_understand(struct client *c, const uint8_t *in, size_t size)
{
    if (!c->banner_seen) {
        const uint8_t *end = memchr(in, '\n', size);
        if (end == NULL && size > 255) {
            client_find("a banner without an end");
        }
        c->banner_seen = end != NULL;
        return end != NULL ? (size_t)(end - in) + 1 : 0;
    }
    if (size < 5) {
        return 0;
    }
    uint32_t length = client_number(in);
    size_t whole = 4 + (size_t)length + (c->server_keyed ? CLIENT_TAG_BYTES : 0);
    if (length > CLIENT_PACKET_MAX || length < 2 + (uint32_t)in[4]) {
        (void)fprintf(stderr, "fuzz_client: length %u, padding %u, after %llu messages\n", length, in[4],
                      (unsigned long long)c->messages);
        client_find("the server's packets are none");
    }
    if (size < whole) {
        return 0;
    }
    client_told(c, in + 5, length - 1 - in[4]);
    return whole;
}

/* Takes what has come; whether anything has. */
static bool client_take(struct client *c)
{
    bool any = false;
    while (c->reads) {
        ssize_t got = recv(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes, MSG_DONTWAIT);
        if (got <= 0) {
            break;
        }
        any = true;
        c->in_bytes += (size_t)got;
        size_t done = 0;
        for (size_t n = 1; n > 0; done += n) {
            n = client_understand(c, c->in + done, c->in_bytes - done);
        }
        c->in_bytes -= done;
        memmove(c->in, c->in + done, c->in_bytes);
    }
    return any;
}

/* ---- what the client says ---------------------------------------------------------------------------------------- */

/* What the socket does not take is lost and all that would follow: a client that went in the middle of a packet. */
static void client_send(struct client *c, const void *bytes, size_t size)
{
    if (c->writes) {
        c->writes = send(c->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
    }
}

/* The client's number in its request for a channel; 0 where that is none. */
static uint32_t client_opens_number(const uint8_t *payload, size_t size)
{
    uint32_t type_bytes = client_number(payload + 1);
    return size >= 9 && type_bytes <= size - 9 ? client_number(payload + 5 + type_bytes) : 0;
}

static void client_note(struct client_echo *echo, const uint8_t *payload, size_t size)
{
    if (echo->server_number == 0 || size < 5) {
        return;
    }
    if (payload[0] == MESSAGE_OPEN && client_opens_number(payload, size) == 0) {
        echo->compared = false; /* two channels have our number */
    }
    if (payload[0] != MESSAGE_DATA || client_number(payload + 1) != echo->server_number || size < 9 ||
        client_number(payload + 5) > size - 9) {
        return;
    }
    size_t bytes = client_number(payload + 5);
    if (bytes > sizeof echo->fed - echo->fed_bytes) {
        echo->compared = false;
        return;
    }
    memcpy(echo->fed + echo->fed_bytes, payload + 9, bytes);
    echo->fed_bytes += bytes;
}

static void client_packet(struct client *c, const uint8_t *payload, size_t size)
{
    static uint8_t frame[70000];
    size_t align = c->keyed ? 16 : 8;
    size_t counted = (c->keyed ? 1 : 5) + size;
    size_t padding = align - counted % align;
    padding += padding < 4 ? align : 0;
    size_t whole = 5 + size + padding + (c->keyed ? CLIENT_TAG_BYTES : 0);
    if (whole > sizeof frame) {
        return;
    }
    memset(frame, 0, whole);
    client_put_number(frame, (uint32_t)(1 + size + padding));
    frame[4] = (uint8_t)padding;
    if (size > 0) {
        memcpy(frame + 5, payload, size);
        client_note(&c->echo, payload, size);
        c->keyed = c->keyed || payload[0] == MESSAGE_NEWKEYS;
    }
    client_send(c, frame, whole);
}

/* A payload that is being put together. */
struct client_text {
    uint8_t bytes[2048];
    size_t size;
};

static void client_byte(struct client_text *text, uint8_t byte)
{
    text->bytes[text->size++] = byte;
}

static void client_word(struct client_text *text, uint32_t number)
{
    client_put_number(text->bytes + text->size, number);
    text->size += 4;
}

static void client_string(struct client_text *text, const char *string)
{
    client_word(text, (uint32_t)strlen(string));
    memcpy(text->bytes + text->size, string, strlen(string));
    text->size += strlen(string);
}

static void client_say(struct client *c, const struct client_text *text)
{
    client_packet(c, text->bytes, text->size);
}

/* ---- the script -------------------------------------------------------------------------------------------------- */

static void client_banner(struct client *c)
{
    static const char banner[] = "SSH-2.0-fuzz\r\n";
    client_send(c, banner, sizeof banner - 1);
}

/* At first, or once more. The client's half of the exchange is the base point of curve25519, its key the number one. */
static void client_exchange(struct client *c)
{
    static const char *const lists[] = {"curve25519-sha256",
                                        "ssh-ed25519",
                                        "aes128-gcm@openssh.com",
                                        "aes128-gcm@openssh.com",
                                        "hmac-sha2-256",
                                        "hmac-sha2-256",
                                        "none",
                                        "none",
                                        "",
                                        ""};
    struct client_text text = {.bytes = {20}, .size = 17};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        client_string(&text, lists[i]);
    }
    client_byte(&text, 0);
    client_word(&text, 0);
    client_say(c, &text);
    text = (struct client_text){.bytes = {30, 0, 0, 0, 32, 9}, .size = 37};
    client_say(c, &text);
    text = (struct client_text){.bytes = {MESSAGE_NEWKEYS}, .size = 1};
    client_say(c, &text);
}

static void client_ask_login(struct client *c, const char *method)
{
    struct client_text text = {.bytes = {50}, .size = 1};
    client_string(&text, "fuzz");
    client_string(&text, "ssh-connection");
    client_string(&text, method);
    if (strcmp(method, "password") == 0) {
        client_byte(&text, 0);
        client_string(&text, "fuzz");
    } else if (strcmp(method, "keyboard-interactive") == 0) {
        client_string(&text, "");
        client_string(&text, "");
    }
    client_say(c, &text);
}

/* By `none`, or by what a server with auth-steps=password,keyboard-interactive takes. */
static void client_log_in(struct client *c, bool in_steps)
{
    struct client_text text = {.bytes = {5}, .size = 1};
    client_string(&text, "ssh-userauth");
    client_say(c, &text);
    if (!in_steps) {
        client_ask_login(c, "none");
        return;
    }
    client_ask_login(c, "password");
    client_ask_login(c, "keyboard-interactive");
    text = (struct client_text){.bytes = {61}, .size = 1};
    client_word(&text, 1);
    client_string(&text, "fuzz");
    client_say(c, &text);
}

static void client_open(struct client *c, uint32_t number, uint32_t window)
{
    struct client_text text = {.bytes = {MESSAGE_OPEN}, .size = 1};
    client_string(&text, "session");
    client_word(&text, number);
    client_word(&text, window);
    client_word(&text, 32768);
    client_say(c, &text);
}

static void client_request(struct client *c, const char *what)
{
    struct client_text text = {.bytes = {98}, .size = 1};
    client_word(&text, c->echo.server_number);
    client_string(&text, what);
    client_byte(&text, 1);
    client_say(c, &text);
}

static void client_data(struct client *c, size_t size)
{
    static uint8_t payload[9 + 32768] = {MESSAGE_DATA};
    size = size < sizeof payload - 9 ? size : sizeof payload - 9;
    client_put_number(payload + 1, c->echo.server_number);
    client_put_number(payload + 5, (uint32_t)size);
    for (size_t i = 0; i < size; i++) {
        payload[9 + i] = (uint8_t)(c->echo.fed_bytes + i + (i >> 8));
    }
    client_packet(c, payload, 9 + size);
}

#endif
