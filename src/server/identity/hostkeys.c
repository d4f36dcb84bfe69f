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
#include "sshecho/version.h"

/* What a client may sign its login with: everything current, nothing on SHA-1 (libssh 0.10 would take ssh-rsa). */
static const char login_signatures[] =
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
    "ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";

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

static int generate(struct hostkeys *keys, const struct config *config, const struct hostkeys *previous,
                    struct option_error *error)
{
    static const struct {
        const char *name;
        enum ssh_keytypes_e type;
        int bits;
    } kinds[] = {
        {"ed25519", SSH_KEYTYPE_ED25519, 0}, {"ecdsa", SSH_KEYTYPE_ECDSA_P256, 0}, {"rsa", SSH_KEYTYPE_RSA, 3072}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ssh_key key = NULL;
        bool wanted = false;
        for (size_t j = 0; j < config->host_key_types.count; j++) {
            wanted = wanted || strstr(config->host_key_types.items[j], kinds[i].name) != NULL;
        }
        if (!wanted) {
            continue;
        }
        key = made_before(previous, kinds[i].name);
        if (key == NULL && generate_key(kinds[i].type, kinds[i].bits, &key) != SSH_OK) {
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

static int set_list(ssh_bind bind, enum ssh_bind_options_e option, const char *key, const char *list,
                    struct option_error *error)
{
    /* Name by name first: libssh drops from a list what it does not know, without a word. */
    for (const char *at = list; at != NULL && *at != '\0';) {
        char name[128];
        size_t length = strcspn(at, ",");
        (void)snprintf(name, sizeof name, "%.*s", (int)length, at);
        if (ssh_bind_options_set(bind, option, name) != SSH_OK) {
            (void)option_fail(error, NULL, key, "\"%.200s\": libssh %s does not know \"%s\"", list, ssh_version(0),
                              name);
            return -1;
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    if (list == NULL || ssh_bind_options_set(bind, option, list) == SSH_OK) {
        return 0;
    }
    (void)option_fail(error, NULL, key, "libssh %s cannot use \"%.200s\"", ssh_version(0), list);
    return -1;
}

ssh_bind hostkeys_make_bind(const struct hostkeys *keys, const struct config *config, struct option_error *error)
{
    ssh_bind bind = ssh_bind_new();
    bool no = false;
    if (bind == NULL) {
        (void)option_fail(error, NULL, NULL, "out of memory");
        return NULL;
    }
    /* First of all: nothing in /etc/ssh may change what we do. */
    int rc = ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    char banner[64] = "sshechod_" SSHECHO_VERSION;
    banner[strcspn(banner, "+- ")] = '\0'; /* RFC 4253, 4.2: no blank, no minus; and a commit is nobody's business */
    rc |= ssh_bind_options_set(bind, SSH_BIND_OPTIONS_BANNER, banner);
    rc |= set_list(bind, SSH_BIND_OPTIONS_KEY_EXCHANGE, "kex", config->kex, error);
    rc |= rc != 0 ? rc : set_list(bind, SSH_BIND_OPTIONS_CIPHERS_C_S, "ciphers", config->ciphers, error);
    rc |= rc != 0 ? rc : set_list(bind, SSH_BIND_OPTIONS_CIPHERS_S_C, "ciphers", config->ciphers, error);
    rc |= rc != 0 ? rc : set_list(bind, SSH_BIND_OPTIONS_HMAC_C_S, "macs", config->macs, error);
    rc |= rc != 0 ? rc : set_list(bind, SSH_BIND_OPTIONS_HMAC_S_C, "macs", config->macs, error);
    if (rc == 0) {
        rc = ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, login_signatures);
    }
    for (size_t i = 0; rc == 0 && i < keys->count; i++) {
        ssh_key copy = ssh_key_dup(keys->keys[i]); /* the bind takes it over */
        if (copy == NULL || ssh_bind_options_set(bind, SSH_BIND_OPTIONS_IMPORT_KEY, copy) != SSH_OK) {
            (void)option_fail(error, NULL, "host-key", "%s: libssh refuses it: %s", keys->origins[i],
                              ssh_get_error(bind));
            ssh_key_free(copy);
            rc = -1;
        }
    }
    if (rc == 0) {
        rc = set_list(bind, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "host-key-algorithms", config->host_key_algorithms,
                      error);
    }
    if (rc == 0) { /* what each session will be told, tried once */
        ssh_session session = ssh_new();
        if (session == NULL || hostkeys_prepare_session(session, config) != 0) {
            (void)option_fail(error, NULL, "compression", "libssh %s knows none of \"%s\"", ssh_version(0),
                              config->compression);
            rc = -1;
        }
        ssh_free(session);
    }
    if (rc != 0) {
        ssh_bind_free(bind);
        bind = NULL;
    }
    return bind;
}

int hostkeys_prepare_session(ssh_session session, const struct config *config)
{
    int rc = ssh_options_set(session, SSH_OPTIONS_COMPRESSION_C_S, config->compression);
    rc |= ssh_options_set(session, SSH_OPTIONS_COMPRESSION_S_C, config->compression);
    if (config->rekey_bytes != 0) {
        uint64_t bytes = config->rekey_bytes;
        rc |= ssh_options_set(session, SSH_OPTIONS_REKEY_DATA, &bytes);
    }
    if (config->rekey_interval_us != 0) {
        uint32_t seconds = (uint32_t)((config->rekey_interval_us + 999999) / 1000000);
        rc |= ssh_options_set(session, SSH_OPTIONS_REKEY_TIME, &seconds);
    }
    return rc == SSH_OK ? 0 : -1;
}
