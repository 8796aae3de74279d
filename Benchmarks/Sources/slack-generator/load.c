#include "load.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "websocket.h"

void load_init(struct load *load) { workload_init(&load->workload); }

void load_start(struct load *load, uint64_t first, uint64_t count, uint64_t in_flight) {
    free(load->sent_at);
    load->sent_at = calloc(count, sizeof *load->sent_at);
    if (load->sent_at == NULL) errx(1, "no memory for %" PRIu64 " envelopes", count);
    load->first = first;
    load->count = count;
    load->in_flight = in_flight;
    load->sent = load->acknowledged = 0;
    latencies_reset(&load->latencies, count);
    load->started_at = load->last_acknowledged_at = now_ns();
    load->is_running = true;
}

void load_send(struct load *load, struct slack *slack) {
    while (load->is_running && load->sent < load->count && load->sent - load->acknowledged < load->in_flight) {
        struct connection *connection = slack_next_websocket(slack);
        if (connection == NULL) return;
        uint64_t now = now_ns();
        workload_set(&load->workload, load->first + load->sent, now);
        websocket_append(&connection->out, WEBSOCKET_TEXT, load->workload.bytes, load->workload.length, false);
        load->sent_at[load->sent++] = now;
    }
}

void load_acknowledged(struct load *load, const char *text, size_t length, uint64_t read_at) {
    uint64_t sequence;
    if (!load->is_running || !workload_read_acknowledgement(text, length, &sequence)) return;
    uint64_t index = sequence - load->first;
    if (sequence < load->first || index >= load->sent || load->sent_at[index] == 0) return;
    latencies_add(&load->latencies, read_at - load->sent_at[index]);
    load->sent_at[index] = 0;
    load->acknowledged++;
    load->last_acknowledged_at = read_at;
}

void load_finish_if_done(struct load *load, uint64_t stall) {
    if (!load->is_running) return;
    if (load->acknowledged < load->count && now_ns() - load->last_acknowledged_at < stall) return;
    load->is_running = false;
    printf("{\"sent\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"started_ns\":%" PRIu64 ",\"finished_ns\":%" PRIu64
           ",\"acknowledgement_us\":", load->sent, load->acknowledged, load->started_at, load->last_acknowledged_at);
    latencies_print(&load->latencies, stdout);
    printf("}");
    reply_end();
}
