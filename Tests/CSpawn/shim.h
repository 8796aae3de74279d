// What Swift does not see of <spawn.h>, because it does not ask for GNU's extensions.
#pragma once
#include <spawn.h>

// Closes all descriptors from `first` on, in the child (glibc 2.34).
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int first);
