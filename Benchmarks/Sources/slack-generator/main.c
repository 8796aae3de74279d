// A Slack that sends as fast as it is acknowledged: plain HTTP and WebSocket on loopback, one thread, writes in batches.
//
// Prints {"port":…}, then takes commands on standard input and replies when they are done:
//   connected COUNT                  waits for COUNT connections
//   closed FIRST COUNT IN_FLIGHT     closed loop: keeps IN_FLIGHT events unacknowledged until COUNT are acknowledged
//   answers FIRST COUNT IN_FLIGHT BACKEND_US
//                                    closed loop: keeps IN_FLIGHT commands waiting until COUNT are answered; the first
//                                    ones are sent over BACKEND_US, the mean time of the backend, whose time for each
//                                    is not in the latencies
//   open FIRST COUNT PER_SECOND REFRESH_US
//                                    open loop: COUNT events, PER_SECOND, with a refresh each REFRESH_US (0: none)

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "load.h"
#include "slack.h"

/// Nothing acknowledged for this long ends a run, and shows in its result.
static const uint64_t stall = 10000000000u;

/// Turns often enough for pings and stalls; what arrives wakes it at once.
enum { IDLE_TURN_MS = 500 };

static struct slack slack;
static struct load load;
/// How many connections `connected` waits for; 0: it does not wait.
static size_t awaited_connections;

static void message_received(const char *text, size_t length, uint64_t read_at) {
    load_acknowledged(&load, text, length, read_at);
}

static void response_posted(const char *body, size_t length, uint64_t read_at) {
    load_posted(&load, body, length, read_at);
}

static void run_command(const char *line) {
    struct load_plan plan = {0};
    uint64_t count, per_second;
    if (sscanf(line, "closed %" SCNu64 " %" SCNu64 " %" SCNu64, &plan.first, &plan.count, &plan.in_flight) == 3) {
        load_start(&load, &plan, slack.port);
    } else if (sscanf(line, "answers %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &plan.first, &plan.count,
                      &plan.in_flight, &plan.backend_time) == 4) {
        plan.wants_answers = true;
        plan.backend_time *= 1000;
        load_start(&load, &plan, slack.port);
    } else if (sscanf(line, "open %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &plan.first, &plan.count, &per_second,
                      &plan.refresh_interval) == 4 && per_second > 0) {
        plan.interval = 1000000000 / per_second;
        plan.refresh_interval *= 1000;
        load_start(&load, &plan, slack.port);
    } else if (sscanf(line, "connected %" SCNu64, &count) == 1) {
        awaited_connections = count;
    } else {
        reply("{\"error\":\"unknown command\"}");
    }
}

static void report_connections(void) {
    if (awaited_connections == 0 || slack.websocket_count < awaited_connections) return;
    awaited_connections = 0;
    reply("{\"connections\":%zu,\"first_open_ns\":%" PRIu64 "}", slack.websocket_count, slack.first_open_at);
}

int main(void) {
    struct command_reader commands = {0};
    char line[256];
    commands_open();
    slack_init(&slack, message_received, response_posted);
    reply("{\"port\":%u}", slack.port);
    for (;;) {
        uint64_t next_at = load_next_at(&load, &slack);
        if (next_at > 0) slack_set_timer(&slack, next_at);
        if (slack_turn(&slack, IDLE_TURN_MS)) command_reader_fill(&commands);
        while (command_reader_next(&commands, line, sizeof line)) run_command(line);
        load_send(&load, &slack);
        slack_flush(&slack);
        report_connections();
        load_finish_if_done(&load, stall);
    }
}
