// A backend that accepts every delivery with an empty 200, and knows which it has seen.
//
// Prints {"port":…}, then takes commands on standard input:
//   count FIRST COUNT   forgets what was, counts the deliveries of these sequences
//   wait STALL_MS       replies {"delivered":…,"last_ns":…} when each was delivered once, or none arrives for STALL_MS
//   report              replies with counts and latencies since `count`
// SLACK_SIGNING_SECRET: one delivery in 64 has its signature checked.

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "buffer.h"
#include "commands.h"
#include "http.h"
#include "measure.h"
#include "network.h"
#include "signer.h"
#include "workload.h"

struct connection {
    int socket;
    struct buffer in, out;
};

/// The deliveries of one measured run.
static struct {
    uint64_t first, count;
    /// How often each was delivered; stops at 255.
    uint8_t *times;
    /// Delivered at least once; deliveries after the first; of other runs or without a sequence; with a wrong signature.
    uint64_t delivered, doubled, strange, forged;
    uint64_t last_at;
    /// From the generator's sending to the arrival of the whole request; first deliveries only.
    struct latencies latencies;
} run;

/// What `wait` waits for; 0: nobody waits.
static uint64_t stall, waiting_since;

static struct signer *signer;
static int epoll;

static void watch(int operation, int socket, uint32_t events, void *pointer) {
    if (epoll_ctl(epoll, operation, socket, &(struct epoll_event){.events = events, .data.ptr = pointer}) < 0) {
        err(1, "epoll_ctl");
    }
}

static bool is_signed(const struct http_request *request) {
    struct slice signature = http_header(request, "x-slack-signature");
    struct slice timestamp = http_header(request, "x-slack-request-timestamp");
    char expected[SIGNATURE_LENGTH];
    if (signature.length != SIGNATURE_LENGTH || timestamp.bytes == NULL) return false;
    signer_sign(signer, timestamp.bytes, timestamp.length, request->body.bytes, request->body.length, expected);
    return memcmp(signature.bytes, expected, SIGNATURE_LENGTH) == 0;
}

static void book_delivery(const struct http_request *request) {
    uint64_t sequence, sent_at, now = now_ns();
    if (!workload_read_payload(request->body.bytes, request->body.length, &sequence, &sent_at)
        || sequence < run.first || sequence - run.first >= run.count) {
        run.strange++;
        return;
    }
    if (sequence % 64 == 0 && !is_signed(request)) run.forged++;
    uint8_t *times = &run.times[sequence - run.first];
    if (*times > 0) {
        run.doubled++;
    } else {
        run.delivered++;
        run.last_at = now;
        latencies_add(&run.latencies, now - sent_at);
    }
    if (*times < UINT8_MAX) ++*times;
}

static void close_connection(struct connection *connection) {
    close(connection->socket);
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    free(connection);
}

static void serve(struct connection *connection) {
    static const char accepted[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    bool is_open = buffer_receive(&connection->in, connection->socket);
    struct http_request request;
    ssize_t length;
    while ((length = http_parse(buffer_start(&connection->in), buffer_length(&connection->in), &request)) > 0) {
        book_delivery(&request);
        buffer_consume(&connection->in, (size_t)length);
        buffer_append(&connection->out, accepted, sizeof accepted - 1);
    }
    // A response is smaller than what asked for it: it fits as long as the peer reads.
    if (!is_open || length < 0 || !buffer_send(&connection->out, connection->socket)) close_connection(connection);
}

static void start_run(uint64_t first, uint64_t count) {
    free(run.times);
    run.times = calloc(count > 0 ? count : 1, 1);
    if (run.times == NULL) errx(1, "no memory for %" PRIu64 " deliveries", count);
    run.first = first;
    run.count = count;
    run.delivered = run.doubled = run.strange = run.forged = run.last_at = 0;
    latencies_reset(&run.latencies, count);
    reply("{}");
}

static void report(void) {
    printf("{\"delivered\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"doubled\":%" PRIu64 ",\"strange\":%" PRIu64
           ",\"forged\":%" PRIu64 ",\"last_ns\":%" PRIu64 ",\"end_to_end_us\":", run.delivered,
           run.count - run.delivered, run.doubled, run.strange, run.forged, run.last_at);
    latencies_print(&run.latencies, stdout);
    printf("}");
    reply_end();
}

static void reply_to_wait(void) {
    if (stall == 0) return;
    uint64_t last = run.last_at > waiting_since ? run.last_at : waiting_since;
    if (run.delivered < run.count && now_ns() - last < stall) return;
    stall = 0;
    reply("{\"delivered\":%" PRIu64 ",\"last_ns\":%" PRIu64 "}", run.delivered, run.last_at);
}

static void run_command(const char *line) {
    uint64_t first, count;
    if (sscanf(line, "count %" SCNu64 " %" SCNu64, &first, &count) == 2) {
        start_run(first, count);
    } else if (sscanf(line, "wait %" SCNu64, &count) == 1) {
        stall = count * 1000000;
        waiting_since = now_ns();
    } else if (strcmp(line, "report") == 0) {
        report();
    } else {
        reply("{\"error\":\"unknown command\"}");
    }
}

int main(void) {
    const char *secret = getenv("SLACK_SIGNING_SECRET");
    if (secret == NULL) errx(2, "SLACK_SIGNING_SECRET is not set");
    signer = signer_create(secret);
    struct command_reader commands = {0};
    commands_open();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    uint16_t port;
    int listener = listen_on_loopback(&port);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &commands);
    reply("{\"port\":%u}", port);
    for (;;) {
        struct epoll_event events[64];
        char line[256];
        int count = epoll_wait(epoll, events, 64, stall > 0 ? 100 : -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &commands) {
                command_reader_fill(&commands);
            } else if (events[i].data.ptr == &listener) {
                for (int socket; (socket = accept_connection(listener)) >= 0;) {
                    struct connection *connection = calloc(1, sizeof *connection);
                    if (connection == NULL) err(1, "no memory for a connection");
                    connection->socket = socket;
                    watch(EPOLL_CTL_ADD, socket, EPOLLIN, connection);
                }
            } else {
                serve(events[i].data.ptr);
            }
        }
        while (command_reader_next(&commands, line, sizeof line)) run_command(line);
        reply_to_wait();
    }
}
