// Bytes that are read from or written to a socket that never blocks.
#pragma once

#include <stdbool.h>
#include <stddef.h>

/// Bytes from `begin` up to `end` wait to be used; those after `end` are free.
struct buffer {
    char *bytes;
    size_t begin, end, capacity;
};

static inline const char *buffer_start(const struct buffer *buffer) { return buffer->bytes + buffer->begin; }
static inline char *buffer_free_space(struct buffer *buffer) { return buffer->bytes + buffer->end; }
static inline size_t buffer_length(const struct buffer *buffer) { return buffer->end - buffer->begin; }

/// Makes room for `length` more bytes after `end`.
void buffer_reserve(struct buffer *buffer, size_t length);

/// Adds bytes at the end.
void buffer_append(struct buffer *buffer, const void *bytes, size_t length);

/// Takes bytes from the front.
void buffer_consume(struct buffer *buffer, size_t length);

/// Gives the memory back.
void buffer_free(struct buffer *buffer);

/// Reads once what the socket has. False: the peer has gone.
bool buffer_receive(struct buffer *buffer, int socket);

/// Writes until the buffer is empty or the socket is full. False: the peer has gone.
bool buffer_send(struct buffer *buffer, int socket);
