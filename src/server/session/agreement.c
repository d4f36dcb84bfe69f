#include "server/session/agreement.h"

#include <stdio.h>
#include <string.h>

#include "server/identity/algorithm_lists.h"

#define OFFER_SHOWN_BYTES 160

static struct kexinit_text text_of(const char *list)
{
    return (struct kexinit_text){list, strlen(list)};
}

static bool brings_own_mac(struct kexinit_text cipher)
{
    static const char gcm[] = "-gcm@openssh.com";
    static const char chacha[] = "chacha20-poly1305@openssh.com";
    size_t tail = sizeof gcm - 1;
    return (cipher.length > tail && memcmp(cipher.start + cipher.length - tail, gcm, tail) == 0) ||
           (cipher.length == sizeof chacha - 1 && memcmp(cipher.start, chacha, cipher.length) == 0);
}

/* A peer's words: printable, and no more than are worth a line. */
static void show(char *out, struct kexinit_text list)
{
    size_t n = list.length < OFFER_SHOWN_BYTES ? list.length : OFFER_SHOWN_BYTES;
    for (size_t i = 0; i < n; i++) {
        out[i] = list.start[i] > ' ' && list.start[i] <= '~' ? list.start[i] : '?';
    }
    (void)snprintf(out + n, 4, "%s", n < list.length ? "..." : "");
}

/* The next wider set of algorithms that would do. */
static const char *remedy(const struct config *config, enum algorithm_kind kind, struct kexinit_text wanted)
{
    for (unsigned set = config->algorithms + 1; kind < ALGORITHM_KINDS && set < ALGORITHM_SETS; set++) {
        if (kexinit_first_common(wanted, text_of(algorithm_list((enum algorithm_set)set, kind, true))).length > 0) {
            return algorithm_set_names[set];
        }
    }
    return NULL;
}

bool agreement_possible(const struct kexinit *client, const struct config *config, const char *host_keys, char *text,
                        size_t text_size)
{
    const struct {
        enum kexinit_list list;
        enum algorithm_kind kind;
        const char *key, *offer;
    } all[] = {
        {KEXINIT_KEX, ALGORITHM_KEX, "kex", config->kex},
        {KEXINIT_HOST_KEY, ALGORITHM_HOST_KEY, "host-key-algorithms", host_keys},
        {KEXINIT_CIPHER_CLIENT, ALGORITHM_CIPHER, "ciphers", config->ciphers},
        {KEXINIT_MAC_CLIENT, ALGORITHM_MAC, "macs", config->macs},
        {KEXINIT_CIPHER_SERVER, ALGORITHM_CIPHER, "ciphers", config->ciphers},
        {KEXINIT_MAC_SERVER, ALGORITHM_MAC, "macs", config->macs},
        {KEXINIT_COMPRESSION_CLIENT, ALGORITHM_KINDS, "compression", config->compression},
        {KEXINIT_COMPRESSION_SERVER, ALGORITHM_KINDS, "compression", config->compression},
    };
    struct kexinit_text cipher = {"", 0};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct kexinit_text wanted;
        if (!kexinit_list(client, all[i].list, &wanted)) {
            return true; /* malformed: libssh will have its say */
        }
        struct kexinit_text common = kexinit_first_common(wanted, text_of(all[i].offer));
        if (all[i].kind == ALGORITHM_CIPHER) {
            cipher = common;
        }
        if (common.length > 0 || (all[i].kind == ALGORITHM_MAC && brings_own_mac(cipher))) {
            continue;
        }
        char theirs[OFFER_SHOWN_BYTES + 4], ours[OFFER_SHOWN_BYTES + 4];
        show(theirs, wanted);
        show(ours, text_of(all[i].offer));
        const char *set = remedy(config, all[i].kind, wanted);
        (void)snprintf(text, text_size, "nothing in common for %s: the client offers %s, the server %s; %s%s",
                       all[i].key, theirs, ours, set != NULL ? "would help: algorithms " : "no wider set would help",
                       set != NULL ? set : "");
        return false;
    }
    return true;
}

bool agreement_is_talkative(const struct kexinit *client)
{
    static const char asyncssh[] = "SSH-2.0-AsyncSSH_";
    return client->line_bytes >= sizeof asyncssh && memcmp(client->bytes, asyncssh, sizeof asyncssh - 1) == 0;
}

bool agreement_is_hasty(const struct kexinit *client)
{
    static const char libssh[] = "SSH-2.0-libssh_";
    struct kexinit_text kex;
    return client->line_bytes >= sizeof libssh && memcmp(client->bytes, libssh, sizeof libssh - 1) == 0 &&
           kexinit_list(client, KEXINIT_KEX, &kex) && kexinit_first_common(text_of("ext-info-c"), kex).length > 0;
}
