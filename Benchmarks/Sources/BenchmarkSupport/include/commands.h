// The language of the runner: one command per line on standard input, one line of JSON in return on standard output.
// The end of standard input means that the runner has gone; the tools then end, too.
#pragma once

#include <stdbool.h>
#include <stddef.h>

/// The part of standard input that has been read and not yet used.
struct command_reader {
    char bytes[4096];
    size_t length;
    bool ended;
};

/// Makes standard input fit for `command_reader_fill`, ignores SIGPIPE, and takes as many open files as may be had: some
/// cases hold 1,000 connections.
void commands_open(void);

/// Reads what is there, without waiting.
void command_reader_fill(struct command_reader *reader);

/// Takes the next whole line without its newline. False: there is none. Ends the process with 0 after the last line.
bool command_reader_next(struct command_reader *reader, char *line, size_t size);

/// Prints one line, as printf does, and sends it off.
__attribute__((format(printf, 1, 2))) void reply(const char *format, ...);

/// Sends a line off that was printed to standard output in parts.
void reply_end(void);
