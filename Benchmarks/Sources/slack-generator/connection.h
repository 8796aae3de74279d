// One TCP connection to the generator: HTTP at first, a WebSocket after the upgrade.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"

enum protocol { PROTOCOL_HTTP, PROTOCOL_WEBSOCKET };

struct connection {
    int socket;
    enum protocol protocol;
    struct buffer in, out;
    /// Whether epoll tells when the socket can be written to; only while `out` did not go out whole.
    bool awaits_room;
    /// When the next ping is due, of `now_ns`.
    uint64_t ping_at;
    /// When Slack closes it, of `now_ns`, after it has asked for a new one; until then nothing is sent over it. 0: not asked.
    uint64_t close_at;
    /// The peer has gone or wants to: closed at the end of the turn.
    bool is_closing;
};
