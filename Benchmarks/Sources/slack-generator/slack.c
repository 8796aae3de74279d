#include "slack.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "http.h"
#include "measure.h"
#include "network.h"
#include "websocket.h"

// Slack sends its first ping 3 s after hello, then one each 10 s.
static const uint64_t first_ping_after = 3000000000u, ping_interval = 10000000000u;

/// From asking for a new connection to closing the old one.
static const uint64_t refresh_grace = 1000000000u;

/// What epoll carries for those that are not connections.
static struct connection listener_mark, command_mark, timer_mark;

static void watch(struct slack *slack, int operation, int socket, uint32_t events, struct connection *connection) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(slack->epoll, operation, socket, &event) < 0) err(1, "epoll_ctl");
}

void slack_init(struct slack *slack, message_handler on_message, message_handler on_post) {
    slack->on_message = on_message;
    slack->on_post = on_post;
    slack->epoll = epoll_create1(EPOLL_CLOEXEC);
    slack->listener = listen_on_loopback(&slack->port);
    slack->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    watch(slack, EPOLL_CTL_ADD, slack->timer, EPOLLIN, &timer_mark);
    watch(slack, EPOLL_CTL_ADD, slack->listener, EPOLLIN, &listener_mark);
    watch(slack, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &command_mark);
}

void slack_set_timer(struct slack *slack, uint64_t time) {
    struct itimerspec when = {.it_value = {(time_t)(time / 1000000000), (long)(time % 1000000000)}};
    timerfd_settime(slack->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void accept_all(struct slack *slack) {
    for (int socket; (socket = accept_connection(slack->listener)) >= 0;) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL || slack->connection_count == MAX_CONNECTIONS) {
            errx(1, "more than %d connections", MAX_CONNECTIONS);
        }
        connection->socket = socket;
        slack->connections[slack->connection_count++] = connection;
        watch(slack, EPOLL_CTL_ADD, socket, EPOLLIN, connection);
    }
}

static void append_response(struct connection *connection, const char *status, const char *body) {
    char response[1024];
    int length = snprintf(
        response, sizeof response,
        "HTTP/1.1 %s\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s", status,
        strlen(body), body);
    buffer_append(&connection->out, response, (size_t)length);
}

static void answer_open(struct slack *slack, struct connection *connection) {
    static unsigned ticket;
    if (slack->first_open_at == 0) slack->first_open_at = now_ns();
    char body[512];
    snprintf(body, sizeof body, "{\"ok\":true,\"url\":\"ws:\\/\\/127.0.0.1:%u\\/link\\/?ticket=%08x&app_id=0123abcd\"}",
             slack->port, ++ticket);
    append_response(connection, "200 OK", body);
}

static void upgrade(struct slack *slack, struct connection *connection, struct slice key) {
    char accept[29], response[256], hello[256];
    websocket_accept_key(key.bytes, key.length, accept);
    int length = snprintf(
        response, sizeof response,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
        accept);
    buffer_append(&connection->out, response, (size_t)length);
    connection->protocol = PROTOCOL_WEBSOCKET;
    connection->ping_at = now_ns() + first_ping_after;
    slack->websocket_count++;
    length = snprintf(
        hello, sizeof hello,
        "{\"type\":\"hello\",\"num_connections\":%zu,\"connection_info\":{\"app_id\":\"A0123ABC456\"},"
        "\"debug_info\":{\"host\":\"applink-1\",\"build_number\":118,\"approximate_connection_time\":18060}}",
        slack->websocket_count);
    websocket_append(&connection->out, WEBSOCKET_TEXT, hello, (size_t)length, false);
}

static bool is_prefix(const char *prefix, struct slice slice) {
    return slice.length >= strlen(prefix) && memcmp(slice.bytes, prefix, strlen(prefix)) == 0;
}

static void answer_request(struct slack *slack, struct connection *connection, const struct http_request *request) {
    struct slice key = http_header(request, "sec-websocket-key");
    if (key.bytes != NULL && key.length <= 64 && is_prefix("/link/?ticket=", request->target)) {
        upgrade(slack, connection, key);
    } else if (is_prefix("/api/apps.connections.open", request->target)) {
        answer_open(slack, connection);
    } else if (is_prefix("/commands/", request->target)) {
        slack->on_post(request->body.bytes, request->body.length, now_ns());
        append_response(connection, "200 OK", "{\"ok\":true}");
    } else {
        append_response(connection, "404 Not Found", "{\"ok\":false,\"error\":\"unknown_method\"}");
    }
}

static void read_requests(struct slack *slack, struct connection *connection) {
    while (connection->protocol == PROTOCOL_HTTP && buffer_length(&connection->in) > 0) {
        struct http_request request;
        ssize_t length = http_parse(buffer_start(&connection->in), buffer_length(&connection->in), &request);
        if (length < 0) connection->is_closing = true;
        if (length <= 0) return;
        answer_request(slack, connection, &request);
        buffer_consume(&connection->in, (size_t)length);
    }
}

static void read_frames(struct slack *slack, struct connection *connection, uint64_t read_at) {
    struct websocket_frame frame;
    while (websocket_take(&connection->in, &frame)) {
        switch (frame.opcode) {
        case WEBSOCKET_TEXT:
            slack->on_message(frame.payload, frame.length, read_at);
            break;
        case WEBSOCKET_PING:
            websocket_append(&connection->out, WEBSOCKET_PONG, frame.payload, frame.length, false);
            break;
        case WEBSOCKET_CLOSE:
            websocket_append(&connection->out, WEBSOCKET_CLOSE, frame.payload, frame.length, false);
            connection->is_closing = true;
            break;
        case WEBSOCKET_PONG:
            break;
        }
    }
    buffer_consume(&connection->in, 0);
}

static void read_connection(struct slack *slack, struct connection *connection) {
    if (!buffer_receive(&connection->in, connection->socket)) connection->is_closing = true;
    read_requests(slack, connection);
    if (connection->protocol == PROTOCOL_WEBSOCKET) read_frames(slack, connection, now_ns());
}

static void send_pings(struct slack *slack) {
    static const char text[] = "Ping from applink-1";
    uint64_t now = now_ns();
    for (size_t i = 0; i < slack->connection_count; i++) {
        struct connection *connection = slack->connections[i];
        if (connection->protocol != PROTOCOL_WEBSOCKET || now < connection->ping_at) continue;
        websocket_append(&connection->out, WEBSOCKET_PING, text, sizeof text - 1, false);
        connection->ping_at = now + ping_interval;
    }
}

static void close_refreshed(struct slack *slack) {
    static const char normal_closure[] = {0x03, (char)0xe8};
    uint64_t now = now_ns();
    for (size_t i = 0; i < slack->connection_count; i++) {
        struct connection *connection = slack->connections[i];
        if (connection->close_at == 0 || now < connection->close_at || connection->is_closing) continue;
        websocket_append(&connection->out, WEBSOCKET_CLOSE, normal_closure, sizeof normal_closure, false);
        connection->is_closing = true;
    }
}

bool slack_turn(struct slack *slack, int timeout_ms) {
    struct epoll_event events[64];
    int count = epoll_wait(slack->epoll, events, 64, timeout_ms);
    bool has_command = false;
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection == &listener_mark) {
            accept_all(slack);
        } else if (connection == &command_mark) {
            has_command = true;
        } else if (connection == &timer_mark) {
            slack_set_timer(slack, 0);
        } else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            read_connection(slack, connection);
        }
    }
    send_pings(slack);
    close_refreshed(slack);
    return has_command;
}

static bool takes_envelopes(const struct connection *connection) {
    return connection->protocol == PROTOCOL_WEBSOCKET && !connection->is_closing && connection->close_at == 0;
}

struct connection *slack_next_websocket(struct slack *slack) {
    static size_t turn;
    for (size_t i = 0; i < slack->connection_count; i++) {
        struct connection *connection = slack->connections[++turn % slack->connection_count];
        if (takes_envelopes(connection)) return connection;
    }
    return NULL;
}

bool slack_is_connected(const struct slack *slack) {
    for (size_t i = 0; i < slack->connection_count; i++) {
        if (takes_envelopes(slack->connections[i])) return true;
    }
    return false;
}

bool slack_request_refresh(struct slack *slack) {
    static const char text[] =
        "{\"type\":\"disconnect\",\"reason\":\"refresh_requested\",\"debug_info\":{\"host\":\"applink-1\"}}";
    struct connection *connection = slack_next_websocket(slack);
    if (connection == NULL) return false;
    websocket_append(&connection->out, WEBSOCKET_TEXT, text, sizeof text - 1, false);
    connection->close_at = now_ns() + refresh_grace;
    return true;
}

static void close_connection(struct slack *slack, size_t index) {
    struct connection *connection = slack->connections[index];
    if (connection->protocol == PROTOCOL_WEBSOCKET) slack->websocket_count--;
    close(connection->socket);
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    free(connection);
    slack->connections[index] = slack->connections[--slack->connection_count];
}

void slack_flush(struct slack *slack) {
    for (size_t i = slack->connection_count; i-- > 0;) {
        struct connection *connection = slack->connections[i];
        if (!buffer_send(&connection->out, connection->socket)) connection->is_closing = true;
        if (connection->is_closing) {
            close_connection(slack, i);
            continue;
        }
        bool awaits_room = buffer_length(&connection->out) > 0;
        if (awaits_room == connection->awaits_room) continue;
        connection->awaits_room = awaits_room;
        watch(slack, EPOLL_CTL_MOD, connection->socket, awaits_room ? EPOLLIN | EPOLLOUT : EPOLLIN, connection);
    }
}
