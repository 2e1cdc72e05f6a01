/* Registers of a stopped thread, as trace.c changes them. */
#ifndef TORTURE_REGISTERS_H
#define TORTURE_REGISTERS_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>

#if defined(__x86_64__)

static bool poke(pid_t thread, size_t offset, uint64_t value) {
    return ptrace(PTRACE_POKEUSER, thread, (void *)offset, (void *)value) == 0;
}

/* At the entry: no call is made. */
static bool skip_call(pid_t thread) {
    return poke(thread, offsetof(struct user_regs_struct, orig_rax), (uint64_t)-1);
}

static bool set_result(pid_t thread, int64_t result) {
    return poke(thread, offsetof(struct user_regs_struct, rax), (uint64_t)result);
}

/* The argument that counts bytes or pieces of a transfer: the third. */
static bool set_count(pid_t thread, uint64_t count) {
    return poke(thread, offsetof(struct user_regs_struct, rdx), count);
}

#elif defined(__aarch64__)

#ifndef NT_ARM_SYSTEM_CALL
#define NT_ARM_SYSTEM_CALL 0x404
#endif

static bool set_general(pid_t thread, int index, uint64_t value) {
    struct user_regs_struct registers;
    struct iovec part = {.iov_base = &registers, .iov_len = sizeof registers};
    if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &part) != 0) return false;
    registers.regs[index] = value;
    return ptrace(PTRACE_SETREGSET, thread, (void *)NT_PRSTATUS, &part) == 0;
}

static bool skip_call(pid_t thread) {
    int number = -1;
    struct iovec part = {.iov_base = &number, .iov_len = sizeof number};
    return ptrace(PTRACE_SETREGSET, thread, (void *)NT_ARM_SYSTEM_CALL, &part) == 0;
}

static bool set_result(pid_t thread, int64_t result) {
    return set_general(thread, 0, (uint64_t)result);
}

static bool set_count(pid_t thread, uint64_t count) {
    return set_general(thread, 2, count);
}

#else
#error "registers.h: add this processor's registers"
#endif

#endif
