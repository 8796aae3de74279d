// As much of HTTP/1.1 as a request with a Content-Length needs.
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct slice {
    const char *bytes;
    size_t length;
};

/// A whole request; the slices point into the bytes that were parsed.
struct http_request {
    struct slice target;
    /// From the first header to the empty line.
    struct slice headers;
    struct slice body;
};

/// The number of bytes that the first request takes; 0: not all of it is here; -1: not a request with a known length.
ssize_t http_parse(const char *bytes, size_t length, struct http_request *request);

/// The value of a header, compared without regard to case; `bytes` is NULL when it is absent.
struct slice http_header(const struct http_request *request, const char *name);
