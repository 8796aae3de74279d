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
    load->sent = load->acknowledged = load->bare = load->late = 0;
    latencies_reset(&load->latencies, plan->count);
    load->started_at = load->last_at = now_ns();
    load->is_running = true;
}

static uint64_t done(const struct load *load) { return load->acknowledged + load->late; }

static bool is_spreading(const struct load *load, uint64_t now) { return now - load->started_at < load->plan.spread; }

/// How many may wait now.
static uint64_t allowed(const struct load *load, uint64_t now) {
    if (!is_spreading(load, now)) return load->plan.in_flight;
    return 1 + (now - load->started_at) * load->plan.in_flight / load->plan.spread;
}

int load_wait_ms(const struct load *load, int otherwise) {
    return load->is_running && is_spreading(load, now_ns()) ? 1 : otherwise;
}

void load_send(struct load *load, struct slack *slack) {
    while (load->is_running && load->sent < load->plan.count) {
        uint64_t now = now_ns();
        if (load->sent - done(load) >= allowed(load, now)) return;
        struct connection *connection = slack_next_websocket(slack);
        if (connection == NULL) return;
        workload_set(&load->workload, load->plan.first + load->sent, now);
        websocket_append(&connection->out, WEBSOCKET_TEXT, load->workload.bytes, load->workload.length, false);
        load->sent_at[load->sent++] = now;
    }
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
    latencies_add(&load->latencies, read_at - *sent_at);
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
           ",\"started_ns\":%" PRIu64 ",\"finished_ns\":%" PRIu64 ",\"acknowledgement_us\":", load->sent,
           load->acknowledged, load->bare, load->late, load->started_at, load->last_at);
    latencies_print(&load->latencies, stdout);
    printf("}");
    reply_end();
}
