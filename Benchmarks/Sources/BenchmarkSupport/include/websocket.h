// As much of RFC 6455 as whole, unfragmented frames need.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "buffer.h"

enum websocket_opcode { WEBSOCKET_TEXT = 0x1, WEBSOCKET_CLOSE = 0x8, WEBSOCKET_PING = 0x9, WEBSOCKET_PONG = 0xA };

struct websocket_frame {
    enum websocket_opcode opcode;
    const char *payload;
    size_t length;
};

/// Takes the first frame off the buffer and unmasks it in place; the payload is valid until the buffer is filled again.
/// False: not all of it is here.
bool websocket_take(struct buffer *buffer, struct websocket_frame *frame);

/// Adds a frame. A client's frames are masked (§5.3), with a fixed key: nobody here is to be protected from it.
void websocket_append(
    struct buffer *buffer, enum websocket_opcode opcode, const char *payload, size_t length, bool is_masked);

/// Sec-WebSocket-Accept for a key of `length` bytes (§4.2.2): 28 characters and a NUL.
void websocket_accept_key(const char *key, size_t length, char accept[29]);
