#include "sshecho/crypto_shortcuts.h"

#ifndef SSHECHO_CRYPTO_SHORTCUTS
#define SSHECHO_CRYPTO_SHORTCUTS 0
#endif

bool crypto_shortcuts_are_built(void)
{
    return SSHECHO_CRYPTO_SHORTCUTS != 0;
}

#if SSHECHO_CRYPTO_SHORTCUTS

#include <dlfcn.h>
#include <libssh/libssh.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The types of the four functions, that a key is counted by references and that any process may share one read-only:
 * all this is as in OpenSSL 3.0 to 3.5. Another major version has to be looked at first. */
_Static_assert(OPENSSL_VERSION_MAJOR == 3, "build with CRYPTO_SHORTCUTS=0, or look what this OpenSSL has changed");

/* A draw of this many bytes or more may be a key. */
#define SECRET_BYTES 32

/* Raw Ed25519 and X25519 keys. */
#define KEY_BYTES 32

/* One fill of the pool: some 200 packets. */
#define POOL_BYTES 3072

/* What must not be known to another process: the kernel zeroes it in a child, which then finds `on` false. */
struct page {
    EVP_PKEY *ed25519;
    bool on;
    uint32_t left; /* bytes at the end of pool that have not been handed out */
    uint8_t pool[POOL_BYTES];
};

struct section {
    struct page *page; /* NULL: this thread has not started */
    struct crypto_kept *kept;
    uint64_t draws_left;
    bool entered;
    struct crypto_served served;
};
static _Thread_local struct section section;

/* ---- the real ones --------------------------------------------------------------------------------------------- */

typedef int rand_bytes_function(unsigned char *bytes, int size);
typedef void rand_add_function(const void *bytes, int size, double entropy);
typedef EVP_PKEY *new_key_function(int type, ENGINE *engine, const unsigned char *bytes, size_t size);
typedef int get_key_function(const EVP_PKEY *key, unsigned char *bytes, size_t *size);

static struct {
    rand_bytes_function *rand_bytes;
    rand_add_function *rand_add;
    new_key_function *new_key;
    get_key_function *get_key;
} real_ones;

/* The definitions that come after ours: without them the program could not have been linked. */
static void find_real_ones(void)
{
    real_ones.rand_bytes = (rand_bytes_function *)dlsym(RTLD_NEXT, "RAND_bytes");
    real_ones.rand_add = (rand_add_function *)dlsym(RTLD_NEXT, "RAND_add");
    real_ones.new_key = (new_key_function *)dlsym(RTLD_NEXT, "EVP_PKEY_new_raw_private_key");
    real_ones.get_key = (get_key_function *)dlsym(RTLD_NEXT, "EVP_PKEY_get_raw_private_key");
}

/* Not a constructor: libssh's own may call before ours is due. */
#define REAL(member) (pthread_once(&found_once, find_real_ones), real_ones.member)
static pthread_once_t found_once = PTHREAD_ONCE_INIT;

static bool serving(void)
{
    return section.entered && section.page != NULL && section.page->on;
}

/* ---- what libssh calls ----------------------------------------------------------------------------------------- */

int RAND_bytes(unsigned char *bytes, int size)
{
    rand_bytes_function *rand_bytes = REAL(rand_bytes);
    if (!serving()) {
        return rand_bytes(bytes, size);
    }
    if (section.draws_left == 0) {
        section.served.draws_refused++;
        return 0;
    }
    section.draws_left -= section.draws_left != CRYPTO_ANY ? 1 : 0;
    if (size <= 0 || size >= SECRET_BYTES) {
        return rand_bytes(bytes, size);
    }
    struct page *page = section.page;
    uint32_t wanted = (uint32_t)size;
    if (page->left < wanted) {
        page->left = 0;
        if (rand_bytes(page->pool, POOL_BYTES) != 1) {
            return 0;
        }
        page->left = POOL_BYTES;
    }
    uint8_t *from = page->pool + POOL_BYTES - page->left;
    memcpy(bytes, from, wanted);
    explicit_bzero(from, wanted);
    page->left -= wanted;
    section.served.draws++;
    return 1;
}

void RAND_add(const void *bytes, int size, double entropy)
{
    if (!serving()) {
        REAL(rand_add)(bytes, size, entropy);
    }
}

/* Whether the key is made of these bytes. */
static bool consists_of(const EVP_PKEY *key, const unsigned char *bytes)
{
    unsigned char raw[KEY_BYTES];
    size_t size = sizeof raw;
    bool same = REAL(get_key)(key, raw, &size) == 1 && size == KEY_BYTES && CRYPTO_memcmp(raw, bytes, KEY_BYTES) == 0;
    OPENSSL_cleanse(raw, sizeof raw);
    return same;
}

static EVP_PKEY *ed25519_key(const unsigned char *bytes)
{
    struct page *page = section.page;
    if (page->ed25519 != NULL && consists_of(page->ed25519, bytes)) {
        if (EVP_PKEY_up_ref(page->ed25519) != 1) {
            return NULL;
        }
        section.served.host_keys++;
        return page->ed25519;
    }
    EVP_PKEY *key = REAL(new_key)(EVP_PKEY_ED25519, NULL, bytes, KEY_BYTES);
    if (key != NULL && EVP_PKEY_up_ref(key) == 1) {
        EVP_PKEY_free(page->ed25519);
        page->ed25519 = key;
    }
    return key;
}

EVP_PKEY *EVP_PKEY_new_raw_private_key(int type, ENGINE *engine, const unsigned char *bytes, size_t size)
{
    if (serving() && engine == NULL && size == KEY_BYTES) {
        if (type == EVP_PKEY_ED25519) {
            return ed25519_key(bytes);
        }
        if (type == EVP_PKEY_X25519 && section.kept != NULL && section.kept->x25519 != NULL &&
            consists_of(section.kept->x25519, bytes)) {
            EVP_PKEY *key = section.kept->x25519;
            section.kept->x25519 = NULL; /* our reference is the caller's now */
            section.served.ephemeral_keys++;
            return key;
        }
    }
    return REAL(new_key)(type, engine, bytes, size);
}

int EVP_PKEY_get_raw_private_key(const EVP_PKEY *key, unsigned char *bytes, size_t *size)
{
    int rc = REAL(get_key)(key, bytes, size);
    if (rc == 1 && bytes != NULL && serving() && section.kept != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_X25519) {
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): the count of references is all that changes */
        EVP_PKEY *object = (EVP_PKEY *)(uintptr_t)key;
        if (EVP_PKEY_up_ref(object) == 1) {
            crypto_kept_free(section.kept);
            section.kept->x25519 = object;
        }
    }
    return rc;
}

/* ---- start and stop -------------------------------------------------------------------------------------------- */

/* That libssh's tree of libraries leads to the same functions: keys of two libcryptos must not meet. */
static bool libcrypto_is_shared_with_libssh(void)
{
    Dl_info libssh;
    void *tree = NULL;
    if (dladdr((const void *)(uintptr_t)ssh_new, &libssh) != 0) { /* NOLINT(performance-no-int-to-ptr) */
        tree = dlopen(libssh.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }
    if (tree == NULL) {
        return false;
    }
    /* NOLINTBEGIN(performance-no-int-to-ptr): what dlsym returns is compared with functions */
    bool same = dlsym(tree, "RAND_bytes") == (void *)(uintptr_t)REAL(rand_bytes) &&
                dlsym(tree, "EVP_PKEY_up_ref") == (void *)(uintptr_t)EVP_PKEY_up_ref &&
                dlsym(tree, "EVP_PKEY_new_raw_private_key") == (void *)(uintptr_t)REAL(new_key);
    /* NOLINTEND(performance-no-int-to-ptr) */
    (void)dlclose(tree);
    return same;
}

/* Whether random bytes that libssh asks for come out of our pool. */
static bool libssh_comes_here(void)
{
    unsigned char bytes[SECRET_BYTES - 1];
    uint64_t before = section.served.draws;
    crypto_enter(NULL);
    bool got = ssh_get_random(bytes, sizeof bytes, 0) == 1;
    crypto_leave();
    return got && section.served.draws == before + 1;
}

static bool forks_are_watched;

static struct page *make_page(void)
{
    struct page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    if (madvise(page, sizeof *page, MADV_WIPEONFORK) != 0) {
        (void)munmap(page, sizeof *page);
        return NULL;
    }
    (void)madvise(page, sizeof *page, MADV_DONTDUMP);
    page->on = true;
    return page;
}

/* Once more what the kernel has done, for one that only says so (QEMU's user mode). */
static void forget_in_child(void)
{
    if (section.page != NULL) {
        explicit_bzero(section.page, sizeof *section.page);
    }
}

static void watch_forks(void)
{
    forks_are_watched = pthread_atfork(NULL, NULL, forget_in_child) == 0;
}

bool crypto_shortcuts_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (crypto_shortcuts_are_on()) {
        return true;
    }
    crypto_shortcuts_stop(); /* the page of a parent */
    (void)pthread_once(&once, watch_forks);
    if (!forks_are_watched || (OPENSSL_version_major() != OPENSSL_VERSION_MAJOR) ||
        !libcrypto_is_shared_with_libssh()) {
        return false;
    }
    section.page = make_page();
    if (section.page == NULL || !libssh_comes_here()) {
        crypto_shortcuts_stop();
        return false;
    }
    section.served = (struct crypto_served){0};
    return true;
}

bool crypto_shortcuts_are_on(void)
{
    return section.page != NULL && section.page->on;
}

void crypto_shortcuts_stop(void)
{
    struct page *page = section.page;
    section.page = NULL;
    if (page != NULL) {
        EVP_PKEY_free(page->ed25519);
        explicit_bzero(page, sizeof *page);
        (void)munmap(page, sizeof *page);
    }
}

struct crypto_served crypto_shortcuts_served(void)
{
    return section.served;
}

void crypto_enter(struct crypto_kept *kept)
{
    section.kept = kept;
    section.draws_left = CRYPTO_ANY;
    section.entered = true;
}

void crypto_leave(void)
{
    section.entered = false;
    section.kept = NULL;
}

void crypto_allow_draws(uint64_t draws)
{
    section.draws_left = draws;
}

void crypto_kept_free(struct crypto_kept *kept)
{
    EVP_PKEY_free(kept->x25519);
    kept->x25519 = NULL;
}

#else

bool crypto_shortcuts_start(void)
{
    return false;
}

bool crypto_shortcuts_are_on(void)
{
    return false;
}

void crypto_shortcuts_stop(void) {}

struct crypto_served crypto_shortcuts_served(void)
{
    return (struct crypto_served){0};
}

void crypto_enter(struct crypto_kept *kept)
{
    (void)kept;
}

void crypto_leave(void) {}

void crypto_allow_draws(uint64_t draws)
{
    (void)draws;
}

void crypto_kept_free(struct crypto_kept *kept)
{
    (void)kept;
}

#endif
