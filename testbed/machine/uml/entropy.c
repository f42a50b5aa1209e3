/*
 * getrandom(2) whose octets follow from a seed: preloaded into a user-mode Linux in virtual time.
 *
 * All entropy of such a kernel comes from this function of the host's libc (arch/um/os-Linux/util.c),
 * its clock and its command line.  The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014);
 * the kernel feeds what it gives into a generator of its own.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

static uint64_t state;

__attribute__((constructor)) static void seed(void)
{
	const char *text = getenv("TESTBED_ENTROPY");

	if (text)
		state = strtoull(text, NULL, 10);
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	uint8_t *octets = buffer;

	(void)flags;
	for (size_t i = 0; i < length; i++) {
		uint64_t z = state += 0x9e3779b97f4a7c15ull;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
		octets[i] = z ^ (z >> 31);
	}
	return (ssize_t)length;
}
