/* Fuzzes the whole of a worker but its process: admission, PROXY headers, session, login, channels, reports. Each input
 * is one client, whose packets reach the server's rooms as they stand, for the cipher is a null cipher. Afterwards
 * there is no connection, no held byte and no descriptor left, and what came back was sent before. A scripted session
 * has to echo before the first input, for every configuration: a fuzzer that is stuck in the handshake would find
 * nothing.
 *
 * FUZZ_LOG in the environment shows the server's log (and libssh's), to see what an input does.
 *
 * Byte 0: bits 0-1 how far the client has come (enum stage), 2 the plain path, 3 a small window, 4 and up which
 * configuration. Then pieces: a length below 0xf0 and that many bytes of a packet's payload, or one of enum piece. */
#include "fuzz_client.h"
#include "fuzz_clock.h"
#include "fuzz_null_cipher.h"
#include "fuzz_places.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "sshecho/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void); /* NOLINT(bugprone-reserved-identifier) */

enum stage { STAGE_NOTHING, STAGE_KEYED, STAGE_LOGGED_IN, STAGE_SHELL };

enum piece {
    PIECE_LONG = 0xf0, /* two bytes of length, then a payload */
    PIECE_RAW,         /* a length, then bytes that are no packet */
    PIECE_TIME,        /* 2 to the power of so many microseconds pass */
    PIECE_READING,     /* the client stops reading, or goes on */
    PIECE_HALF_CLOSE,
    PIECE_DATA, /* so many times 256 bytes to be echoed */
    PIECE_EXCHANGE,
    PIECE_OPEN, /* a session of this number */
};

#define TURNS_MAX 40 /* until an input that goes on by itself (chargen) is left */
#define END_TURNS_MAX 400
#define HOUR_US UINT64_C(3600000000)

static struct client client;

/* ---- the server's turns ----------------------------------------------------------------------------------------- */

static void turn(struct place *place)
{
    place->set.turn_at = mono_now();
    (void)ev_run(loop, EVRUN_NOWAIT);
}

/* Until two turns have moved nothing. */
static void settle(struct place *place)
{
    int before = -1;
    for (int turns = 0, quiet = 0; turns < TURNS_MAX && quiet < 2; turns++) {
        int unread = 0;
        turn(place);
        bool moved = client_take(&client);
        (void)ioctl(client.fd, SIOCOUTQ, &unread);
        moved = moved || unread != before || place->set.turns.first != NULL || place->set.first_doomed != NULL;
        before = unread;
        quiet = moved ? 0 : quiet + 1;
    }
}

/* The same with channel-open-delay and reply-delay. */
static void settle_late(struct place *place)
{
    settle(place);
    if (place->is_late) {
        fuzz_clock_pass_us(100000);
        settle(place);
    }
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

static void begin(struct place *place, enum stage stage, uint32_t window)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        client_find("no socket pair");
    }
    client.fd = pair[0];
    client.reads = client.writes = true;
    client.banner_seen = client.server_keyed = client.keyed = false;
    client.in_bytes = 0;
    client.messages = 0;
    client.echo.fed_bytes = client.echo.back_bytes = client.echo.server_number = 0;
    client.echo.compared = stage == STAGE_SHELL; /* else it may be anything that exec asks for */
    let_in(place, pair[1]);
    if (place->proxied && stage >= STAGE_KEYED) {
        static const char header[] = "PROXY TCP4 192.0.2.7 192.0.2.8 40000 22\r\n";
        client_send(&client, header, sizeof header - 1);
    }
    if (stage >= STAGE_KEYED) {
        client_banner(&client);
        client_exchange(&client);
    }
    if (stage >= STAGE_LOGGED_IN) {
        client_log_in(&client, place->in_steps);
    }
    settle(place);
    if (stage >= STAGE_SHELL) {
        client_open(&client, 0, window);
        settle_late(place);
        client_request(&client, "shell");
        settle_late(place);
    }
}

static bool is_gone(const struct place *place)
{
    return place->set.first == NULL && place->acceptor.gate.waiting_count == 0;
}

static void check_nothing_is_left(const struct place *place)
{
    const struct counters *counters = place->set.counters;
    if (!is_gone(place)) {
        client_find("the client has gone and its connection has not");
    }
    if (counters_get(&counters->connections) + counters_get(&counters->unauthenticated) +
            counters_get(&counters->channels) + counters_get(&counters->held_bytes) +
            counters_get(&counters->pending_bytes) !=
        0) {
        client_find("something is counted that is not there");
    }
    const struct source_counts *sources = &board->sources[place->set.slot];
    for (size_t i = 0; i < SOURCES_COUNTED; i++) {
        if (counters_get(&sources->slots[i].connections) != 0) {
            client_find("a source is counted that is not there");
        }
    }
}

/* The client goes, in good order. */
static void end(struct place *place)
{
    client.reads = true;
    (void)client_take(&client);
    (void)shutdown(client.fd, SHUT_WR);
    for (int turns = 0; turns < END_TURNS_MAX && !is_gone(place); turns++) {
        turn(place);
        (void)client_take(&client);
        if (turns > TURNS_MAX) {
            fuzz_clock_pass_us(HOUR_US);
        }
    }
    check_nothing_is_left(place);
    (void)client_take(&client);
    char byte;
    if (recv(client.fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN) {
        client_find("the server's end of the socket is still open");
    }
    (void)close(client.fd);
    fuzz_clock_pass_us(1000000);
}

static void choose_path(bool plain)
{
    static int chosen = -1;
    if (chosen != (plain ? 1 : 0)) {
        chosen = plain ? 1 : 0;
        if (pump_set_batching(!plain) == plain) {
            client_find("the transport is not reached");
        }
    }
}

/* ---- the input --------------------------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at, *end;
};

static size_t left(const struct input *input)
{
    return (size_t)(input->end - input->at);
}

static uint8_t byte_of(struct input *input)
{
    return left(input) > 0 ? *input->at++ : 0;
}

static const uint8_t *bytes_of(struct input *input, size_t *size)
{
    const uint8_t *bytes = input->at;
    *size = *size < left(input) ? *size : left(input);
    input->at += *size;
    return bytes;
}

static void play(struct input *input)
{
    uint8_t what = byte_of(input);
    size_t size = what;
    const uint8_t *bytes = NULL;
    switch (what) {
    case PIECE_LONG:
        size = (size_t)byte_of(input) << 8;
        size |= byte_of(input);
        bytes = bytes_of(input, &size);
        client_packet(&client, bytes, size);
        break;
    case PIECE_RAW:
        size = byte_of(input);
        bytes = bytes_of(input, &size);
        client_send(&client, bytes, size);
        break;
    case PIECE_TIME:
        fuzz_clock_pass_us(UINT64_C(1) << (byte_of(input) % 36));
        break;
    case PIECE_READING:
        client.reads = !client.reads;
        break;
    case PIECE_HALF_CLOSE:
        (void)shutdown(client.fd, SHUT_WR);
        break;
    case PIECE_DATA:
        client_data(&client, 256 * (size_t)byte_of(input));
        break;
    case PIECE_EXCHANGE:
        client_exchange(&client);
        break;
    case PIECE_OPEN:
        client_open(&client, byte_of(input), 100000);
        break;
    default:
        bytes = bytes_of(input, &size);
        client_packet(&client, bytes, size);
        break;
    }
}

static void run(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    uint8_t choice = byte_of(&input);
    struct place *place = &places[(choice >> 4) % PLACES];
    choose_path((choice & 4) != 0);
    (void)crypto_shortcuts_start();
    begin(place, (enum stage)(choice & 3), (choice & 8) != 0 ? 64 : 1000000);
    while (left(&input) > 0) {
        play(&input);
        settle(place);
    }
    end(place);
    crypto_shortcuts_stop(); /* keeps a key where LeakSanitizer does not look */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_clock_guard_alarm();
    fuzz_clock_is_ours = true;
    run(data, size);
    fuzz_clock_is_ours = false;
    return 0;
}

/* ---- that it is what it says ------------------------------------------------------------------------------------- */

/* A shell, data, a key re-exchange, more data: all of it back. */
static void check_echo(size_t place, bool plain)
{
    const uint8_t input[] = {
        (uint8_t)(place << 4 | (plain ? 4 : 0) | STAGE_SHELL), PIECE_DATA, 8, PIECE_EXCHANGE, PIECE_DATA, 3};
    run(input, sizeof input);
    if (client.echo.fed_bytes != 11 * 256 || client.echo.back_bytes != client.echo.fed_bytes) {
        (void)fprintf(stderr, "configuration %zu, %s path: %zu bytes of %zu came back, in %llu messages\n", place,
                      plain ? "plain" : "batched", client.echo.back_bytes, client.echo.fed_bytes,
                      (unsigned long long)client.messages);
        client_find("the scripted session does not echo");
    }
}

/* What has been freed is kept apart for some connections; for a quarter of a gigabyte, each input touches new pages. */
const char *__asan_default_options(void) /* NOLINT(bugprone-reserved-identifier) */
{
    return "quarantine_size_mb=16";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_setup(getenv("FUZZ_LOG") != NULL ? LOG_TRACE : LOG_DEBUG, LOG_FORMAT_KV,
              getenv("FUZZ_LOG") != NULL ? STDERR_FILENO : nowhere, false);
    fuzz_clock_is_ours = true;
    loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    board = scoreboard_create();
    if (loop == NULL || board == NULL) {
        client_find("no loop or no memory");
    }
    for (size_t i = 0; i < PLACES; i++) {
        open_place(&places[i], (unsigned)i, nowhere);
    }
    for (size_t i = 0; i < PLACES; i++) {
        check_echo(i, false);
        check_echo(i, true);
    }
    fuzz_clock_is_ours = false;
    (void)fprintf(stderr, "fuzz_server_session: %zu scripted sessions echoed\n", 2 * PLACES);
    return 0;
}
