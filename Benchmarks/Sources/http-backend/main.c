// A backend that accepts every event with an empty 200 at once, answers every command with a message after a time of its
// own, and knows which it has seen.
//
// Prints {"port":…}, then takes commands on standard input:
//   count FIRST COUNT   forgets what was, counts the deliveries of these sequences
//   down / up           refuses all with 503 and counts none of it / serves again
//   wait STALL_MS       replies {"delivered":…,"first_ns":…,"last_ns":…} when each was delivered once, or none arrives for STALL_MS
//   delay MICROSECONDS  its own time for a command, in the mean (workload_backend_time); 100000 at first
//   report              replies with counts and latencies since `count`
// SLACK_SIGNING_SECRET: one delivery in 64 has its signature checked.

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
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
    /// Commands that wait for their answer. Freed after the last of them, once the peer has gone.
    size_t waiting;
    bool is_closed;
};

/// A command, and when its answer is due.
struct command {
    struct connection *connection;
    uint64_t sequence, due_at;
};

/// A heap: no command is due before its parent, the one at (place - 1) / 2.
static struct {
    struct command *commands;
    size_t count, capacity;
    uint64_t delay;
    /// A timer that is exact; epoll's own counts in milliseconds.
    int timer;
} waiting = {.delay = 100000000};

/// The deliveries of one measured run.
static struct {
    uint64_t first, count;
    /// How often each was delivered; stops at 255.
    uint8_t *times;
    /// Delivered at least once; deliveries after the first; of other runs or without a sequence; with a wrong signature.
    uint64_t delivered, doubled, strange, forged;
    uint64_t first_at, last_at;
    /// From the generator's sending to the arrival of the whole request; first deliveries only.
    struct latencies latencies;
} run;

/// What `wait` waits for; 0: nobody waits.
static uint64_t stall, waiting_since;

static bool is_down;

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

static void book_delivery(const struct http_request *request, uint64_t sequence, uint64_t sent_at, uint64_t now) {
    if (sequence < run.first || sequence - run.first >= run.count) {
        run.strange++;
        return;
    }
    if (sequence % 64 == 0 && !is_signed(request)) run.forged++;
    uint8_t *times = &run.times[sequence - run.first];
    if (*times > 0) {
        run.doubled++;
    } else {
        if (run.delivered++ == 0) run.first_at = now;
        run.last_at = now;
        latencies_add(&run.latencies, now - sent_at);
    }
    if (*times < UINT8_MAX) ++*times;
}

static void free_connection(struct connection *connection) {
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    free(connection);
}

static void close_connection(struct connection *connection) {
    close(connection->socket);
    connection->is_closed = true;
    if (connection->waiting == 0) free_connection(connection);
}

static void set_timer(void) {
    uint64_t due_at = waiting.count > 0 ? waiting.commands[0].due_at : 0;
    struct itimerspec time = {.it_value = {(time_t)(due_at / 1000000000), (long)(due_at % 1000000000)}};
    timerfd_settime(waiting.timer, TFD_TIMER_ABSTIME, &time, NULL);
}

static void wait_for(struct command command) {
    if (waiting.count == waiting.capacity) {
        waiting.capacity = 2 * waiting.capacity + 1024;
        waiting.commands = realloc(waiting.commands, waiting.capacity * sizeof command);
        if (waiting.commands == NULL) err(1, "no memory for %zu commands", waiting.capacity);
    }
    size_t place = waiting.count++;
    for (; place > 0 && waiting.commands[(place - 1) / 2].due_at > command.due_at; place = (place - 1) / 2) {
        waiting.commands[place] = waiting.commands[(place - 1) / 2];
    }
    waiting.commands[place] = command;
}

/// Takes the one that is due first; there must be one.
static struct command take_first(void) {
    struct command first = waiting.commands[0], last = waiting.commands[--waiting.count];
    size_t place = 0;
    for (size_t child; (child = 2 * place + 1) < waiting.count; place = child) {
        if (child + 1 < waiting.count && waiting.commands[child + 1].due_at < waiting.commands[child].due_at) child++;
        if (waiting.commands[child].due_at >= last.due_at) break;
        waiting.commands[place] = waiting.commands[child];
    }
    waiting.commands[place] = last;
    return first;
}

static void answer_later(struct connection *connection, uint64_t sequence, uint64_t now) {
    struct command command = {connection, sequence, now + workload_backend_time(sequence, waiting.delay)};
    wait_for(command);
    connection->waiting++;
    if (waiting.commands[0].sequence == sequence) set_timer();
}

static void append_answer(struct connection *connection, uint64_t sequence) {
    char body[256], head[128];
    size_t length = workload_write_answer(body, sizeof body, sequence);
    int head_length = snprintf(
        head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", length);
    buffer_append(&connection->out, head, (size_t)head_length);
    buffer_append(&connection->out, body, length);
}

/// Answers what is due. A peer has one request at a time on a connection: each answer goes out at once.
static void answer_due(void) {
    while (waiting.count > 0 && waiting.commands[0].due_at <= now_ns()) {
        struct command command = take_first();
        struct connection *connection = command.connection;
        connection->waiting--;
        if (connection->is_closed) {
            if (connection->waiting == 0) free_connection(connection);
            continue;
        }
        append_answer(connection, command.sequence);
        // A peer that has gone shows by itself: epoll says so.
        buffer_send(&connection->out, connection->socket);
    }
    set_timer();
}

static void take_request(struct connection *connection, const struct http_request *request) {
    static const char accepted[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    static const char unavailable[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    uint64_t sequence, sent_at, now = now_ns();
    if (is_down) {
        buffer_append(&connection->out, unavailable, sizeof unavailable - 1);
        return;
    }
    bool is_known = workload_read_body(request->body.bytes, request->body.length, &sequence, &sent_at);
    if (is_known) book_delivery(request, sequence, sent_at, now);
    if (!is_known) run.strange++;
    if (is_known && workload_is_command(request->body.bytes, request->body.length)) {
        answer_later(connection, sequence, now);
    } else {
        buffer_append(&connection->out, accepted, sizeof accepted - 1);
    }
}

static void serve(struct connection *connection) {
    bool is_open = buffer_receive(&connection->in, connection->socket);
    struct http_request request;
    ssize_t length;
    while ((length = http_parse(buffer_start(&connection->in), buffer_length(&connection->in), &request)) > 0) {
        take_request(connection, &request);
        buffer_consume(&connection->in, (size_t)length);
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
    run.delivered = run.doubled = run.strange = run.forged = run.first_at = run.last_at = 0;
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
    reply("{\"delivered\":%" PRIu64 ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 "}", run.delivered, run.first_at,
          run.last_at);
}

static void run_command(const char *line) {
    uint64_t first, count;
    if (sscanf(line, "count %" SCNu64 " %" SCNu64, &first, &count) == 2) {
        start_run(first, count);
    } else if (sscanf(line, "wait %" SCNu64, &count) == 1) {
        stall = count * 1000000;
        waiting_since = now_ns();
    } else if (sscanf(line, "delay %" SCNu64, &count) == 1) {
        waiting.delay = count * 1000;
        reply("{}");
    } else if (strcmp(line, "down") == 0 || strcmp(line, "up") == 0) {
        is_down = strcmp(line, "down") == 0;
        reply("{}");
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
    waiting.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
    watch(EPOLL_CTL_ADD, waiting.timer, EPOLLIN, &waiting);
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &commands);
    reply("{\"port\":%u}", port);
    for (;;) {
        struct epoll_event events[64];
        char line[256];
        int count = epoll_wait(epoll, events, 64, stall > 0 ? 100 : -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &commands) {
                command_reader_fill(&commands);
            } else if (events[i].data.ptr == &waiting) {
                // Set anew for the next one, which also makes it unreadable.
                answer_due();
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
