#include "server/report/report_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/report/hassh.h"
#include "server/report/remarks.h"
#include "sshecho/version.h"

#define REMARKS_MOST 64
#define TEXT_MAX_BYTES 1024

/* ---- values ------------------------------------------------------------------------------------------------------ */

json_t *report_string(const char *text, size_t length)
{
    char clean[TEXT_MAX_BYTES];
    size_t n = length < sizeof clean ? length : sizeof clean;
    for (size_t i = 0; i < n; i++) {
        clean[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    }
    return json_stringn(clean, n);
}

json_t *report_words(const char *text)
{
    return text != NULL ? report_string(text, strlen(text)) : json_null();
}

json_t *report_number(uint64_t number)
{
    return json_integer((json_int_t)number);
}

json_t *report_moment(const struct record *record, mono_time at)
{
    return at.ns != 0 ? json_integer(mono_us_between(record->accepted_at, at)) : json_null();
}

void report_put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

void report_add(json_t *array, json_t *value)
{
    (void)json_array_append_new(array, value);
}

static json_t *duration(int64_t us)
{
    return us >= 0 ? json_integer(us) : json_null();
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

static const struct {
    enum kexinit_list list;
    const char *key;
} lists[] = {
    {KEXINIT_KEX, "kex"},
    {KEXINIT_HOST_KEY, "host_key"},
    {KEXINIT_CIPHER_CLIENT, "cipher_client_to_server"},
    {KEXINIT_CIPHER_SERVER, "cipher_server_to_client"},
    {KEXINIT_MAC_CLIENT, "mac_client_to_server"},
    {KEXINIT_MAC_SERVER, "mac_server_to_client"},
    {KEXINIT_COMPRESSION_CLIENT, "compression_client_to_server"},
    {KEXINIT_COMPRESSION_SERVER, "compression_server_to_client"},
    {KEXINIT_LANGUAGE_CLIENT, "language_client_to_server"},
    {KEXINIT_LANGUAGE_SERVER, "language_server_to_client"},
};

static json_t *offered(struct kexinit_text offer)
{
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        json_t *names = json_array();
        struct kexinit_text list = {"", 0};
        (void)kexinit_offer_list(offer, lists[i].list, &list);
        while (list.length > 0) {
            struct kexinit_text name = kexinit_next_name(&list);
            report_add(names, report_string(name.start, name.length));
        }
        report_put(out, lists[i].key, names);
    }
    return out;
}

/* RFC 4253, 7.1: the first of the client's that the server has too. libssh says only the rest. */
static json_t *first_common(struct kexinit_text offer, enum kexinit_list which, const char *ours)
{
    struct kexinit_text list;
    if (offer.length == 0 || ours == NULL || !kexinit_offer_list(offer, which, &list)) {
        return json_null();
    }
    struct kexinit_text name = kexinit_first_common(list, (struct kexinit_text){ours, strlen(ours)});
    return name.length > 0 ? report_string(name.start, name.length) : json_null();
}

static json_t *chosen(const struct report_view *view, struct kexinit_text offer)
{
    json_t *out = json_object();
    ssh_session session = view->session;
    report_put(out, "kex", report_words(ssh_get_kex_algo(session)));
    report_put(out, "host_key", first_common(offer, KEXINIT_HOST_KEY, view->host_keys));
    report_put(out, "cipher_client_to_server", report_words(ssh_get_cipher_in(session)));
    report_put(out, "cipher_server_to_client", report_words(ssh_get_cipher_out(session)));
    report_put(out, "mac_client_to_server", report_words(ssh_get_hmac_in(session)));
    report_put(out, "mac_server_to_client", report_words(ssh_get_hmac_out(session)));
    report_put(out, "compression_client_to_server", first_common(offer, KEXINIT_COMPRESSION_CLIENT, view->compression));
    report_put(out, "compression_server_to_client", first_common(offer, KEXINIT_COMPRESSION_SERVER, view->compression));
    return out;
}

static json_t *has_name(struct kexinit_text offer, const char *name)
{
    struct kexinit_text list;
    return json_boolean(kexinit_offer_list(offer, KEXINIT_KEX, &list) &&
                        kexinit_first_common(list, (struct kexinit_text){name, strlen(name)}).length > 0);
}

static json_t *who(const struct report_view *view)
{
    json_t *out = json_object();
    const struct offer *kept = view->record->offer;
    struct kexinit_text offer = kept != NULL ? offer_text(kept) : (struct kexinit_text){"", 0};
    char hassh[HASSH_CHARACTERS + 1];
    report_put(out, "version_line", report_words(view->version_line));
    report_put(out, "hassh", kept != NULL && hassh_of(offer, hassh) ? json_string(hassh) : json_null());
    report_put(out, "offered", kept != NULL ? offered(offer) : json_null());
    report_put(out, "first_kex_packet_follows",
               kept != NULL ? json_boolean(kexinit_offer_guesses(offer)) : json_null());
    report_put(out, "strict_kex", kept != NULL ? has_name(offer, "kex-strict-c-v00@openssh.com") : json_null());
    report_put(out, "ext_info", kept != NULL ? has_name(offer, "ext-info-c") : json_null());
    report_put(out, "chosen", view->newkeys_us >= 0 ? chosen(view, offer) : json_null());
    return out;
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

static mono_time either(mono_time a, mono_time b, bool later)
{
    if (a.ns == 0 || b.ns == 0) {
        return a.ns == 0 ? b : a;
    }
    return (a.ns > b.ns) == later ? a : b;
}

/* The channels that are still there have not been added up yet. */
static struct record_times all_channels(const struct record *record)
{
    struct record_times at = record->at;
    for (const struct channel_record *channel = record->first; channel != NULL; channel = channel->next) {
        at.first_data = either(at.first_data, channel->at.first_data, false);
        at.last_data = either(at.last_data, record_last_data(channel), true);
        at.eof = either(at.eof, channel->at.eof, true);
        at.close = either(at.close, channel->at.close, true);
    }
    return at;
}

static json_t *when(const struct report_view *view)
{
    const struct record *record = view->record;
    struct record_times at = all_channels(record);
    json_t *out = json_object();
    report_put(out, "version_line", report_moment(record, record->version_line));
    report_put(out, "kexinit", report_moment(record, record->kexinit));
    report_put(out, "newkeys", duration(view->newkeys_us));
    report_put(out, "login", duration(view->login_us));
    report_put(out, "channel", report_moment(record, at.channel));
    report_put(out, "request", report_moment(record, at.request));
    report_put(out, "first_data", report_moment(record, at.first_data));
    report_put(out, "last_data", report_moment(record, at.last_data));
    report_put(out, "eof", report_moment(record, at.eof));
    report_put(out, "close", report_moment(record, at.close));
    report_put(out, "end", view->reason != NULL ? report_moment(record, view->now) : json_null());
    return out;
}

static json_t *wall_time(int64_t wall_us)
{
    char text[48];
    struct tm utc;
    time_t seconds = (time_t)(wall_us / US_PER_S);
    (void)gmtime_r(&seconds, &utc);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + length, sizeof text - length, ".%06dZ", (int)(wall_us % US_PER_S));
    return json_string(text);
}

/* ---- login, keys ------------------------------------------------------------------------------------------------- */

/* libssh tells the type of a key; with RSA alone the algorithm of the signature may be one of several. */
static json_t *signature_algorithm(const struct record_try *try)
{
    if (try->key == SSH_KEYTYPE_UNKNOWN || try->key == SSH_KEYTYPE_RSA || try->key == SSH_KEYTYPE_RSA_CERT01) {
        return json_null();
    }
    return report_words(ssh_key_type_to_char((enum ssh_keytypes_e)try->key));
}

static json_t *login(const struct report_view *view)
{
    static const char *const outcomes[] = {"refused", "would-do", "partial", "accepted"};
    const struct record *record = view->record;
    json_t *out = json_object(), *tries = json_array();
    for (unsigned i = 0; i < record->try_count && i < RECORD_TRIES; i++) {
        const struct record_try *try = &record->tries[i];
        json_t *each = json_object();
        bool key = try->key != SSH_KEYTYPE_UNKNOWN;
        report_put(each, "method", json_string(record_methods[try->method]));
        report_put(each, "key_type",
                   key ? report_words(ssh_key_type_to_char((enum ssh_keytypes_e)try->key)) : json_null());
        report_put(each, "signature_algorithm", signature_algorithm(try));
        report_put(each, "signed", key ? json_boolean(try->is_signed) : json_null());
        report_put(each, "outcome", json_string(outcomes[try->outcome]));
        report_add(tries, each);
    }
    report_put(out, "user", report_words(view->user));
    report_put(out, "method", report_words(view->method));
    report_put(out, "attempts", report_number(record->try_count));
    report_put(out, "tries", tries);
    return out;
}

static json_t *keys(const struct report_view *view)
{
    const struct record *record = view->record;
    json_t *out = json_object(), *exchanges = json_array();
    for (unsigned i = 0; record->rekeys != NULL && i < record->rekey_count && i < RECORD_REKEYS; i++) {
        const struct record_rekey *rekey = &record->rekeys[i];
        json_t *each = json_object();
        report_put(each, "at_us", report_moment(record, rekey->at));
        report_put(each, "by", json_string(rekey->ours ? "server" : "client"));
        report_put(each, "bytes_in", report_number(rekey->bytes_in));
        report_put(each, "bytes_out", report_number(rekey->bytes_out));
        report_put(each, "took_us", json_integer(rekey->took_us));
        report_add(exchanges, each);
    }
    report_put(out, "re_exchanges", report_number(record->rekey_count));
    report_put(out, "by_client", report_number(record->client_rekeys));
    report_put(out, "each", exchanges);
    return out;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static json_t *end(const struct report_view *view)
{
    static const char said[] = "Received SSH_MSG_DISCONNECT: "; /* packet_cb.c's wording */
    const char *error = ssh_get_error(view->session);
    const char *text = error != NULL ? strstr(error, said) : NULL;
    if (view->reason == NULL) {
        return json_null();
    }
    json_t *out = json_object();
    json_t *message = NULL;
    if (text != NULL) {
        char *colon = NULL;
        message = json_object();
        report_put(message, "code", json_integer((json_int_t)strtoul(text + sizeof said - 1, &colon, 10)));
        report_put(message, "text", report_words(*colon == ':' ? colon + 1 : colon));
    }
    const char *how = text != NULL ? "disconnect" : view->by_reset ? "reset" : view->by_client ? "fin" : "server";
    report_put(out, "reason", json_string(view->reason));
    report_put(out, "phase", json_string(view->phase));
    report_put(out, "how", json_string(how));
    report_put(out, "disconnect", message != NULL ? message : json_null());
    report_put(out, "error", view->error != NULL && *view->error != '\0' ? report_words(view->error) : json_null());
    return out;
}

static json_t *tcp(const struct tcp_view *view)
{
    if (!view->known) {
        return json_null();
    }
    json_t *out = json_object();
    report_put(out, "rtt_us", report_number(view->rtt_us));
    report_put(out, "rtt_variation_us", report_number(view->rtt_variation_us));
    report_put(out, "least_rtt_us", report_number(view->least_rtt_us));
    report_put(out, "segments_in", report_number(view->segments_in));
    report_put(out, "segments_out", report_number(view->segments_out));
    report_put(out, "retransmits", report_number(view->retransmits));
    report_put(out, "segment_bytes", report_number(view->segment_bytes));
    report_put(out, "delivery_bytes_per_s", report_number(view->delivery_bytes_per_s));
    return out;
}

static json_t *bytes(const struct report_view *view)
{
    json_t *out = json_object();
    report_put(out, "channels_in", report_number(view->channel_bytes_in));
    report_put(out, "channels_out", report_number(view->channel_bytes_out));
    report_put(out, "socket_in", report_number(view->wire_bytes_in));
    report_put(out, "socket_out", report_number(view->wire_bytes_out));
    return out;
}

static json_t *remarks(const struct report_view *view)
{
    struct remark found[REMARKS_MOST];
    json_t *out = json_array();
    bool disconnected = strstr(ssh_get_error(view->session), "Received SSH_MSG_DISCONNECT") != NULL;
    const struct remark_facts facts = {.over = view->reason != NULL,
                                       .cut = view->by_client && !disconnected,
                                       .overran_window = view->overran_window,
                                       .now = view->now,
                                       .bytes_under_key = view->bytes_under_key_in};
    size_t count = remarks_find(view->record, &facts, found, REMARKS_MOST);
    for (size_t i = 0; i < count && i < REMARKS_MOST; i++) {
        json_t *each = json_object();
        report_put(each, "name", json_string(found[i].name));
        report_put(each, "channel", found[i].channel != 0 ? report_number(found[i].channel) : json_null());
        report_put(each, "why", report_words(found[i].why));
        report_put(each, "clause", json_string(found[i].clause));
        report_add(out, each);
    }
    return out;
}

json_t *report_object(const struct report_view *view)
{
    char peer[NET_ADDRESS_TEXT_MAX];
    const struct record *record = view->record;
    json_t *out = json_object();
    report_put(out, "schema", json_string("sshechod-report/1"));
    report_put(out, "server", json_string(SSHECHO_VERSION));
    report_put(out, "libssh", json_string(version_libssh()));
    report_put(out, "connection", report_number(view->id));
    report_put(out, "peer", json_string(net_print(view->peer, peer, sizeof peer)));
    report_put(out, "accepted_at", wall_time(record->accepted_wall_us));
    report_put(out, "over", json_boolean(view->reason != NULL));
    report_put(out, "who", who(view));
    report_put(out, "when_us", when(view));
    report_put(out, "login", login(view));
    report_put(out, "keys", keys(view));
    report_put(out, "channels", report_channels(view));
    report_put(out, "channels_opened", report_number(record->channels));
    report_put(out, "channels_left_out", report_number(record->channels_left_out));
    report_put(out, "bytes", bytes(view));
    report_put(out, "tcp", tcp(&view->tcp));
    report_put(out, "end", end(view));
    report_put(out, "remarks", remarks(view));
    return out;
}

char *report_json(const struct report_view *view)
{
    json_t *object = report_object(view);
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t length = text != NULL ? strlen(text) : 0;
    char *line = text != NULL ? realloc(text, length + 2) : NULL;
    json_decref(object);
    if (line == NULL) {
        free(text);
        return NULL;
    }
    memcpy(line + length, "\n", 2);
    return line;
}
