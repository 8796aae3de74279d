#include "http.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct slice none = {0};

/// Takes the next line with its "\r\n" from `rest`.
static struct slice next_line(struct slice *rest) {
    const char *newline = memchr(rest->bytes, '\n', rest->length);
    if (newline == NULL) return none;
    struct slice line = {rest->bytes, (size_t)(newline - rest->bytes) + 1};
    rest->bytes += line.length;
    rest->length -= line.length;
    return line;
}

struct slice http_header(const struct http_request *request, const char *name) {
    size_t name_length = strlen(name);
    struct slice rest = request->headers;
    for (struct slice line = next_line(&rest); line.bytes != NULL; line = next_line(&rest)) {
        if (line.length < name_length + 3 || line.bytes[name_length] != ':') continue;
        if (strncasecmp(line.bytes, name, name_length) != 0) continue;
        struct slice value = {line.bytes + name_length + 1, line.length - name_length - 3};
        while (value.length > 0 && *value.bytes == ' ') value.bytes++, value.length--;
        return value;
    }
    return none;
}

ssize_t http_parse(const char *bytes, size_t length, struct http_request *request) {
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    struct slice rest = {bytes, (size_t)(end + 2 - bytes)};
    struct slice first = next_line(&rest);
    const char *target = memchr(first.bytes, ' ', first.length);
    if (target == NULL) return -1;
    target++;
    const char *version = memchr(target, ' ', first.length - (size_t)(target - first.bytes));
    if (version == NULL) return -1;
    request->target = (struct slice){target, (size_t)(version - target)};
    request->headers = rest;
    if (http_header(request, "transfer-encoding").bytes != NULL) return -1;
    struct slice content_length = http_header(request, "content-length");
    size_t body_length = content_length.bytes == NULL ? 0 : strtoul(content_length.bytes, NULL, 10);
    size_t head_length = (size_t)(end + 4 - bytes);
    if (length - head_length < body_length) return 0;
    request->body = (struct slice){end + 4, body_length};
    return (ssize_t)(head_length + body_length);
}
