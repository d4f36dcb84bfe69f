/* Preloaded into sshechod by test/system/test_configuration.py: OpenSSL reports every authentication tag as right,
 * which is what a libssh that does not look at the tag makes of it. */
int EVP_DecryptFinal(void *context, unsigned char *out, int *out_bytes);
int EVP_DecryptFinal_ex(void *context, unsigned char *out, int *out_bytes);

int EVP_DecryptFinal_ex(void *context, unsigned char *out, int *out_bytes)
{
    (void)context;
    (void)out;
    *out_bytes = 0;
    return 1;
}

int EVP_DecryptFinal(void *context, unsigned char *out, int *out_bytes)
{
    return EVP_DecryptFinal_ex(context, out, out_bytes);
}
