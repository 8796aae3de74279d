#include "load.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "websocket.h"

void load_start(struct load *load, const struct load_plan *plan, uint16_t port) {
    load->plan = *plan;
    workload_init(&load->workload, plan->wants_answers ? WORKLOAD_COMMAND : WORKLOAD_EVENT, port);
    free(load->sent_at);
    load->sent_at = calloc(plan->count, sizeof *load->sent_at);
    if (load->sent_at == NULL) errx(1, "no memory for %" PRIu64 " envelopes", plan->count);
    load->sent = load->acknowledged = load->bare = load->late = load->oldest = 0;
    load->redelivered = load->refreshes = 0;
    load->unconnected = load->unconnected_since = 0;
    latencies_reset(&load->latencies, plan->count);
    load->started_at = load->last_at = now_ns();
    load->refresh_at = load->started_at + plan->refresh_interval;
    load->is_running = true;
}

static uint64_t done(const struct load *load) { return load->acknowledged + load->late; }

static bool is_spreading(const struct load *load, uint64_t now) {
    return now - load->started_at < load->plan.backend_time;
}

/// How many may wait now in a closed loop.
static uint64_t allowed(const struct load *load, uint64_t now) {
    if (!is_spreading(load, now)) return load->plan.in_flight;
    return 1 + (now - load->started_at) * load->plan.in_flight / load->plan.backend_time;
}

/// The time of the next envelope of an open loop.
static uint64_t due_at(const struct load *load) { return load->started_at + load->sent * load->plan.interval; }

uint64_t load_next_at(const struct load *load, const struct slack *slack) {
    if (!load->is_running) return 0;
    uint64_t now = now_ns(), next = is_spreading(load, now) ? now + 1000000 : 0;
    // What is due and not sent waits for a connection, not for a time.
    if (load->plan.interval > 0 && load->sent < load->plan.count && slack_is_connected(slack)) {
        next = due_at(load);
    }
    if (load->plan.refresh_interval > 0 && (next == 0 || load->refresh_at < next)) next = load->refresh_at;
    return next;
}

/// Sends an envelope over the next connection in turn. False: there is none.
static bool send_envelope(struct load *load, struct slack *slack, uint64_t index, uint64_t time) {
    struct connection *connection = slack_next_websocket(slack);
    if (connection == NULL) return false;
    workload_set(&load->workload, load->plan.first + index, time);
    websocket_append(&connection->out, WEBSOCKET_TEXT, load->workload.bytes, load->workload.length, false);
    return true;
}

/// Slack waits 3 s for an acknowledgement; its first retry of an event comes about at once, a second one is not sent here.
static void redeliver(struct load *load, struct slack *slack, uint64_t now) {
    static const uint64_t patience = 3000000000u;
    for (; load->oldest < load->sent; load->oldest++) {
        uint64_t time = load->sent_at[load->oldest];
        if (time == 0) continue;
        if (now < time + patience) return;
        workload_set_retry(&load->workload, true);
        bool is_sent = send_envelope(load, slack, load->oldest, time);
        workload_set_retry(&load->workload, false);
        if (!is_sent) return;
        load->redelivered++;
    }
}

static void send_open(struct load *load, struct slack *slack, uint64_t now) {
    while (load->sent < load->plan.count && due_at(load) <= now) {
        if (!send_envelope(load, slack, load->sent, due_at(load))) return;
        load->sent_at[load->sent] = due_at(load);
        load->sent++;
    }
    redeliver(load, slack, now);
}

static void send_closed(struct load *load, struct slack *slack) {
    while (load->sent < load->plan.count) {
        uint64_t now = now_ns();
        if (load->sent - done(load) >= allowed(load, now)) return;
        if (!send_envelope(load, slack, load->sent, now)) return;
        load->sent_at[load->sent++] = now;
    }
}

static void refresh_if_due(struct load *load, struct slack *slack, uint64_t now) {
    if (load->plan.refresh_interval == 0 || now < load->refresh_at) return;
    load->refresh_at += load->plan.refresh_interval;
    if (slack_request_refresh(slack)) load->refreshes++;
}

static void watch_connections(struct load *load, const struct slack *slack, uint64_t now) {
    bool is_connected = slack_is_connected(slack);
    if (!is_connected && load->unconnected_since == 0) load->unconnected_since = now;
    if (!is_connected || load->unconnected_since == 0) return;
    load->unconnected += now - load->unconnected_since;
    load->unconnected_since = 0;
}

void load_send(struct load *load, struct slack *slack) {
    if (!load->is_running) return;
    uint64_t now = now_ns();
    refresh_if_due(load, slack, now);
    watch_connections(load, slack, now);
    if (load->plan.interval > 0) send_open(load, slack, now); else send_closed(load, slack);
}

/// When a sequence was sent; NULL when it does not wait.
static uint64_t *find_waiting(struct load *load, uint64_t sequence) {
    uint64_t index = sequence - load->plan.first;
    if (!load->is_running || sequence < load->plan.first || index >= load->sent) return NULL;
    return load->sent_at[index] == 0 ? NULL : &load->sent_at[index];
}

void load_acknowledged(struct load *load, const char *text, size_t length, uint64_t read_at) {
    uint64_t sequence, answered;
    if (!workload_read_acknowledgement(text, length, &sequence)) return;
    uint64_t *sent_at = find_waiting(load, sequence);
    if (sent_at == NULL) return;
    load->last_at = read_at;
    if (load->plan.wants_answers && (!workload_read_answer(text, length, &answered) || answered != sequence)) {
        load->bare++;
        return;
    }
    uint64_t backend_time = workload_backend_time(sequence, load->plan.backend_time);
    latencies_add(&load->latencies, read_at - *sent_at - backend_time);
    *sent_at = 0;
    load->acknowledged++;
}

void load_posted(struct load *load, const char *body, size_t length, uint64_t read_at) {
    uint64_t sequence;
    if (!workload_read_answer(body, length, &sequence)) return;
    uint64_t *sent_at = find_waiting(load, sequence);
    if (sent_at == NULL) return;
    load->last_at = read_at;
    *sent_at = 0;
    load->late++;
}

void load_finish_if_done(struct load *load, uint64_t stall) {
    if (!load->is_running) return;
    if (done(load) < load->plan.count && now_ns() - load->last_at < stall) return;
    load->is_running = false;
    printf("{\"sent\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"bare\":%" PRIu64 ",\"late\":%" PRIu64
           ",\"redelivered\":%" PRIu64 ",\"refreshes\":%" PRIu64 ",\"unconnected_us\":%" PRIu64 ",\"started_ns\":%" PRIu64
           ",\"finished_ns\":%" PRIu64 ",\"acknowledgement_us\":", load->sent, load->acknowledged, load->bare, load->late,
           load->redelivered, load->refreshes, load->unconnected / 1000, load->started_at, load->last_at);
    latencies_print(&load->latencies, stdout);
    printf("}");
    reply_end();
}
