#include "server/report/remarks.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STRICT "kex-strict-c-v00@openssh.com"

/* What libssh grants in one packet; an ordinary maximum. */
#define PACKET_BYTES 32768

/* OpenSSH's sshd ends a connection at its sixth failure (MaxAuthTries). */
#define USUAL_TRIES 6

#define BULK_BYTES (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define HOUR_US (3600 * US_PER_S)
/* A round trip and a good deal more: for an answer to our CLOSE. */
#define CLOSE_WAIT_US (2 * US_PER_S)
#define PIECES_LEAST 5

const char *const remark_names[] = {"version-line",
                                    "strict-kex-missing",
                                    "weak-algorithms",
                                    "none-not-tried",
                                    "many-keys",
                                    "late-rekey",
                                    "early-rekey",
                                    "delayed-pieces",
                                    "window-overrun",
                                    "cut-without-close",
                                    "window-stalls",
                                    "small-window",
                                    "small-packets",
                                    "data-after-eof",
                                    "close-without-eof",
                                    "close-unanswered",
                                    NULL};

/* Names that ssh-audit fails, of those that clients really have: sorted by nothing. */
static const char *const weak[] = {"diffie-hellman-group1-sha1",
                                   "diffie-hellman-group-exchange-sha1",
                                   "ecdh-sha2-nistp256",
                                   "ecdh-sha2-nistp384",
                                   "ecdh-sha2-nistp521",
                                   "gss-group1-sha1-toWM5Slw5Ew8Mqkay+al2g==",
                                   "rsa1024-sha1",
                                   "ssh-rsa",
                                   "ssh-dss",
                                   "ecdsa-sha2-nistp256",
                                   "ecdsa-sha2-nistp384",
                                   "ecdsa-sha2-nistp521",
                                   "ssh-rsa-cert-v00@openssh.com",
                                   "ssh-dss-cert-v00@openssh.com",
                                   "ssh-rsa-cert-v01@openssh.com",
                                   "ssh-dss-cert-v01@openssh.com",
                                   "ecdsa-sha2-nistp256-cert-v01@openssh.com",
                                   "ecdsa-sha2-nistp384-cert-v01@openssh.com",
                                   "ecdsa-sha2-nistp521-cert-v01@openssh.com",
                                   "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
                                   "sk-ecdsa-sha2-nistp256@openssh.com",
                                   "des-cbc",
                                   "3des-cbc",
                                   "3des-ctr",
                                   "blowfish-cbc",
                                   "blowfish-ctr",
                                   "twofish-cbc",
                                   "twofish128-cbc",
                                   "twofish256-cbc",
                                   "serpent128-cbc",
                                   "serpent192-cbc",
                                   "serpent256-cbc",
                                   "none",
                                   "idea-cbc",
                                   "cast128-ctr",
                                   "cast128-cbc",
                                   "arcfour",
                                   "arcfour128",
                                   "arcfour256",
                                   "aes128-cbc",
                                   "aes192-cbc",
                                   "aes256-cbc",
                                   "rijndael128-cbc",
                                   "rijndael192-cbc",
                                   "rijndael256-cbc",
                                   "rijndael-cbc@lysator.liu.se",
                                   "hmac-sha1-96",
                                   "hmac-sha2-256-96",
                                   "hmac-sha2-512-96",
                                   "hmac-md5",
                                   "hmac-md5-96",
                                   "hmac-ripemd",
                                   "hmac-ripemd160",
                                   "hmac-ripemd160-96",
                                   "hmac-ripemd160@openssh.com",
                                   "hmac-sha1-96-etm@openssh.com",
                                   "hmac-md5-etm@openssh.com",
                                   "hmac-md5-96-etm@openssh.com",
                                   "hmac-ripemd160-etm@openssh.com"};

struct finding {
    struct remark *out;
    size_t most, count;
};

__attribute__((format(printf, 5, 6))) static void remark(struct finding *finding, const char *name, unsigned channel,
                                                         const char *clause, const char *format, ...)
{
    if (finding->count < finding->most) {
        struct remark *into = &finding->out[finding->count];
        va_list arguments;
        *into = (struct remark){.name = name, .clause = clause, .channel = channel};
        va_start(arguments, format);
        (void)vsnprintf(into->why, sizeof into->why, format, arguments);
        va_end(arguments);
    }
    finding->count++;
}

static bool is_name(struct kexinit_text name, const char *text)
{
    return strlen(text) == name.length && memcmp(name.start, text, name.length) == 0;
}

bool remarks_is_weak(struct kexinit_text name)
{
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++) {
        if (is_name(name, weak[i])) {
            return true;
        }
    }
    return false;
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static void look_at_version(struct finding *finding, const struct record *record)
{
    static const char *const words[] = {
        "it does not begin with SSH-2.0-",         "it ends in a line feed without carriage return",
        "it is longer than 255 characters",        "it holds something else than printable US-ASCII",
        "the software's version has a minus sign", "there is no software's version"};
    for (unsigned i = 0; record->version_seen && i < sizeof words / sizeof words[0]; i++) {
        if ((record->version_faults & 1U << i) != 0) {
            remark(finding, "version-line", 0, "RFC 4253, 4.2", "the version line is not as it should be: %s",
                   words[i]);
            return;
        }
    }
}

static void look_at_offer(struct finding *finding, const struct record *record)
{
    static const enum kexinit_list lists[] = {KEXINIT_KEX,           KEXINIT_HOST_KEY,   KEXINIT_CIPHER_CLIENT,
                                              KEXINIT_CIPHER_SERVER, KEXINIT_MAC_CLIENT, KEXINIT_MAC_SERVER};
    char names[REMARK_TEXT_MAX - 64] = "";
    size_t length = 0;
    unsigned count = 0;
    bool strict = false, cut = false;
    if (record->offer == NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct kexinit_text list, other = {"", 0};
        if (!kexinit_offer_list(offer_text(record->offer), lists[i], &list)) {
            return;
        }
        /* what is offered both ways counts once */
        if (lists[i] == KEXINIT_CIPHER_SERVER || lists[i] == KEXINIT_MAC_SERVER) {
            (void)kexinit_offer_list(offer_text(record->offer), lists[i - 1], &other);
        }
        while (list.length > 0) {
            struct kexinit_text name = kexinit_next_name(&list);
            strict = strict || is_name(name, STRICT);
            if (!remarks_is_weak(name) || kexinit_first_common(name, other).length > 0) {
                continue;
            }
            if (length + name.length + sizeof ", ..." < sizeof names - sizeof ", ...") {
                length += (size_t)snprintf(names + length, sizeof names - length, "%s%.*s", count > 0 ? ", " : "",
                                           (int)name.length, name.start);
            } else if (!cut) {
                cut = true;
                length += (size_t)snprintf(names + length, sizeof names - length, ", ...");
            }
            count++;
        }
    }
    if (!strict) {
        remark(finding, "strict-kex-missing", 0, "CVE-2023-48795; draft-miller-sshm-strict-kex",
               "%s is not among its key exchange methods: a man in the middle can take messages off the beginning of "
               "the session (Terrapin)",
               STRICT);
    }
    if (count > 0) {
        remark(finding, "weak-algorithms", 0, "RFC 9142; ssh-audit", "it offers %u that ssh-audit fails: %s", count,
               names);
    }
}

static void look_at_login(struct finding *finding, const struct record *record)
{
    if (record->try_count > 0 && !record->none_tried) {
        remark(finding, "none-not-tried", 0, "RFC 4252, 5.2",
               "it began with %s without having asked, by method none, which methods there are",
               record_methods[record->tries[0].method]);
    }
    if (record->keys_refused >= USUAL_TRIES) {
        remark(finding, "many-keys", 0, "RFC 4252, 4",
               "%u keys were refused; a server may disconnect a client before, OpenSSH's does after %d (MaxAuthTries)",
               record->keys_refused, USUAL_TRIES);
    }
}

static void look_at_keys(struct finding *finding, const struct record *record, const struct remark_facts *facts)
{
    uint64_t most =
        record->most_bytes_under_key > facts->bytes_under_key ? record->most_bytes_under_key : facts->bytes_under_key;
    if (most > GIB) {
        remark(finding, "late-rekey", 0, "RFC 4253, 9 (RFC 4344, 3.2 allows more with blocks of 16 bytes)",
               "it sent %.2f GiB under one key without re-keying", (double)most / (double)GIB);
    }
    if (record->client_rekeys > 0 && record->least_rekey_bytes < BULK_BYTES && record->least_rekey_us < HOUR_US) {
        remark(finding, "early-rekey", 0, "RFC 4253, 9",
               "it began a key re-exchange %" PRIu64 " bytes and %.1f s after the keys before",
               record->least_rekey_bytes, (double)record->least_rekey_us / (double)US_PER_S);
    }
}

static void look_at_socket(struct finding *finding, const struct record *record, const struct remark_facts *facts)
{
    if (record->pieces >= PIECES_LEAST) {
        remark(finding, "delayed-pieces", 0, "RFC 1122, 4.2.3.4",
               "%u small packets came in pieces, the last on the average %.0f ms after the first: written in pieces, "
               "each of which waits for an acknowledgement (Nagle's algorithm; TCP_NODELAY)",
               record->pieces, (double)record->pieces_wait_us / record->pieces / 1000.0);
    }
    if (facts->overran_window) {
        remark(finding, "window-overrun", 0, "RFC 4254, 5.2", "it sent more than the window it was granted");
    }
    unsigned open = 0;
    for (const struct channel_record *channel = record->first; channel != NULL; channel = channel->next) {
        open += channel->at.close.ns == 0 ? 1 : 0;
    }
    if (facts->over && facts->cut && open > 0) {
        remark(finding, "cut-without-close", 0, "RFC 4254, 5.3; RFC 4253, 11.1",
               "it ended TCP with %u channel%s open and without SSH_MSG_DISCONNECT", open, open == 1 ? "" : "s");
    }
}

/* ---- a channel --------------------------------------------------------------------------------------------------- */

static void look_at_window(struct finding *finding, const struct channel_record *channel, mono_time now)
{
    const struct record_window *window = &channel->window;
    int64_t shut_us = window->shut_us + (window->shut_at.ns != 0 ? mono_us_between(window->shut_at, now) : 0);
    uint64_t mean = window->adjustments > 0 ? window->adjusted_bytes / window->adjustments : 0;
    /* A client whose user reads slowly opens its window late too, but by what has been read, not as a whole. */
    if (window->adjustments >= 4 && window->adjustments_at_empty * 4 >= window->adjustments * 3 && shut_us > 0 &&
        mean * 4 >= (uint64_t)window->initial * 3) {
        remark(finding, "window-stalls", channel->number, "RFC 4254, 5.2",
               "%u of %u times the window was opened only when it was empty, by %" PRIu64
               " bytes on the average: the server stood still for %.1f ms in all",
               window->adjustments_at_empty, window->adjustments, mean, (double)shut_us / 1000.0);
    }
    if (window->seen && channel->largest_out > 0 && window->shuts > 1 && window->most < 2 * channel->largest_out) {
        remark(finding, "small-window", channel->number, "RFC 4254, 5.2",
               "its window was never more than %u bytes, less than two packets of %u: the next packet cannot leave "
               "before the last has been answered",
               window->most, channel->largest_out);
    }
}

static void look_at_channel(struct finding *finding, const struct channel_record *channel,
                            const struct remark_facts *facts)
{
    look_at_window(finding, channel, facts->now);
    if (channel->bulk_bytes >= BULK_BYTES && channel->bulk_bytes / channel->bulk_packets < PACKET_BYTES / 4) {
        remark(finding, "small-packets", channel->number, "RFC 4254, 5.2",
               "in bulk (%" PRIu64 " bytes that came together) its packets had %" PRIu64
               " bytes on the average, of %d allowed",
               channel->bulk_bytes, channel->bulk_bytes / channel->bulk_packets, PACKET_BYTES);
    }
    if (channel->data_after_eof) {
        remark(finding, "data-after-eof", channel->number, "RFC 4254, 5.3", "it sent data behind its EOF");
    }
    if (channel->close_without_eof) {
        remark(finding, "close-without-eof", channel->number, "RFC 4254, 5.3",
               "it closed the channel first, and had not said before that it would send no more (EOF)");
    }
    if (channel->finished.ns != 0 && channel->at.close.ns == 0 &&
        mono_us_between(channel->finished, facts->now) >= CLOSE_WAIT_US) {
        remark(finding, "close-unanswered", channel->number, "RFC 4254, 5.3",
               "our CLOSE has had no answer for %.1f s%s",
               (double)mono_us_between(channel->finished, facts->now) / (double)US_PER_S,
               facts->over ? ", until the end" : "");
    }
}

size_t remarks_find(const struct record *record, const struct remark_facts *facts, struct remark *out, size_t most)
{
    struct finding finding = {.out = out, .most = most};
    look_at_version(&finding, record);
    look_at_offer(&finding, record);
    look_at_login(&finding, record);
    look_at_keys(&finding, record, facts);
    look_at_socket(&finding, record, facts);
    for (const struct channel_record *channel = record->first; channel != NULL; channel = channel->next) {
        look_at_channel(&finding, channel, facts);
    }
    return finding.count;
}
