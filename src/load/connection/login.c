#include "load/connection/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int login_prepare(struct login_material *material, const struct settings *settings, char *error, size_t error_size)
{
    const struct string_list *files = &settings->options.identity;
    *material = (struct login_material){.settings = settings};
    material->user_keys = calloc(settings->user_count + 1, sizeof *material->user_keys);
    material->keys = calloc(files->count + 1, sizeof *material->keys);
    material->accepted = calloc(settings->target_count + 1, sizeof *material->accepted);
    if (material->keys == NULL || material->accepted == NULL || material->user_keys == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    for (size_t i = 0; i < files->count; i++) {
        if (ssh_pki_import_privkey_file(files->items[i], NULL, NULL, NULL, &material->keys[i]) != SSH_OK) {
            (void)snprintf(error, error_size,
                           "--identity: %s cannot be read as a private key without passphrase (use an agent for one "
                           "with)",
                           files->items[i]);
            return -1;
        }
        material->key_count++;
    }
    for (size_t i = 0; i < settings->user_count; i++) {
        const struct load_user *user = &settings->users[i];
        if (user->identity != NULL &&
            ssh_pki_import_privkey_file(user->identity, NULL, NULL, NULL, &material->user_keys[i]) != SSH_OK) {
            (void)snprintf(error, error_size,
                           "--users: %s of user %s cannot be read as a private key without passphrase", user->identity,
                           user->name);
            return -1;
        }
    }
    return 0;
}

void login_release(struct login_material *material)
{
    for (size_t i = 0; i < material->key_count; i++) {
        ssh_key_free(material->keys[i]);
    }
    for (size_t i = 0; material->user_keys != NULL && i < material->settings->user_count; i++) {
        ssh_key_free(material->user_keys[i]);
    }
    if (material->accepted != NULL) {
        for (size_t i = 0; i < material->settings->target_count; i++) {
            ssh_key_free(material->accepted[i]);
        }
    }
    free(material->keys);
    free(material->user_keys);
    free(material->accepted);
    *material = (struct login_material){0};
}

/* Answers every prompt with the password: what a server asks for is the password or nothing that we know. */
static int keyboard_interactive(struct login_state *state, ssh_session session, const char *password)
{
    int rc = ssh_userauth_kbdint(session, NULL, NULL);
    while (rc == SSH_AUTH_INFO) {
        int prompts = ssh_userauth_kbdint_getnprompts(session);
        if (prompts > 0 && state->asked) {
            return SSH_AUTH_DENIED; /* asked again: the answer was wrong */
        }
        state->asked = state->asked || prompts > 0;
        for (int i = 0; i < prompts; i++) {
            if (ssh_userauth_kbdint_setanswer(session, (unsigned)i, password) != 0) {
                return SSH_AUTH_ERROR;
            }
        }
        rc = ssh_userauth_kbdint(session, NULL, NULL);
    }
    return rc;
}

/* libssh picks the signature of an RSA key before it asks for the login service, and takes SHA-1, which it then refuses
 * itself, unless the server has said by then what it accepts. Many servers say so only once our new keys are in use;
 * the answer to this request comes after that in any case. */
static int ask_for_service(ssh_session session)
{
    int rc = ssh_service_request(session, "ssh-userauth");
    return rc == SSH_OK ? SSH_AUTH_SUCCESS : rc == SSH_AGAIN ? SSH_AUTH_AGAIN : SSH_AUTH_ERROR;
}

/* What this session's user has of its own, else what all have; NULL: neither. */
static const char *password_of(const struct login_material *material, const struct login_state *state)
{
    const struct settings *settings = material->settings;
    const char *own = settings->user_count > 0 ? settings->users[state->user].password : NULL;
    return own != NULL ? own : settings->password;
}

static ssh_key key_of(const struct login_material *material, const struct login_state *state)
{
    ssh_key own = material->settings->user_count > 0 ? material->user_keys[state->user] : NULL;
    return own != NULL ? own : state->key < material->key_count ? material->keys[state->key] : NULL;
}

static bool has_more_keys(const struct login_material *material, const struct login_state *state)
{
    bool own = material->settings->user_count > 0 && material->user_keys[state->user] != NULL;
    return !own && (size_t)state->key + 1 < material->key_count;
}

static int try_method(const struct login_material *material, struct login_state *state, ssh_session session)
{
    const struct settings *settings = material->settings;
    enum auth_method method = settings->auth[state->method];
    const char *password = password_of(material, state);
    ssh_key key = key_of(material, state);
    if ((method == AUTH_PUBLICKEY && key == NULL) ||
        ((method == AUTH_PASSWORD || method == AUTH_KEYBOARD) && password == NULL)) {
        return SSH_AUTH_DENIED; /* others have it */
    }
    int asked = ask_for_service(session);
    if (asked != SSH_AUTH_SUCCESS) {
        return asked;
    }
    switch (method) {
    case AUTH_NONE:
        return ssh_userauth_none(session, NULL);
    case AUTH_PUBLICKEY:
        return ssh_userauth_publickey(session, NULL, key);
    case AUTH_AGENT:
        return ssh_userauth_agent(session, NULL);
    case AUTH_PASSWORD:
        return ssh_userauth_password(session, NULL, password);
    case AUTH_KEYBOARD:
        return keyboard_interactive(state, session, password);
    }
    return SSH_AUTH_ERROR;
}

int login_step(const struct login_material *material, struct login_state *state, ssh_session session)
{
    const struct settings *settings = material->settings;
    while (state->method < settings->auth_count) {
        int rc = try_method(material, state, session);
        if (rc != SSH_AUTH_DENIED && rc != SSH_AUTH_PARTIAL) {
            return rc;
        }
        bool more_keys =
            rc == SSH_AUTH_DENIED && settings->auth[state->method] == AUTH_PUBLICKEY && has_more_keys(material, state);
        if (more_keys) {
            state->key++;
        } else {
            state->method++;
            state->key = 0;
            state->asked = false;
        }
    }
    return SSH_AUTH_DENIED;
}

static bool matches_fingerprint(ssh_key key, const char *expected, char *error, size_t error_size)
{
    unsigned char *hash = NULL;
    size_t length = 0;
    if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) != 0) {
        (void)snprintf(error, error_size, "its fingerprint cannot be computed");
        return false;
    }
    char *text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
    bool good = text != NULL && strcmp(text, expected) == 0;
    if (!good) {
        (void)snprintf(error, error_size, "the host key is %s, not %s", text == NULL ? "?" : text, expected);
    }
    ssh_string_free_char(text);
    ssh_clean_pubkey_hash(&hash);
    return good;
}

static bool is_known(ssh_session session, char *error, size_t error_size)
{
    switch (ssh_session_is_known_server(session)) {
    case SSH_KNOWN_HOSTS_OK:
        return true;
    case SSH_KNOWN_HOSTS_CHANGED:
        (void)snprintf(error, error_size, "the host key differs from the one in known_hosts");
        return false;
    case SSH_KNOWN_HOSTS_OTHER:
        (void)snprintf(error, error_size, "known_hosts has a key of another type for this host");
        return false;
    case SSH_KNOWN_HOSTS_NOT_FOUND:
    case SSH_KNOWN_HOSTS_UNKNOWN:
        (void)snprintf(error, error_size,
                       "the host is not in known_hosts (add it, or use --host-key FINGERPRINT or --insecure)");
        return false;
    default:
        (void)snprintf(error, error_size, "known_hosts: %s", ssh_get_error(session));
        return false;
    }
}

bool login_check_host_key(struct login_material *material, size_t target, ssh_session session, char *error,
                          size_t error_size)
{
    const struct settings *settings = material->settings;
    if (settings->targets[target].insecure) {
        return true;
    }
    ssh_key key = NULL;
    if (ssh_get_server_publickey(session, &key) != SSH_OK) {
        (void)snprintf(error, error_size, "the server showed no host key");
        return false;
    }
    bool good =
        material->accepted[target] != NULL && ssh_key_cmp(key, material->accepted[target], SSH_KEY_CMP_PUBLIC) == 0;
    if (!good) {
        good = settings->options.host_key != NULL
                   ? matches_fingerprint(key, settings->options.host_key, error, error_size)
                   : is_known(session, error, error_size);
        if (good && material->accepted[target] == NULL) {
            material->accepted[target] = key;
            return true;
        }
    }
    ssh_key_free(key);
    return good;
}
