/* A null cipher for libssh, which has none: libcrypto's functions that its aes128-gcm@openssh.com calls, in libcrypto's
 * place. What libssh takes for such a context is copied, every tag is right and all zeros. Other ciphers, key exchange,
 * signatures and random bytes are libcrypto's own. To be included once. */
#ifndef FUZZ_NULL_CIPHER_H
#define FUZZ_NULL_CIPHER_H

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef int null_cipher_update(EVP_CIPHER_CTX *context, unsigned char *out, int *out_size, const unsigned char *in,
                               int in_size);
typedef int null_cipher_final(EVP_CIPHER_CTX *context, unsigned char *out, int *out_size);
typedef int null_cipher_control(EVP_CIPHER_CTX *context, int type, int size, void *value);

/* The definition that comes after ours. */
#define NULL_CIPHER_REAL(type, name)                                                                                   \
    static type *real;                                                                                                 \
    real = real != NULL ? real : (type *)dlsym(RTLD_NEXT, name)

static bool null_cipher_is_for(const EVP_CIPHER_CTX *context)
{
    return EVP_CIPHER_CTX_get_nid(context) == NID_aes_128_gcm;
}

/* Without `out` it is data that is only authenticated. */
static int null_cipher_copy(unsigned char *out, int *out_size, const unsigned char *in, int in_size)
{
    if (out != NULL && in_size > 0) {
        memmove(out, in, (size_t)in_size);
    }
    *out_size = in_size;
    return 1;
}

int EVP_EncryptUpdate(EVP_CIPHER_CTX *context, unsigned char *out, int *out_size, const unsigned char *in, int in_size)
{
    NULL_CIPHER_REAL(null_cipher_update, "EVP_EncryptUpdate");
    return null_cipher_is_for(context) ? null_cipher_copy(out, out_size, in, in_size)
                                       : real(context, out, out_size, in, in_size);
}

int EVP_DecryptUpdate(EVP_CIPHER_CTX *context, unsigned char *out, int *out_size, const unsigned char *in, int in_size)
{
    NULL_CIPHER_REAL(null_cipher_update, "EVP_DecryptUpdate");
    return null_cipher_is_for(context) ? null_cipher_copy(out, out_size, in, in_size)
                                       : real(context, out, out_size, in, in_size);
}

int EVP_EncryptFinal(EVP_CIPHER_CTX *context, unsigned char *out, int *out_size)
{
    NULL_CIPHER_REAL(null_cipher_final, "EVP_EncryptFinal");
    return null_cipher_is_for(context) ? null_cipher_copy(out, out_size, NULL, 0) : real(context, out, out_size);
}

int EVP_DecryptFinal(EVP_CIPHER_CTX *context, unsigned char *out, int *out_size)
{
    NULL_CIPHER_REAL(null_cipher_final, "EVP_DecryptFinal");
    return null_cipher_is_for(context) ? null_cipher_copy(out, out_size, NULL, 0) : real(context, out, out_size);
}

int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *context, int type, int size, void *value)
{
    NULL_CIPHER_REAL(null_cipher_control, "EVP_CIPHER_CTX_ctrl");
    if (!null_cipher_is_for(context) ||
        (type != EVP_CTRL_GCM_IV_GEN && type != EVP_CTRL_GCM_SET_TAG && type != EVP_CTRL_GCM_GET_TAG)) {
        return real(context, type, size, value);
    }
    if (type == EVP_CTRL_GCM_GET_TAG) {
        memset(value, 0, (size_t)size);
    }
    return 1;
}

#endif
