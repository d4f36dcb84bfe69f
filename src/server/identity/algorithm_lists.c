#include "server/identity/algorithm_lists.h"

#include <stddef.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

const char *const algorithm_set_names[ALGORITHM_SETS + 1] = {"modern", "wide", "legacy", NULL};

#define KEX_MODERN "curve25519-sha256,curve25519-sha256@libssh.org"
/* Behind the fast ones: who wants them asks for them first. */
#define KEX_POST_QUANTUM                                                                                               \
    "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,mlkem768nistp256-sha256,"         \
    "mlkem1024nistp384-sha384"
#define KEX_WIDE                                                                                                       \
    KEX_MODERN "," KEX_POST_QUANTUM ",ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"                       \
               "diffie-hellman-group14-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512"
#define KEX_LEGACY                                                                                                     \
    KEX_WIDE ",diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1,"   \
             "diffie-hellman-group1-sha1"

#define HOST_KEY_MODERN                                                                                                \
    "ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
#define HOST_KEY_WIDE                                                                                                  \
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
#define HOST_KEY_LEGACY HOST_KEY_WIDE ",ssh-rsa"

/* With AES in the CPU, GCM costs a third of ChaCha20. */
#define CIPHER_AES "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr"
#define CIPHER_NO_AES                                                                                                  \
    "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
#define CIPHER_MORE_WIDE ",aes192-ctr"
#define CIPHER_MORE_LEGACY CIPHER_MORE_WIDE ",aes128-cbc,aes192-cbc,aes256-cbc,3des-cbc"

#define MAC_MODERN "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define MAC_LEGACY MAC_MODERN ",hmac-sha1-etm@openssh.com,hmac-sha1"

/* Everything current, nothing on SHA-1 (libssh 0.10 would take ssh-rsa). */
#define SIGNATURE_MODERN                                                                                               \
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"              \
    "sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"
#define SIGNATURE_LEGACY SIGNATURE_MODERN ",ssh-rsa"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): lists joined by their macros */
static const char *const lists[ALGORITHM_SETS][ALGORITHM_KINDS] = {
    [ALGORITHMS_MODERN] = {KEX_MODERN, HOST_KEY_MODERN, CIPHER_AES, MAC_MODERN, SIGNATURE_MODERN},
    [ALGORITHMS_WIDE] = {KEX_WIDE, HOST_KEY_WIDE, CIPHER_AES CIPHER_MORE_WIDE, MAC_MODERN, SIGNATURE_MODERN},
    [ALGORITHMS_LEGACY] = {KEX_LEGACY, HOST_KEY_LEGACY, CIPHER_AES CIPHER_MORE_LEGACY, MAC_LEGACY, SIGNATURE_LEGACY},
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

static const char *const ciphers_without_aes[ALGORITHM_SETS] = {CIPHER_NO_AES, CIPHER_NO_AES CIPHER_MORE_WIDE,
                                                                CIPHER_NO_AES CIPHER_MORE_LEGACY};

const char *algorithm_list(enum algorithm_set set, enum algorithm_kind kind, bool aes)
{
    return kind == ALGORITHM_CIPHER && !aes ? ciphers_without_aes[set] : lists[set][kind];
}

bool algorithm_cpu_has_aes(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__) && defined(AT_HWCAP)
    return (getauxval(AT_HWCAP) & (1UL << 3)) != 0; /* HWCAP_AES */
#else
    return false;
#endif
}
