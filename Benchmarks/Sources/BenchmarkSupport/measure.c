#include "measure.h"

#include <stdlib.h>
#include <time.h>

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void reserve(struct latencies *latencies, size_t capacity) {
    uint64_t *samples = realloc(latencies->samples, capacity * sizeof *samples);
    if (samples == NULL) abort();
    latencies->samples = samples;
    latencies->capacity = capacity;
}

void latencies_reset(struct latencies *latencies, size_t capacity) {
    latencies->count = 0;
    if (capacity > latencies->capacity) reserve(latencies, capacity);
}

void latencies_add(struct latencies *latencies, uint64_t nanoseconds) {
    if (latencies->count == latencies->capacity) reserve(latencies, 2 * latencies->capacity + 1024);
    latencies->samples[latencies->count++] = nanoseconds;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/// The smallest sample that `thousandths` of all samples do not exceed, in microseconds.
static double rank(const struct latencies *latencies, size_t thousandths) {
    if (latencies->count == 0) return 0;
    size_t position = (latencies->count * thousandths + 999) / 1000;
    return (double)latencies->samples[position > 0 ? position - 1 : 0] / 1000;
}

void latencies_print(struct latencies *latencies, FILE *out) {
    qsort(latencies->samples, latencies->count, sizeof *latencies->samples, compare);
    fprintf(out, "{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", rank(latencies, 500), rank(latencies, 990),
            rank(latencies, 1000));
}
