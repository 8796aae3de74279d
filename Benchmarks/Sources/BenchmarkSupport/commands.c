#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void commands_open(void) {
    signal(SIGPIPE, SIG_IGN);
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

void command_reader_fill(struct command_reader *reader) {
    ssize_t count = read(STDIN_FILENO, reader->bytes + reader->length, sizeof reader->bytes - reader->length);
    if (count > 0) reader->length += (size_t)count;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) reader->ended = true;
}

bool command_reader_next(struct command_reader *reader, char *line, size_t size) {
    char *newline = memchr(reader->bytes, '\n', reader->length);
    if (newline == NULL) {
        if (reader->ended) exit(0);
        return false;
    }
    size_t length = (size_t)(newline - reader->bytes);
    snprintf(line, size, "%.*s", (int)length, reader->bytes);
    reader->length -= length + 1;
    memmove(reader->bytes, newline + 1, reader->length);
    return true;
}

void reply(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    reply_end();
}

void reply_end(void) {
    putchar('\n');
    fflush(stdout);
}
