#include "server/report/hassh.h"

#ifdef HAVE_LIBCRYPTO
#include <openssl/evp.h>
#include <stdio.h>

bool hassh_of(struct kexinit_text offer, char out[HASSH_CHARACTERS + 1])
{
    static const enum kexinit_list lists[] = {KEXINIT_KEX, KEXINIT_CIPHER_CLIENT, KEXINIT_MAC_CLIENT,
                                              KEXINIT_COMPRESSION_CLIENT};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context != NULL && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1;
    for (size_t i = 0; ok && i < sizeof lists / sizeof lists[0]; i++) {
        struct kexinit_text list;
        ok = kexinit_offer_list(offer, lists[i], &list) && EVP_DigestUpdate(context, ";", i > 0 ? 1 : 0) == 1 &&
             EVP_DigestUpdate(context, list.start, list.length) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(context, digest, &size) == 1 && size * 2 == HASSH_CHARACTERS;
    for (unsigned i = 0; ok && i < size; i++) {
        (void)snprintf(out + 2 * (size_t)i, 3, "%02x", digest[i]);
    }
    EVP_MD_CTX_free(context);
    return ok;
}
#else
bool hassh_of(struct kexinit_text offer, char out[HASSH_CHARACTERS + 1])
{
    (void)offer;
    out[0] = '\0';
    return false;
}
#endif
