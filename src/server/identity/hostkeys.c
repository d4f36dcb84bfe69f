#include "server/identity/hostkeys.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sshecho/log.h"

static const char generated[] = "generated";

#define STANDARD_KEYS "/etc/sshecho/ssh_host_*_key"

static int fail(struct option_error *error, const char *path, const char *what)
{
    (void)option_fail(error, NULL, "host-key", "%s: %s", path, what);
    return -1;
}

/* libssh keeps one key of each of these kinds in a bind. */
static int kind_of(ssh_key key)
{
    switch (ssh_key_type(key)) {
    case SSH_KEYTYPE_RSA:
        return 1;
    case SSH_KEYTYPE_ED25519:
        return 2;
    case SSH_KEYTYPE_ECDSA_P256:
    case SSH_KEYTYPE_ECDSA_P384:
    case SSH_KEYTYPE_ECDSA_P521:
        return 3;
    default:
        return 0;
    }
}

static int add(struct hostkeys *keys, ssh_key key, const char *origin, struct option_error *error)
{
    if (kind_of(key) == 0) {
        ssh_key_free(key);
        return fail(error, origin, "not a usable host key (allowed: ed25519, ecdsa, rsa)");
    }
    for (size_t i = 0; i < keys->count; i++) {
        if (kind_of(keys->keys[i]) == kind_of(key)) {
            ssh_key_free(key);
            return fail(error, origin, "a second key of the same type (allowed: one each of ed25519, ecdsa, rsa)");
        }
    }
    if (keys->count == HOSTKEYS_MAX) {
        ssh_key_free(key);
        return fail(error, origin, "too many host keys");
    }
    keys->origins[keys->count] = origin;
    keys->keys[keys->count++] = key;
    return 0;
}

static int add_file(struct hostkeys *keys, const char *path, struct option_error *error)
{
    struct stat st;
    ssh_key key = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail(error, path, strerror(errno));
    }
    int rc = fstat(fd, &st);
    (void)close(fd);
    if (rc != 0) {
        return fail(error, path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return fail(error, path, "not a regular file");
    }
    /* What root lends to our group (a mounted secret, a package's key) may be read by that group. */
    mode_t too_open = st.st_uid == 0 && geteuid() != 0 ? 037 : 077;
    if ((st.st_mode & too_open) != 0) {
        char what[96];
        (void)snprintf(what, sizeof what,
                       "its mode is %04o: others could read it (chmod 600 it, and consider it known)",
                       (unsigned)(st.st_mode & 07777));
        return fail(error, path, what);
    }
    if (ssh_pki_import_privkey_file(path, NULL, NULL, NULL, &key) != SSH_OK) {
        return fail(error, path, "not a private key without a passphrase");
    }
    return add(keys, key, path, error);
}

static int add_standard(struct hostkeys *keys, struct option_error *error)
{
    glob_t found = {0};
    int rc = 0;
    if (glob(STANDARD_KEYS, 0, NULL, &found) == 0) {
        for (size_t i = 0; rc == 0 && i < found.gl_pathc && i < HOSTKEYS_MAX; i++) {
            keys->standard[i] = strdup(found.gl_pathv[i]);
            rc = keys->standard[i] == NULL ? -1 : add_file(keys, keys->standard[i], error);
        }
    }
    globfree(&found);
    return rc;
}

static ssh_key made_before(const struct hostkeys *previous, const char *name)
{
    for (size_t i = 0; previous != NULL && i < previous->count; i++) {
        if (previous->origins[i] == generated &&
            strstr(ssh_key_type_to_char(ssh_key_type(previous->keys[i])), name) != NULL) {
            return ssh_key_dup(previous->keys[i]);
        }
    }
    return NULL;
}

/* bits: of RSA. 0.12 has another call for it, which makes the same if nothing else is said. */
static int generate_key(enum ssh_keytypes_e type, int bits, ssh_key *key)
{
#if LIBSSH_VERSION_INT >= SSH_VERSION_INT(0, 12, 0)
    (void)bits;
    return ssh_pki_generate_key(type, NULL, key);
#else
    return ssh_pki_generate(type, bits, key);
#endif
}

static bool names(const struct string_list *list, const char *word)
{
    bool found = false;
    for (size_t i = 0; i < list->count; i++) {
        found = found || strstr(list->items[i], word) != NULL;
    }
    return found;
}

static int generate(struct hostkeys *keys, const struct config *config, const struct hostkeys *previous,
                    struct option_error *error)
{
    static const struct {
        const char *name;
        enum ssh_keytypes_e type;
        int bits, bits_unasked;
    } kinds[] = {
        {"ed25519", SSH_KEYTYPE_ED25519, 0, 0},
        {"ecdsa", SSH_KEYTYPE_ECDSA_P256, 0, 0},
        /* 3072 bits take three times as long to make: only for who names the type */
        {"rsa", SSH_KEYTYPE_RSA, 3072, 2048},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ssh_key key = NULL;
        bool asked = names(&config->host_key_types, kinds[i].name);
        bool wanted =
            asked || (names(&config->host_key_types, "auto") && (i == 0 || config->algorithms != ALGORITHMS_MODERN));
        if (!wanted) {
            continue;
        }
        key = made_before(previous, kinds[i].name);
        if (key == NULL && generate_key(kinds[i].type, asked ? kinds[i].bits : kinds[i].bits_unasked, &key) != SSH_OK) {
            return fail(error, kinds[i].name, "a throw-away key could not be made");
        }
        if (add(keys, key, generated, error) != 0) {
            return -1;
        }
    }
    return 0;
}

int hostkeys_load(struct hostkeys *keys, const struct config *config, const struct hostkeys *previous,
                  struct option_error *error)
{
    int rc = 0;
    *keys = (struct hostkeys){0};
    for (size_t i = 0; rc == 0 && i < config->host_keys.count; i++) {
        rc = add_file(keys, config->host_keys.items[i], error);
    }
    if (rc == 0 && keys->count == 0) {
        rc = add_standard(keys, error);
    }
    if (rc == 0 && keys->count == 0) {
        rc = generate(keys, config, previous, error);
    }
    if (rc == 0 && keys->count == 0) {
        rc = fail(error, "none", "host-key-types is empty and no host-key is given");
    }
    if (rc != 0) {
        hostkeys_free(keys);
    }
    return rc;
}

char *hostkeys_export_generated(const struct hostkeys *keys, size_t index)
{
    char *text = NULL;
    if (keys->origins[index] != generated ||
        ssh_pki_export_privkey_base64(keys->keys[index], NULL, NULL, NULL, &text) != SSH_OK) {
        return NULL;
    }
    return text;
}

int hostkeys_adopt_generated(struct hostkeys *keys, const char *text)
{
    struct option_error error;
    ssh_key key = NULL;
    return ssh_pki_import_privkey_base64(text, NULL, NULL, NULL, &key) == SSH_OK ? add(keys, key, generated, &error)
                                                                                 : -1;
}

void hostkeys_free(struct hostkeys *keys)
{
    for (size_t i = 0; i < HOSTKEYS_MAX; i++) {
        ssh_key_free(keys->keys[i]);
        free(keys->standard[i]);
    }
    *keys = (struct hostkeys){0};
}

void hostkeys_log(const struct hostkeys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        unsigned char *hash = NULL;
        size_t length = 0;
        if (ssh_get_publickey_hash(keys->keys[i], SSH_PUBLICKEY_HASH_SHA256, &hash, &length) != 0) {
            continue;
        }
        char *text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
        log_line(LOG_INFO, "host_key", log_str("type", ssh_key_type_to_char(ssh_key_type(keys->keys[i]))),
                 log_str("fingerprint", text), log_str("from", keys->origins[i]));
        ssh_string_free_char(text);
        ssh_clean_pubkey_hash(&hash);
    }
}
