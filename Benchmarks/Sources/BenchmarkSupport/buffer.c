#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/// One read takes up to this many bytes: more than 100 envelopes.
enum { READ_SIZE = 256 * 1024 };

void buffer_reserve(struct buffer *buffer, size_t length) {
    if (buffer->capacity - buffer->end >= length) return;
    if (buffer->begin > 0) {
        memmove(buffer->bytes, buffer_start(buffer), buffer_length(buffer));
        buffer->end -= buffer->begin;
        buffer->begin = 0;
    }
    if (buffer->capacity - buffer->end >= length) return;
    size_t capacity = 2 * buffer->capacity + length;
    char *bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL) abort();
    buffer->bytes = bytes;
    buffer->capacity = capacity;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
    buffer_reserve(buffer, length);
    memcpy(buffer_free_space(buffer), bytes, length);
    buffer->end += length;
}

void buffer_consume(struct buffer *buffer, size_t length) {
    buffer->begin += length;
    if (buffer->begin == buffer->end) buffer->begin = buffer->end = 0;
}

void buffer_free(struct buffer *buffer) {
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

bool buffer_receive(struct buffer *buffer, int socket) {
    buffer_reserve(buffer, READ_SIZE);
    ssize_t count = recv(socket, buffer_free_space(buffer), buffer->capacity - buffer->end, 0);
    if (count > 0) buffer->end += (size_t)count;
    return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

bool buffer_send(struct buffer *buffer, int socket) {
    while (buffer_length(buffer) > 0) {
        ssize_t count = send(socket, buffer_start(buffer), buffer_length(buffer), MSG_NOSIGNAL);
        if (count < 0) return errno == EAGAIN || errno == EINTR;
        buffer_consume(buffer, (size_t)count);
    }
    return true;
}
