// A preload that counts what a program makes durable, and can make it as slow as a cloud disk.
//
// LD_PRELOAD=libfsynccount.so with FSYNC_COUNT_FILE=PATH (a file of 8 bytes, written here as one native uint64_t) and,
// if wanted, FSYNC_DELAY_US=N (each call takes that much longer).

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int sync_function(int);

static sync_function *real_fsync, *real_fdatasync;
/// Lies in the shared file when there is one, so that the runner reads it while we run.
static _Atomic uint64_t *count, private_count;
static struct timespec delay;

static void map_count_file(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *count) < 0) return;
    void *map = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) count = map;
    close(file);
}

__attribute__((constructor)) static void prepare(void) {
    count = &private_count;
    real_fsync = (sync_function *)dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (sync_function *)dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("FSYNC_COUNT_FILE"), *microseconds = getenv("FSYNC_DELAY_US");
    if (path != NULL) map_count_file(path);
    if (microseconds != NULL) {
        long long us = atoll(microseconds);
        delay = (struct timespec){us / 1000000, us % 1000000 * 1000};
    }
}

static int counted(sync_function *function, int file) {
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    if (delay.tv_sec > 0 || delay.tv_nsec > 0) clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL);
    return function(file);
}

int fsync(int file) { return counted(real_fsync, file); }

int fdatasync(int file) { return counted(real_fdatasync, file); }
