// TCP on loopback.
#pragma once

#include <stdint.h>

/// Listens on 127.0.0.1 at a port that the system chooses, and tells it. Ends the process when that fails.
int listen_on_loopback(uint16_t *port);

/// Accepts one connection that never blocks and sends at once; -1 when none waits.
int accept_connection(int listener);

/// Connects to 127.0.0.1. Ends the process when that fails. The socket blocks.
int connect_to_loopback(uint16_t port);
