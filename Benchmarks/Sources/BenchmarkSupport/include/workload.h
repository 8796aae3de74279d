// What is sent: events_api envelopes with a message event as Slack sends it, 1.7 KB each, told apart by a sequence.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORKLOAD_MAX_LENGTH = 4096, WORKLOAD_MAX_PLACES = 2 };

/// The places of one value in the envelope; it has the same `width` at each sequence.
struct workload_field {
    size_t width, count, places[WORKLOAD_MAX_PLACES];
};

/// The bytes of an envelope, and the fields in it that change with its sequence.
struct workload {
    char bytes[WORKLOAD_MAX_LENGTH];
    size_t length;
    /// Where the payload stands in the envelope.
    size_t payload, payload_length;
    struct workload_field envelope_id, event_id, sent_at, ts, channel;
};

void workload_init(struct workload *workload);

/// Writes sequence and time into `bytes`: its envelope_id, event_id, ts and channel follow from the sequence, the time of
/// sending (of `now_ns`) travels in event_context.
void workload_set(struct workload *workload, uint64_t sequence, uint64_t sent_at);

/// Reads the sequence out of an acknowledgement.
bool workload_read_acknowledgement(const char *text, size_t length, uint64_t *sequence);

/// Reads sequence and time of sending out of a payload.
bool workload_read_payload(const char *payload, size_t length, uint64_t *sequence, uint64_t *sent_at);
