// A measured run of envelopes: when each was sent, when its acknowledgement came.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"
#include "slack.h"
#include "workload.h"

/// A closed loop, or an open one.
struct load_plan {
    /// Commands, each of which wants its answer; else events, which want an acknowledgement.
    bool wants_answers;
    /// The sequences `first` up to, not including, `first + count`.
    uint64_t first, count;
    /// Closed loop: as many are kept waiting.
    uint64_t in_flight;
    /// Open loop: nanoseconds from one to the next, whatever has been acknowledged; 0: closed loop. An envelope that is not
    /// acknowledged within 3 s of its time is then sent once more, as Slack does.
    uint64_t interval;
    /// Nanoseconds from one refresh to the next, over the connections in turn; 0: none.
    uint64_t refresh_interval;
    /// Of commands: what the backend takes for one in the mean, in nanoseconds. The first `in_flight` are sent evenly over
    /// this time; 0: at once. `latencies` are without what it takes for each (workload_backend_time).
    uint64_t backend_time;
};

struct load {
    struct load_plan plan;
    /// `acknowledged`: with the answer, where one is wanted. `bare`: acknowledged without. `late`: the answer came to the
    /// response_url.
    uint64_t sent, acknowledged, bare, late;
    /// When each was sent, in an open loop when its time was; 0 once it waits no more.
    uint64_t *sent_at;
    /// All before it are acknowledged, or have been sent again.
    uint64_t oldest;
    uint64_t redelivered, refreshes;
    uint64_t started_at, last_at, refresh_at;
    /// For how long there was no connection to send over, and since when there is none; 0: there is one.
    uint64_t unconnected, unconnected_since;
    struct latencies latencies;
    struct workload workload;
    bool is_running;
};

/// `port`: the generator's own.
void load_start(struct load *load, const struct load_plan *plan, uint16_t port);

/// When there is something to send though nothing arrives, of `now_ns`; 0: never.
uint64_t load_next_at(const struct load *load, const struct slack *slack);

/// Sends as many envelopes as may be sent now, over the connections in turn, and asks for the refreshes that are due.
void load_send(struct load *load, struct slack *slack);

/// Books an acknowledgement; those of other runs and second ones are ignored.
void load_acknowledged(struct load *load, const char *text, size_t length, uint64_t read_at);

/// Books what was posted to a response_url, in the same way.
void load_posted(struct load *load, const char *body, size_t length, uint64_t read_at);

/// Ends the run and replies with its result when none waits any more, or nothing came for `stall` nanoseconds.
void load_finish_if_done(struct load *load, uint64_t stall);
