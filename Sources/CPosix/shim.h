// Times, limits and file status, in structures of our own.
//
// Swift checks which module a member comes from (MemberImportVisibility), and for the C library's structures that is whichever
// module happened to include the header first: a build can fail today and pass tomorrow. So no Swift file of Relay
// looks into `struct stat`, `struct timespec` or the like; it asks here.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

typedef struct {
    int64_t modified_nanoseconds;  // since the epoch
    int64_t changed_nanoseconds;   // owner, mode, links, too
    int64_t size;
    uint64_t device;
    uint64_t inode;
    bool is_regular_file;
} relay_file_status;

static inline void relay_take_status(const struct stat *from, relay_file_status *to) {
#ifdef __APPLE__
    const struct timespec modified = from->st_mtimespec, changed = from->st_ctimespec;
#else
    const struct timespec modified = from->st_mtim, changed = from->st_ctim;
#endif
    to->modified_nanoseconds = (int64_t)modified.tv_sec * 1000000000 + modified.tv_nsec;
    to->changed_nanoseconds = (int64_t)changed.tv_sec * 1000000000 + changed.tv_nsec;
    to->size = from->st_size;
    to->device = (uint64_t)from->st_dev;
    to->inode = from->st_ino;
    to->is_regular_file = S_ISREG(from->st_mode);
}

// Both return 0, or -1 with errno set; the first one follows symbolic links.
static inline int relay_path_status(const char *path, relay_file_status *status) {
    struct stat found;
    if (stat(path, &found) != 0) return -1;
    relay_take_status(&found, status);
    return 0;
}

static inline int relay_descriptor_status(int descriptor, relay_file_status *status) {
    struct stat found;
    if (fstat(descriptor, &found) != 0) return -1;
    relay_take_status(&found, status);
    return 0;
}

// Wall-clock time in nanoseconds since the epoch.
static inline int64_t relay_wall_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Raises the number of files that may be open at a time as far as the process may, the soft limit to the hard one
// (getrlimit(2)). Returns the number that holds from now on, INT32_MAX for any larger one, or -1 with errno set.
static inline int64_t relay_raise_open_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    const struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
}
