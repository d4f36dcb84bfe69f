#include "server/login/credentials.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/login/authorized_keys.h"

struct password_entry {
    char *user; /* hash behind it, in the same allocation */
    const char *hash;
};

struct credentials {
    bool any_password, any_key;
    struct password_entry *passwords;
    size_t password_count;
    ssh_key *keys;
    size_t key_count;
};

#define LINE_MAX_BYTES 16384

static int complain(struct option_error *error, const char *path, unsigned line, const char *what)
{
    (void)option_fail(error, NULL, NULL, "%s:%u: %s", path, line, what);
    return -1;
}

/* Calls each() for every line that is neither empty nor a comment, without its end. */
static int each_line(const char *path, const char *key, struct credentials *credentials,
                     int (*each)(struct credentials *, char *line, const char **what), struct option_error *error)
{
    char line[LINE_MAX_BYTES];
    const char *what = "";
    unsigned number = 0;
    int rc = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)option_fail(error, NULL, key, "cannot read %s: %s", path, strerror(errno));
        return -1;
    }
    struct stat st;
    if (fstat(fileno(file), &st) != 0 || S_ISDIR(st.st_mode)) {
        (void)option_fail(error, NULL, key, "cannot read %s: is a directory", path);
        rc = -1;
    }
    while (rc == 0 && fgets(line, sizeof line, file) != NULL) {
        number++;
        size_t length = strlen(line);
        if (length + 1 == sizeof line && line[length - 1] != '\n') {
            rc = complain(error, path, number, "line too long");
            break;
        }
        line[strcspn(line, "\r\n")] = '\0';
        char *start = line + strspn(line, " \t");
        if (*start != '\0' && *start != '#' && each(credentials, start, &what) != 0) {
            rc = complain(error, path, number, what);
        }
    }
    if (rc == 0 && ferror(file)) {
        rc = complain(error, path, number, strerror(errno));
    }
    (void)fclose(file);
    return rc;
}

static int add_password(struct credentials *credentials, char *line, const char **what)
{
    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line || colon[1] == '\0') {
        *what = "not user:hash";
        return -1;
    }
    *colon = '\0';
    char *hash = colon + 1;
    hash[strcspn(hash, ": \t")] = '\0'; /* as in shadow(5): more fields may follow */
    if (*hash != '$' && *hash != '_' && strlen(hash) != 13) {
        *what = "the part after the colon is not a crypt(3) hash (make one with: mkpasswd, or openssl passwd -6)";
        return -1;
    }
    struct password_entry *larger = realloc(credentials->passwords, (credentials->password_count + 1) * sizeof *larger);
    char *user = larger != NULL ? malloc(strlen(line) + strlen(hash) + 2) : NULL;
    if (larger != NULL) {
        credentials->passwords = larger;
    }
    if (user == NULL) {
        *what = "out of memory";
        return -1;
    }
    memcpy(user, line, strlen(line) + 1);
    memcpy(user + strlen(line) + 1, hash, strlen(hash) + 1);
    larger[credentials->password_count++] = (struct password_entry){.user = user, .hash = user + strlen(line) + 1};
    return 0;
}

static int add_key(struct credentials *credentials, char *line, const char **what)
{
    ssh_key key = NULL;
    char *type = authorized_keys_find_type(line, what);
    if (type == NULL) {
        return -1;
    }
    char *blob = type + strcspn(type, " \t");
    if (*blob == '\0') {
        *what = "a key type without a key";
        return -1;
    }
    *blob++ = '\0';
    blob += strspn(blob, " \t");
    blob[strcspn(blob, " \t")] = '\0';
    if (ssh_pki_import_pubkey_base64(blob, ssh_key_type_from_name(type), &key) != SSH_OK) {
        *what = "the key cannot be decoded";
        return -1;
    }
    ssh_key *larger = realloc(credentials->keys, (credentials->key_count + 1) * sizeof(*larger));
    if (larger == NULL) {
        ssh_key_free(key);
        *what = "out of memory";
        return -1;
    }
    credentials->keys = larger;
    credentials->keys[credentials->key_count++] = key;
    return 0;
}

struct credentials *credentials_read(const struct config *config, struct option_error *error)
{
    struct credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials == NULL) {
        (void)option_fail(error, NULL, NULL, "out of memory");
        return NULL;
    }
    credentials->any_password = config->password_file == NULL;
    credentials->any_key = config->authorized_keys == NULL;
    if ((!credentials->any_password &&
         each_line(config->password_file, "password-file", credentials, add_password, error) != 0) ||
        (!credentials->any_key &&
         each_line(config->authorized_keys, "authorized-keys", credentials, add_key, error) != 0)) {
        credentials_free(credentials);
        return NULL;
    }
    return credentials;
}

void credentials_free(struct credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    for (size_t i = 0; i < credentials->password_count; i++) {
        free(credentials->passwords[i].user);
    }
    for (size_t i = 0; i < credentials->key_count; i++) {
        ssh_key_free(credentials->keys[i]);
    }
    free(credentials->passwords);
    free(credentials->keys);
    free(credentials);
}

/* Time depends on the length alone, which is no secret. */
static bool equal(const char *a, const char *b)
{
    size_t length = strlen(a);
    unsigned char difference = 0;
    if (strlen(b) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        difference = (unsigned char)(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}

bool credentials_need_time(const struct credentials *credentials, const struct config *config)
{
    return !credentials->any_password && (config->auth_mask & (AUTH_PASSWORD | AUTH_KEYBOARD_INTERACTIVE)) != 0;
}

bool credentials_password_ok(const struct credentials *credentials, const char *user, const char *password)
{
    static struct crypt_data data; /* 32 KiB: not on the stack; one thread */
    if (credentials->any_password) {
        return true;
    }
    const char *hash = NULL;
    bool known = false;
    for (size_t i = 0; i < credentials->password_count; i++) {
        hash = credentials->passwords[i].hash; /* for an unknown user the last one: same work, same time */
        if (strcmp(credentials->passwords[i].user, user) == 0) {
            known = true;
            break;
        }
    }
    if (hash == NULL) {
        return false;
    }
    const char *made = crypt_r(password, hash, &data);
    bool right = made != NULL && made[0] != '*' && equal(made, hash) && known;
    explicit_bzero(&data, sizeof data);
    return right;
}

bool credentials_key_ok(const struct credentials *credentials, ssh_key key)
{
    if (credentials->any_key) {
        return true;
    }
    for (size_t i = 0; i < credentials->key_count; i++) {
        if (ssh_key_cmp(key, credentials->keys[i], SSH_KEY_CMP_PUBLIC) == 0) {
            return true;
        }
    }
    return false;
}

int auth_libssh_methods(unsigned mask)
{
    unsigned methods = 0;
    methods |= (mask & AUTH_NONE) != 0 ? SSH_AUTH_METHOD_NONE : 0;
    /* libssh leaves a refused request without an answer when no method is left to name in it */
    methods |= mask == AUTH_NONE ? SSH_AUTH_METHOD_PUBLICKEY : 0;
    methods |= (mask & AUTH_PASSWORD) != 0 ? SSH_AUTH_METHOD_PASSWORD : 0;
    methods |= (mask & AUTH_PUBLICKEY) != 0 ? SSH_AUTH_METHOD_PUBLICKEY : 0;
    methods |= (mask & AUTH_KEYBOARD_INTERACTIVE) != 0 ? SSH_AUTH_METHOD_INTERACTIVE : 0;
    return (int)methods;
}
