#include "server/identity/algorithms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshecho/version.h"

#define LIST_MAX_BYTES 4096
#define NAME_MAX_BYTES 128

/* Name by name: libssh drops from a list what it does not know, without a word. Writes those that it knows to `known`
 * (may be NULL) and the first that it does not to `unknown`; returns whether it knows all. */
static bool sift(ssh_bind bind, enum ssh_bind_options_e option, const char *list, char *known, char *unknown)
{
    size_t used = 0;
    unknown[0] = '\0';
    for (const char *at = list; *at != '\0';) {
        char name[NAME_MAX_BYTES];
        size_t length = strcspn(at, ",");
        (void)snprintf(name, sizeof name, "%.*s", (int)length, at);
        if (ssh_bind_options_set(bind, option, name) != SSH_OK) {
            if (unknown[0] == '\0') {
                memcpy(unknown, name, sizeof name);
            }
        } else if (known != NULL && used + length + 2 <= LIST_MAX_BYTES) {
            used += (size_t)snprintf(known + used, LIST_MAX_BYTES - used, "%s%s", used > 0 ? "," : "", name);
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return unknown[0] == '\0';
}

static int set_list(ssh_bind bind, enum ssh_bind_options_e option, const char *key, const char *list,
                    struct option_error *error)
{
    char unknown[NAME_MAX_BYTES];
    if (list == NULL) {
        return 0;
    }
    if (!sift(bind, option, list, NULL, unknown)) {
        (void)option_fail(error, NULL, key, "\"%.200s\": libssh %s does not know \"%s\"", list, ssh_version(0),
                          unknown);
        return -1;
    }
    if (ssh_bind_options_set(bind, option, list) != SSH_OK) {
        (void)option_fail(error, NULL, key, "libssh %s cannot use \"%.200s\"", ssh_version(0), list);
        return -1;
    }
    return 0;
}

int algorithms_narrow(struct config *config, struct option_error *error)
{
    const struct {
        enum algorithm_kind kind;
        enum ssh_bind_options_e option;
        const char *key;
        char *const *list;
    } all[] = {
        {ALGORITHM_KEX, SSH_BIND_OPTIONS_KEY_EXCHANGE, "kex", &config->kex},
        {ALGORITHM_HOST_KEY, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "host-key-algorithms", &config->host_key_algorithms},
        {ALGORITHM_CIPHER, SSH_BIND_OPTIONS_CIPHERS_C_S, "ciphers", &config->ciphers},
        {ALGORITHM_MAC, SSH_BIND_OPTIONS_HMAC_C_S, "macs", &config->macs},
    };
    ssh_bind scratch = ssh_bind_new();
    int rc = scratch == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < sizeof all / sizeof all[0]; i++) {
        char known[LIST_MAX_BYTES] = "", unknown[NAME_MAX_BYTES];
        if ((config->lists_by_set & 1U << all[i].kind) != 0 &&
            !sift(scratch, all[i].option, *all[i].list, known, unknown)) {
            rc = options_set(&config_table, config, &config->given, "default", all[i].key, known, error);
        }
    }
    ssh_bind_free(scratch);
    return rc;
}

static int set_lists(ssh_bind bind, const struct config *config, struct option_error *error)
{
    const struct {
        enum ssh_bind_options_e option;
        const char *key, *list;
    } all[] = {
        {SSH_BIND_OPTIONS_KEY_EXCHANGE, "kex", config->kex},
        {SSH_BIND_OPTIONS_CIPHERS_C_S, "ciphers", config->ciphers},
        {SSH_BIND_OPTIONS_CIPHERS_S_C, "ciphers", config->ciphers},
        {SSH_BIND_OPTIONS_HMAC_C_S, "macs", config->macs},
        {SSH_BIND_OPTIONS_HMAC_S_C, "macs", config->macs},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (set_list(bind, all[i].option, all[i].key, all[i].list, error) != 0) {
            return -1;
        }
    }
    return ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES,
                                algorithm_list(config->algorithms, ALGORITHM_SIGNATURE, false));
}

/* "rsa-sha2-512" is what an "ssh-rsa" key can sign with; the others sign by their own name. */
static bool signs(ssh_key key, const char *name, size_t length)
{
    const char *type = ssh_key_type_to_char(ssh_key_type(key));
    bool rsa = length >= 8 && strncmp(name, "rsa-sha2", 8) == 0;
    return (strlen(type) == length && strncmp(type, name, length) == 0) || (rsa && strcmp(type, "ssh-rsa") == 0);
}

char *algorithms_host_keys(const struct hostkeys *keys, const struct config *config)
{
    size_t size = strlen(config->host_key_algorithms) + 1;
    char *out = calloc(1, size);
    size_t used = 0;
    for (const char *at = config->host_key_algorithms; out != NULL && *at != '\0';) {
        size_t length = strcspn(at, ",");
        bool usable = false;
        for (size_t i = 0; i < keys->count; i++) {
            usable = usable || signs(keys->keys[i], at, length);
        }
        if (usable) {
            used += (size_t)snprintf(out + used, size - used, "%s%.*s", used > 0 ? "," : "", (int)length, at);
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return out;
}

ssh_bind algorithms_make_bind(const struct hostkeys *keys, const struct config *config, struct option_error *error)
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
    rc |= rc != 0 ? rc : set_lists(bind, config, error);
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
        if (session == NULL || algorithms_tell_session(session, config) != 0) {
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

int algorithms_tell_session(ssh_session session, const struct config *config)
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
