/*
 * ptrace(2) for a user-mode Linux before 6.13, preloaded into it, on processors with a large state.
 *
 * Such a kernel sets 2696 octets of a process's NT_X86_XSTATE (arch/x86/um/user-offsets.c).  The host
 * takes all of the state or nothing (EFAULT), and with AMX it is 11 KiB.  What the kernel does not
 * know of is left to the process as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (*ptrace_function)(enum __ptrace_request, ...);

static unsigned char state[1 << 16];

long ptrace(enum __ptrace_request request, ...)
{
	static ptrace_function next;
	struct iovec whole = { state, sizeof(state) }, *given;
	long process;
	void *address;
	va_list rest;

	va_start(rest, request);
	process = va_arg(rest, long);
	address = va_arg(rest, void *);
	given = va_arg(rest, void *);
	va_end(rest);
	if (!next)
		next = (ptrace_function)dlsym(RTLD_NEXT, "ptrace");
	if (request != PTRACE_SETREGSET || address != (void *)NT_X86_XSTATE)
		return next(request, process, address, given);
	if (next(PTRACE_GETREGSET, process, address, &whole) < 0)
		return -1;
	if (whole.iov_len <= given->iov_len)
		return next(request, process, address, given);
	memcpy(state, given->iov_base, given->iov_len);
	return next(request, process, address, &whole);
}
