/*
 * system_calls.h - room: which system calls a process of ours may make, on every architecture.
 *
 * A need ("wait for events") is a row of the calls that libc may use for it: the old and the new form, the one of
 * 32-bit machines, the one with 64-bit time. Names, not numbers: libseccomp knows which an architecture has. What
 * libc asks for first and can do without fails with ENOSYS, so that it falls back; everything else with EPERM: a call
 * that we did not foresee must not cost every client its session, and whoever has taken a process over gets as little
 * from an error as from a signal. Owns nothing; used by sandbox.c alone.
 */
#ifndef SERVER_PROCESS_SYSTEM_CALLS_H
#define SERVER_PROCESS_SYSTEM_CALLS_H

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#include <stdint.h>

#define SYSTEM_CALL_FORMS 6

enum system_call_user { CALLS_OF_WORKER = 1, CALLS_OF_METRICS = 2, CALLS_OF_CHECKER = 4 };

struct system_call_need {
    unsigned users; /* of enum system_call_user, or-ed */
    const char *forms[SYSTEM_CALL_FORMS];
};

/* All needs, ended by one without forms. */
extern const struct system_call_need system_call_needs[];

/* A filter for the architecture (SCMP_ARCH_NATIVE or one of libseccomp's others) with all that `user` needs but for
 * tgkill, which takes an argument of the caller's. Returns NULL without memory or on an error of libseccomp's; the
 * caller releases it. */
scmp_filter_ctx system_calls_filter(enum system_call_user user, uint32_t architecture);
#endif

#endif
