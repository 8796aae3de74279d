// What is sent, as Slack sends it: events_api envelopes with a message event of 1.7 KB, or slash_commands envelopes that
// wait for an answer, of 0.8 KB. Told apart by a sequence.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORKLOAD_MAX_LENGTH = 4096, WORKLOAD_MAX_PLACES = 2 };

/// The places of one value in the envelope; it has the same `width` at each sequence.
struct workload_field {
    size_t width, count, places[WORKLOAD_MAX_PLACES];
};

enum workload_kind {
    WORKLOAD_EVENT,
    WORKLOAD_COMMAND,
    /// A command as a backend gets it: the body of the request, without an envelope.
    WORKLOAD_COMMAND_FORM,
};

/// The bytes of an envelope, and the fields in it that change with its sequence.
struct workload {
    char bytes[WORKLOAD_MAX_LENGTH];
    size_t length;
    /// Where the payload stands in the envelope.
    size_t payload, payload_length;
    struct workload_field envelope_id, event_id, sent_at, ts, channel, retry_attempt;
};

/// `port`: where the response_url of a command leads, on 127.0.0.1.
void workload_init(struct workload *workload, enum workload_kind kind, uint16_t port);

/// Writes sequence and time into `bytes`: envelope_id, event_id or trigger_id, response_url, ts and channel follow from
/// the sequence, the time of sending (of `now_ns`) travels in event_context or in the text of the command.
void workload_set(struct workload *workload, uint64_t sequence, uint64_t sent_at);

/// Makes it the first sending of an event or, as Slack tells, a retry.
void workload_set_retry(struct workload *workload, bool is_retry);

/// Reads the sequence out of an acknowledgement.
bool workload_read_acknowledgement(const char *text, size_t length, uint64_t *sequence);

/// Whether the body of a request to the backend is a command's form, not an event's JSON.
bool workload_is_command(const char *body, size_t length);

/// Reads sequence and time of sending out of the body of a request to the backend.
bool workload_read_body(const char *body, size_t length, uint64_t *sequence, uint64_t *sent_at);

/// The time that the backend takes for a command, in nanoseconds, around a mean of at most 10 s: the same in each process,
/// spread evenly over a fifth below to a fifth above. Commands that all take the same time and follow each other in a closed
/// loop stay together once they have met, and each then waits for the others; people do not.
uint64_t workload_backend_time(uint64_t sequence, uint64_t mean);

/// Writes what the backend answers to a command, a JSON object; returns its length.
size_t workload_write_answer(char *out, size_t size, uint64_t sequence);

/// Reads the sequence out of an answer, or out of what carries one.
bool workload_read_answer(const char *text, size_t length, uint64_t *sequence);
