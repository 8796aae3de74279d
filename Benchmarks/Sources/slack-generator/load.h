// A measured run of envelopes: when each was sent, when its acknowledgement came.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"
#include "slack.h"
#include "workload.h"

struct load {
    /// The sequences `first` up to, not including, `first + count`.
    uint64_t first, count;
    /// The closed loop: as many are kept unacknowledged.
    uint64_t in_flight;
    uint64_t sent, acknowledged;
    /// When each was sent; 0 once it has been acknowledged.
    uint64_t *sent_at;
    uint64_t started_at, last_acknowledged_at;
    struct latencies latencies;
    struct workload workload;
    bool is_running;
};

void load_init(struct load *load);

/// Starts a closed loop.
void load_start(struct load *load, uint64_t first, uint64_t count, uint64_t in_flight);

/// Sends as many envelopes as may be sent now, over the connections in turn.
void load_send(struct load *load, struct slack *slack);

/// Books an acknowledgement; those of other runs and second ones are ignored.
void load_acknowledged(struct load *load, const char *text, size_t length, uint64_t read_at);

/// Ends the run and replies with its result when all is acknowledged, or nothing has been for `stall` nanoseconds.
void load_finish_if_done(struct load *load, uint64_t stall);
