// SPDX-License-Identifier: GPL-2.0-or-later
/* selftests/testbed/tsc.c - prints the frequency of this machine's TSC in kHz. */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define MEASURE_NS 200000000L

static long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

int main(void)
{
	long start_ns = now_ns(), end_ns;
	unsigned long long start = __rdtsc(), end;

	do {
		end_ns = now_ns();
		end = __rdtsc();
	} while (end_ns - start_ns < MEASURE_NS);
	printf("%.0f\n", (end - start) * 1e6 / (end_ns - start_ns));
	return 0;
}
