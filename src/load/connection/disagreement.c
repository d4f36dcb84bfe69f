#include "load/connection/disagreement.h"

#include <stdio.h>
#include <string.h>

/* Of each offer, so that both and the option fit into a line. */
#define OFFER_SHOWN_BYTES 120

/* Takes what stands between two marks, and goes behind the second. */
static bool between(const char **at, const char *open, const char *close, struct kexinit_text *found)
{
    const char *begin = strstr(*at, open);
    const char *end = begin != NULL ? strstr(begin + strlen(open), close) : NULL;
    if (end == NULL) {
        return false;
    }
    found->start = begin + strlen(open);
    found->length = (size_t)(end - found->start);
    *at = end + strlen(close);
    return true;
}

/* The option for a list as libssh calls it. */
static const char *option_for(const char *list, size_t length)
{
    static const struct {
        const char *beginning, *option;
    } all[] = {{"kex", "--kex"},
               {"server host key", "--host-key-algorithms"},
               {"encryption", "--ciphers"},
               {"mac", "--macs"},
               {"compression", "--compression"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t n = strlen(all[i].beginning);
        if (length >= n && strncmp(list, all[i].beginning, n) == 0) {
            return all[i].option;
        }
    }
    return NULL;
}

static void explain(struct kexinit_text list, struct kexinit_text theirs, struct kexinit_text ours, char *text,
                    size_t size)
{
    const char *option = option_for(list.start, list.length);
    int theirs_shown = theirs.length < OFFER_SHOWN_BYTES ? (int)theirs.length : OFFER_SHOWN_BYTES;
    int ours_shown = ours.length < OFFER_SHOWN_BYTES ? (int)ours.length : OFFER_SHOWN_BYTES;
    (void)snprintf(text, size, "nothing in common for %.*s: the server offers %.*s%s, we %.*s%s%s%s", (int)list.length,
                   list.start, theirs_shown, theirs.start, theirs.length > OFFER_SHOWN_BYTES ? "..." : "", ours_shown,
                   ours.start, ours.length > OFFER_SHOWN_BYTES ? "..." : "", option != NULL ? "; see " : "",
                   option != NULL ? option : "");
}

bool disagreement_explain(const char *said, char *text, size_t size)
{
    struct kexinit_text list, theirs, ours;
    if (!between(&said, "no match for method ", ": ", &list) || !between(&said, "server [", "]", &theirs) ||
        !between(&said, "client [", "]", &ours)) {
        return false;
    }
    explain(list, theirs, ours, text, size);
    return true;
}

bool disagreement_find(const struct kexinit *server, const struct disagreement_ours *ours, char *text, size_t size)
{
    const struct {
        enum kexinit_list list;
        const char *name, *ours;
    } all[] = {{KEXINIT_KEX, "kex algos", ours->kex},
               {KEXINIT_HOST_KEY, "server host key algo", ours->host_keys},
               {KEXINIT_CIPHER_CLIENT, "encryption client->server", ours->ciphers},
               {KEXINIT_CIPHER_SERVER, "encryption server->client", ours->ciphers},
               {KEXINIT_MAC_CLIENT, "mac algo client->server", ours->macs},
               {KEXINIT_MAC_SERVER, "mac algo server->client", ours->macs},
               {KEXINIT_COMPRESSION_CLIENT, "compression algo client->server", ours->compression}};
    for (size_t i = 0; server->state == KEXINIT_COMPLETE && i < sizeof all / sizeof all[0]; i++) {
        struct kexinit_text theirs;
        if (all[i].ours == NULL || !kexinit_list(server, all[i].list, &theirs)) {
            continue;
        }
        struct kexinit_text wanted = {all[i].ours, strlen(all[i].ours)};
        if (kexinit_first_common(wanted, theirs).length == 0) {
            explain((struct kexinit_text){all[i].name, strlen(all[i].name)}, theirs, wanted, text, size);
            return true;
        }
    }
    return false;
}
