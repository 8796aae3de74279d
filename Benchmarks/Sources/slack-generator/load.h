// A measured run of envelopes: when each was sent, when its acknowledgement came.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"
#include "slack.h"
#include "workload.h"

/// A closed loop.
struct load_plan {
    /// Commands, each of which wants its answer; else events, which want an acknowledgement.
    bool wants_answers;
    /// The sequences `first` up to, not including, `first + count`.
    uint64_t first, count;
    /// As many are kept waiting.
    uint64_t in_flight;
    /// The first `in_flight` are sent evenly over this time, in nanoseconds; 0: at once. What begins together and takes the
    /// same time stays together for the whole run; people do not.
    uint64_t spread;
};

struct load {
    struct load_plan plan;
    /// `acknowledged`: with the answer, where one is wanted. `bare`: acknowledged without. `late`: the answer came to the
    /// response_url.
    uint64_t sent, acknowledged, bare, late;
    /// When each was sent; 0 once it waits no more.
    uint64_t *sent_at;
    uint64_t started_at, last_at;
    struct latencies latencies;
    struct workload workload;
    bool is_running;
};

/// `port`: the generator's own.
void load_start(struct load *load, const struct load_plan *plan, uint16_t port);

/// Milliseconds until there is something to send though nothing arrives, at most `otherwise`.
int load_wait_ms(const struct load *load, int otherwise);

/// Sends as many envelopes as may be sent now, over the connections in turn.
void load_send(struct load *load, struct slack *slack);

/// Books an acknowledgement; those of other runs and second ones are ignored.
void load_acknowledged(struct load *load, const char *text, size_t length, uint64_t read_at);

/// Books what was posted to a response_url, in the same way.
void load_posted(struct load *load, const char *body, size_t length, uint64_t read_at);

/// Ends the run and replies with its result when none waits any more, or nothing came for `stall` nanoseconds.
void load_finish_if_done(struct load *load, uint64_t stall);
