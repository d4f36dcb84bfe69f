/* Fuzzes service.h and misbehave.h: the words of an exec or subsystem request. A client chooses them freely; whatever
 * they are, there is a service, and a misbehaviour that was understood never lets more pass than there is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/channel/service.h"
#include "sshecho/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drive(struct misbehaviour *misbehaviour)
{
    mono_time now = {.ns = NS_PER_S};
    uint64_t waiting = 0;
    for (unsigned i = 0; i < 50; i++) {
        uint64_t allowed = 0;
        int64_t wait_us = 0;
        misbehave_arrived(misbehaviour, i * 100, now);
        waiting += (uint64_t)i * 100;
        enum misbehave_verdict verdict = misbehave_limit(misbehaviour, now, waiting, &allowed, &wait_us);
        if (verdict > MISBEHAVE_EXIT || wait_us < 0 ||
            (verdict == MISBEHAVE_GO && (allowed == 0 || allowed > waiting) && waiting > 0)) {
            abort();
        }
        if (verdict == MISBEHAVE_GO) {
            misbehave_passed(misbehaviour, allowed);
            waiting -= allowed;
        }
        now = mono_add_us(now, wait_us > 0 && wait_us < INT64_C(3600) * US_PER_S ? wait_us : US_PER_MS);
    }
}

static void check(const char *words, bool may_misbehave)
{
    struct service service;
    if (service_parse(words, may_misbehave, &service) != 0) {
        return;
    }
    bool complains = service.kind == SERVICE_COMPLAIN;
    if (service.kind == SERVICE_NONE || service.kind > SERVICE_COMPLAIN || complains != (service.text != NULL)) {
        abort();
    }
    if (complains && (service.text[0] == '\0' || strlen(service.text) > 1000)) {
        abort();
    }
    if (service.misbehaviour != NULL && (!may_misbehave || service.kind != SERVICE_ECHO)) {
        abort();
    }
    if (service.kind == SERVICE_CHARGEN) {
        const char *text = service_chargen_at(service.left_bytes);
        if (text[0] == '\0' || text[LIBSSH_PACKET_BYTES - 1] == '\0') {
            abort();
        }
    }
    if (service.misbehaviour != NULL) {
        drive(service.misbehaviour);
    }
    service_free(&service);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words = malloc(size + 1);
    if (words == NULL) {
        return 0;
    }
    if (size > 0) {
        (void)memcpy(words, data, size);
    }
    words[size] = '\0';
    check(words, true);
    check(words, false);
    free(words);
    return 0;
}
