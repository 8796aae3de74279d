// The limit: what libcurl's multi interface does at most, with the bodies, headers and signatures that relay sends, and
// nothing else: no WebSocket, no queue, no retry. One thread, libcurl's sockets in its own epoll.
//
// bare-poster PORT IN_FLIGHT events|commands. Replies {} when ready, then takes commands on standard input:
//   post FIRST COUNT BACKEND_US  sends these sequences, IN_FLIGHT at a time over kept-alive connections, the first ones over
//                                BACKEND_US, then replies; latencies are from making a request to having its whole response,
//                                without the time of the backend, which is BACKEND_US in the mean
// SLACK_SIGNING_SECRET: signs, anew for each request.

#include <curl/curl.h>
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "measure.h"
#include "signer.h"
#include "workload.h"

enum { MAX_IN_FLIGHT = 1024, TIMESTAMP_DIGITS = 10, MILLISECOND_DIGITS = 13, ID_DIGITS = 12 };

/// One request at a time; handle, body and headers are used again and again. The texts keep their length, so that what
/// changes is written in place.
struct slot {
    CURL *handle;
    struct workload workload;
    struct curl_slist *headers;
    char *timestamp, *signature, *delivery_id, *received_at;
    /// Of the request that is under way.
    uint64_t sequence, sent_at;
    bool is_busy;
};

static struct {
    uint64_t next, end, succeeded, failed, started_at, backend_time;
    size_t in_flight;
    struct latencies latencies;
    bool is_running;
} run;

static struct slot slots[MAX_IN_FLIGHT];
static size_t slot_count;
static enum workload_kind kind;
static CURLM *multi;
static int epoll;
static struct signer *signer;
/// When libcurl wants to be called though no socket is ready, of `now_ns`; 0: not at all.
static uint64_t timer_at;

/// Adds a header and returns where its value stands; `value` has the length of every later one.
static char *add_header(struct slot *slot, const char *name, const char *value) {
    char line[256];
    snprintf(line, sizeof line, "%s: %s", name, value);
    slot->headers = curl_slist_append(slot->headers, line);
    struct curl_slist *last = slot->headers;
    while (last->next != NULL) last = last->next;
    return last->data + strlen(name) + 2;
}

/// The headers of an event or a command (slack-protocol.md §4.2) and those that relay adds (design.md §6).
static void make_headers(struct slot *slot) {
    add_header(slot, "User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)");
    add_header(slot, "Accept", "*/*");
    add_header(slot, "Accept-Encoding", "gzip,deflate");
    add_header(slot, "Content-Type", kind == WORKLOAD_EVENT ? "application/json" : "application/x-www-form-urlencoded");
    slot->timestamp = add_header(slot, "X-Slack-Request-Timestamp", "0000000000");
    slot->signature = add_header(
        slot, "X-Slack-Signature", "v0=0000000000000000000000000000000000000000000000000000000000000000");
    slot->delivery_id = add_header(slot, "X-Relay-Delivery-Id", "3f9c2a1b-000000000000") + strlen("3f9c2a1b-");
    add_header(slot, "X-Relay-Attempt", "1");
    add_header(slot, "X-Relay-Route", "default");
    slot->received_at = add_header(slot, "X-Relay-Received-At", "0000000000000");
    if (kind != WORKLOAD_EVENT) add_header(slot, "X-Relay-Deadline-Ms", "2499");
    // No waiting for a permission to send the body.
    slot->headers = curl_slist_append(slot->headers, "Expect:");
}

static size_t discard(char *bytes, size_t size, size_t count, void *context) {
    (void)bytes;
    (void)context;
    return size * count;
}

static void make_slot(struct slot *slot, const char *port) {
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%s/slack/events", port);
    workload_init(&slot->workload, kind, 0);
    make_headers(slot);
    slot->handle = curl_easy_init();
    if (slot->handle == NULL) errx(1, "libcurl gives no handle");
    curl_easy_setopt(slot->handle, CURLOPT_URL, url);
    curl_easy_setopt(slot->handle, CURLOPT_HTTPHEADER, slot->headers);
    curl_easy_setopt(slot->handle, CURLOPT_POST, 1L);
    curl_easy_setopt(slot->handle, CURLOPT_POSTFIELDS, slot->workload.bytes + slot->workload.payload);
    curl_easy_setopt(slot->handle, CURLOPT_POSTFIELDSIZE, (long)slot->workload.payload_length);
    curl_easy_setopt(slot->handle, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(slot->handle, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(slot->handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(slot->handle, CURLOPT_PROXY, "");
    curl_easy_setopt(slot->handle, CURLOPT_TIMEOUT_MS, 10000L);
}

static void write_digits(char *place, size_t width, uint64_t value) {
    for (size_t i = width; i > 0; i--, value /= 10) place[i - 1] = (char)('0' + value % 10);
}

static void start_request(struct slot *slot, uint64_t sequence) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    slot->sequence = sequence;
    slot->sent_at = now_ns();
    workload_set(&slot->workload, sequence, slot->sent_at);
    write_digits(slot->timestamp, TIMESTAMP_DIGITS, (uint64_t)now.tv_sec);
    write_digits(slot->received_at, MILLISECOND_DIGITS, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    write_digits(slot->delivery_id, ID_DIGITS, sequence);
    signer_sign(signer, slot->timestamp, TIMESTAMP_DIGITS, slot->workload.bytes + slot->workload.payload,
                slot->workload.payload_length, slot->signature);
    slot->is_busy = true;
    run.in_flight++;
    curl_multi_add_handle(multi, slot->handle);
}

static bool is_spreading(void) { return run.is_running && now_ns() - run.started_at < run.backend_time; }

/// Starts the first ones: all that may be under way by now.
static void start_requests(void) {
    uint64_t allowed = slot_count;
    if (is_spreading()) allowed = 1 + (now_ns() - run.started_at) * slot_count / run.backend_time;
    for (size_t i = 0; i < slot_count && run.next < run.end && run.in_flight < allowed; i++) {
        if (!slots[i].is_busy) start_request(&slots[i], run.next++);
    }
}

static void finish_requests(void) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;) {
        struct slot *slot;
        long status = 0;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        if (code == CURLE_OK && status == 200) {
            run.succeeded++;
            uint64_t backend_time = workload_backend_time(slot->sequence, run.backend_time);
            latencies_add(&run.latencies, now_ns() - slot->sent_at - backend_time);
        } else {
            run.failed++;
        }
        curl_multi_remove_handle(multi, slot->handle);
        slot->is_busy = false;
        run.in_flight--;
        if (run.next < run.end) start_request(slot, run.next++);
    }
}

/// libcurl says for which events of a socket it wants to be called. What is assigned to a socket marks it as known.
static int watch_socket(CURL *handle, curl_socket_t socket, int wanted, void *context, void *is_known) {
    (void)handle;
    (void)context;
    struct epoll_event event = {.data.fd = socket};
    if (wanted != CURL_POLL_OUT) event.events |= EPOLLIN;
    if (wanted != CURL_POLL_IN) event.events |= EPOLLOUT;
    if (wanted == CURL_POLL_REMOVE) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, socket, NULL);
    } else {
        epoll_ctl(epoll, is_known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
        curl_multi_assign(multi, socket, &slots);
    }
    return 0;
}

static int set_timer(CURLM *handle, long milliseconds, void *context) {
    (void)handle;
    (void)context;
    timer_at = milliseconds < 0 ? 0 : now_ns() + (uint64_t)milliseconds * 1000000;
    return 0;
}

static void report_if_done(void) {
    if (!run.is_running || run.in_flight > 0 || run.next < run.end) return;
    run.is_running = false;
    printf("{\"sent\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"started_ns\":%" PRIu64 ",\"finished_ns\":%" PRIu64
           ",\"response_us\":", run.succeeded + run.failed, run.failed, run.started_at, now_ns());
    latencies_print(&run.latencies, stdout);
    printf("}");
    reply_end();
}

static void run_command(const char *line) {
    uint64_t first, count, backend_time;
    if (sscanf(line, "post %" SCNu64 " %" SCNu64 " %" SCNu64, &first, &count, &backend_time) != 3) {
        reply("{\"error\":\"unknown command\"}");
        return;
    }
    run.next = first;
    run.end = first + count;
    run.succeeded = run.failed = 0;
    run.backend_time = backend_time * 1000;
    latencies_reset(&run.latencies, count);
    run.started_at = now_ns();
    run.is_running = true;
    start_requests();
}

/// Milliseconds until libcurl wants to be called or the next request may be due, rounded up; -1: neither.
static int wait_time(void) {
    if (is_spreading()) return 1;
    if (timer_at == 0) return -1;
    uint64_t now = now_ns();
    return timer_at <= now ? 0 : (int)((timer_at - now + 999999) / 1000000);
}

static void turn(struct command_reader *commands) {
    struct epoll_event events[64];
    int running, count = epoll_wait(epoll, events, 64, wait_time());
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == STDIN_FILENO) {
            command_reader_fill(commands);
            continue;
        }
        int ready = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0)
            | (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0)
            | (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(multi, events[i].data.fd, ready, &running);
    }
    if (timer_at != 0 && now_ns() >= timer_at) {
        timer_at = 0;
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_requests();
    if (run.is_running && run.in_flight < slot_count) start_requests();
}

int main(int argc, char **argv) {
    const char *secret = getenv("SLACK_SIGNING_SECRET");
    slot_count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    if (secret == NULL || slot_count < 1 || slot_count > MAX_IN_FLIGHT) {
        errx(2, "usage: SLACK_SIGNING_SECRET=… bare-poster PORT IN_FLIGHT (at most %d) events|commands", MAX_IN_FLIGHT);
    }
    kind = strcmp(argv[3], "commands") == 0 ? WORKLOAD_COMMAND_FORM : WORKLOAD_EVENT;
    signer = signer_create(secret);
    struct command_reader commands = {0};
    char line[256];
    commands_open();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){.events = EPOLLIN, .data.fd = STDIN_FILENO});
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)MAX_IN_FLIGHT);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    for (size_t i = 0; i < slot_count; i++) make_slot(&slots[i], argv[1]);
    reply("{}");
    for (;;) {
        turn(&commands);
        while (command_reader_next(&commands, line, sizeof line)) run_command(line);
        report_if_done();
    }
}
