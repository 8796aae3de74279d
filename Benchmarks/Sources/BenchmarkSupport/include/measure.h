// Time, and the distribution of many short times.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/// Nanoseconds of CLOCK_MONOTONIC, which all processes of one machine share: a time taken in one may be subtracted in another.
uint64_t now_ns(void);

/// Every sample is kept, so that the percentiles are exact.
struct latencies {
    uint64_t *samples;
    size_t count, capacity;
};

/// Forgets all samples and makes room for `capacity`.
void latencies_reset(struct latencies *latencies, size_t capacity);

/// Adds one sample in nanoseconds.
void latencies_add(struct latencies *latencies, uint64_t nanoseconds);

/// Writes `{"p50":…,"p99":…,"max":…}` in microseconds, zeros when there is no sample. Sorts the samples.
void latencies_print(struct latencies *latencies, FILE *out);
