/* The system calls that are allowed, walked for every architecture that Debian has: none missing, none too many. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/process/system_calls.h"

#ifdef HAVE_SECCOMP
#include <byteswap.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct machine {
    const char *name;
    uint32_t token;
    bool big_endian, looks_at_mmap;
} machines[] = {
    {"amd64", SCMP_ARCH_X86_64, false, true},      {"arm64", SCMP_ARCH_AARCH64, false, true},
    {"armhf", SCMP_ARCH_ARM, false, true},         {"i386", SCMP_ARCH_X86, false, true},
    {"mips64el", SCMP_ARCH_MIPSEL64, false, true}, {"mipsel", SCMP_ARCH_MIPSEL, false, true},
    {"ppc64el", SCMP_ARCH_PPC64LE, false, true},   {"riscv64", SCMP_ARCH_RISCV64, false, true},
    {"s390x", SCMP_ARCH_S390X, true, false},
};
#define MACHINES (sizeof machines / sizeof machines[0])
static const enum system_call_user users[] = {CALLS_OF_WORKER, CALLS_OF_METRICS, CALLS_OF_CHECKER};

static int number(const struct machine *machine, const char *name)
{
    return seccomp_syscall_resolve_name_arch(machine->token, name);
}

/* Whether the kernel of that machine has the call, alone or as one of socketcall's. */
static bool has(const struct machine *machine, const char *name)
{
    int call = number(machine, name);
    bool of_sockets = call <= -101 && call >= -120; /* libseccomp's numbers for what socketcall holds */
    return call >= 0 || (of_sockets && number(machine, "socketcall") >= 0);
}

static bool is_listed(const char *name)
{
    for (const struct system_call_need *need = system_call_needs; need->users != 0; need++) {
        for (size_t i = 0; i < SYSTEM_CALL_FORMS && need->forms[i] != NULL; i++) {
            if (strcmp(need->forms[i], name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void every_need_is_met_everywhere(void **state)
{
    (void)state;
    for (size_t m = 0; m < MACHINES; m++) {
        for (const struct system_call_need *need = system_call_needs; need->users != 0; need++) {
            bool met = false;
            for (size_t i = 0; i < SYSTEM_CALL_FORMS && need->forms[i] != NULL; i++) {
                met = met || has(&machines[m], need->forms[i]);
            }
            if (!met) {
                fail_msg("%s has no call for \"%s\"", machines[m].name, need->forms[0]);
            }
        }
    }
}

/* What a 32-bit libc calls instead: fstat64, clock_gettime64, futex_time64, ... */
static void wider_forms_are_listed(void **state)
{
    (void)state;
    static const char *const endings[] = {"64", "_time64"};
    for (size_t m = 0; m < MACHINES; m++) {
        for (const struct system_call_need *need = system_call_needs; need->users != 0; need++) {
            for (size_t i = 0; i < SYSTEM_CALL_FORMS && need->forms[i] != NULL; i++) {
                for (size_t e = 0; e < 2; e++) {
                    char name[64];
                    (void)snprintf(name, sizeof name, "%s%s", need->forms[i], endings[e]);
                    if (number(&machines[m], name) >= 0 && !is_listed(name)) {
                        fail_msg("%s has %s, which no need lists", machines[m].name, name);
                    }
                }
            }
        }
    }
}

struct program {
    struct sock_filter code[4096];
    size_t length;
    bool big_endian;
};

static void read_program(struct program *program, enum system_call_user user, const struct machine *machine)
{
    scmp_filter_ctx filter = system_calls_filter(user, machine->token);
    FILE *file = tmpfile();
    assert_non_null(filter);
    assert_non_null(file);
    assert_int_equal(seccomp_export_bpf(filter, fileno(file)), 0);
    seccomp_release(filter);
    rewind(file);
    program->length = fread(program->code, sizeof program->code[0], 4096, file);
    (void)fclose(file);
    assert_in_range(program->length, 10, 4095);
    const uint16_t one = 1;
    bool here_big = *(const uint8_t *)&one == 0;
    program->big_endian = machine->big_endian;
    for (size_t i = 0; here_big != machine->big_endian && i < program->length; i++) {
        program->code[i].code = bswap_16(program->code[i].code);
        program->code[i].k = bswap_32(program->code[i].k);
    }
}

/* What the kernel would do: the words of struct seccomp_data in the machine's order. */
static uint32_t decide(const struct program *program, int call, uint32_t token, uint64_t third)
{
    uint32_t data[16] = {(uint32_t)call, token};
    data[8 + (program->big_endian ? 1 : 0)] = (uint32_t)third;
    data[8 + (program->big_endian ? 0 : 1)] = (uint32_t)(third >> 32);
    uint32_t a = 0;
    for (size_t pc = 0; pc < program->length; pc++) {
        const struct sock_filter *at = &program->code[pc];
        bool jump = false;
        switch (at->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_in_range(at->k, 0, sizeof data - 4);
            a = data[at->k / 4];
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= at->k;
            continue;
        case BPF_RET | BPF_K:
            return at->k;
        case BPF_JMP | BPF_JA:
            pc += at->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            jump = a == at->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            jump = a > at->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            jump = a >= at->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            jump = (a & at->k) != 0;
            break;
        default:
            fail_msg("instruction %#x", at->code);
        }
        pc += jump ? at->jt : at->jf;
    }
    fail_msg("the filter has no end");
    return 0;
}

#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))

static void needs_are_allowed(const struct program *program, enum system_call_user user, const struct machine *machine)
{
    for (const struct system_call_need *need = system_call_needs; need->users != 0; need++) {
        for (size_t i = 0; i < SYSTEM_CALL_FORMS && need->forms[i] != NULL; i++) {
            int call = number(machine, need->forms[i]);
            if (call >= 0 && (need->users & user) != 0 &&
                decide(program, call, machine->token, 0) != SECCOMP_RET_ALLOW) {
                fail_msg("%s: %s is not allowed to user %u", machine->name, need->forms[i], (unsigned)user);
            }
        }
    }
}

static void others_are_refused(const struct program *program, const struct machine *machine)
{
    static const char *const forbidden[] = {
        "execve", "openat", "open", "socket", "connect",  "ptrace",           "fork",
        "vfork",  "clone",  "kill", "setuid", "unlinkat", "process_vm_readv", "bpf"};
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        int call = number(machine, forbidden[i]);
        if (call >= 0) {
            assert_int_equal(decide(program, call, machine->token, 0), REFUSED(EPERM));
        }
    }
    assert_int_equal(decide(program, number(machine, "clone3"), machine->token, 0), REFUSED(ENOSYS));
    assert_int_equal(decide(program, number(machine, "rseq"), machine->token, 0), REFUSED(ENOSYS));
}

static void memory_is_never_executable(const struct program *program, enum system_call_user user,
                                       const struct machine *machine)
{
    const char *name = number(machine, "mmap2") >= 0 ? "mmap2" : "mmap";
    int call = number(machine, name);
    assert_int_equal(decide(program, call, machine->token, PROT_READ | PROT_WRITE), SECCOMP_RET_ALLOW);
    if (machine->looks_at_mmap) {
        assert_int_equal(decide(program, call, machine->token, PROT_READ | PROT_EXEC), REFUSED(EPERM));
    }
    uint32_t protect = decide(program, number(machine, "mprotect"), machine->token, PROT_READ);
    assert_int_equal(protect, user == CALLS_OF_WORKER ? SECCOMP_RET_ALLOW : REFUSED(EPERM));
    assert_int_equal(decide(program, number(machine, "mprotect"), machine->token, PROT_EXEC), REFUSED(EPERM));
}

static void filters_decide_as_listed(void **state)
{
    (void)state;
    struct program *program = malloc(sizeof *program);
    assert_non_null(program);
    for (size_t m = 0; m < MACHINES; m++) {
        for (size_t u = 0; u < sizeof users / sizeof users[0]; u++) {
            read_program(program, users[u], &machines[m]);
            needs_are_allowed(program, users[u], &machines[m]);
            others_are_refused(program, &machines[m]);
            memory_is_never_executable(program, users[u], &machines[m]);
        }
    }
    free(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_need_is_met_everywhere),
        cmocka_unit_test(wider_forms_are_listed),
        cmocka_unit_test(filters_decide_as_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    puts("built without libseccomp");
    return 0;
}
#endif
