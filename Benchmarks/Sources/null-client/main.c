// A Socket Mode client that only acknowledges, at once and in batches: what the generator can do at most.
//
// null-client PORT CONNECTIONS: runs until standard input ends.

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buffer.h"
#include "commands.h"
#include "network.h"
#include "websocket.h"

enum { MAX_CONNECTIONS = 16 };

struct connection {
    int socket;
    struct buffer in, out;
};

/// Sends a request on a blocking socket and reads until the response's head, and `marker` after it, are there.
static char *exchange(struct connection *connection, const char *request, const char *marker) {
    buffer_append(&connection->out, request, strlen(request));
    if (!buffer_send(&connection->out, connection->socket)) err(1, "cannot send a request");
    for (;;) {
        if (!buffer_receive(&connection->in, connection->socket)) errx(1, "the generator closed the connection");
        buffer_append(&connection->in, "", 1);
        connection->in.end--;
        char *found = strstr(buffer_start(&connection->in), marker);
        if (found != NULL) return found;
    }
}

/// Opens a connection as Slack's page has it: a URL from apps.connections.open, then the upgrade.
static void open_connection(struct connection *connection, uint16_t port) {
    connection->socket = connect_to_loopback(port);
    static const char open[] = "POST /api/apps.connections.open HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    exchange(connection, open, "\"}");
    const char *ticket = strstr(buffer_start(&connection->in), "ticket=");
    if (ticket == NULL) errx(1, "the generator gave no ticket");
    char request[512];
    snprintf(request, sizeof request,
             "GET /link/?%.*s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             (int)strcspn(ticket, "\"&"), ticket);
    buffer_consume(&connection->in, buffer_length(&connection->in));
    char *head_end = exchange(connection, request, "\r\n\r\n");
    buffer_consume(&connection->in, (size_t)(head_end + 4 - buffer_start(&connection->in)));
    fcntl(connection->socket, F_SETFL, fcntl(connection->socket, F_GETFL) | O_NONBLOCK);
}

static void acknowledge(struct connection *connection, const struct websocket_frame *frame) {
    static const char key[] = "\"envelope_id\":\"";
    const char *id = memmem(frame->payload, frame->length, key, strlen(key));
    if (id == NULL || frame->payload + frame->length - id < (ptrdiff_t)strlen(key) + 36) return;
    char text[128];
    int length = snprintf(text, sizeof text, "{\"envelope_id\":\"%.36s\"}", id + strlen(key));
    websocket_append(&connection->out, WEBSOCKET_TEXT, text, (size_t)length, true);
}

static void read_connection(struct connection *connection) {
    struct websocket_frame frame;
    if (!buffer_receive(&connection->in, connection->socket)) errx(1, "the generator closed the connection");
    while (websocket_take(&connection->in, &frame)) {
        if (frame.opcode == WEBSOCKET_TEXT) acknowledge(connection, &frame);
        if (frame.opcode == WEBSOCKET_PING) {
            websocket_append(&connection->out, WEBSOCKET_PONG, frame.payload, frame.length, true);
        }
    }
    buffer_consume(&connection->in, 0);
    // Acknowledgements are small and the generator reads at once: what does not fit now goes out with the next batch.
    if (!buffer_send(&connection->out, connection->socket)) err(1, "cannot acknowledge");
}

int main(int argc, char **argv) {
    static struct connection connections[MAX_CONNECTIONS];
    int count = argc == 3 ? atoi(argv[2]) : 0;
    if (count < 1 || count > MAX_CONNECTIONS) {
        errx(2, "usage: null-client PORT CONNECTIONS (at most %d)", MAX_CONNECTIONS);
    }
    struct command_reader commands = {0};
    commands_open();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){.events = EPOLLIN});
    for (int i = 0; i < count; i++) {
        open_connection(&connections[i], (uint16_t)atoi(argv[1]));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].socket, &event);
    }
    for (;;) {
        struct epoll_event events[MAX_CONNECTIONS + 1];
        char line[256];
        int ready = epoll_wait(epoll, events, MAX_CONNECTIONS + 1, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr != NULL) {
                read_connection(events[i].data.ptr);
            } else {
                command_reader_fill(&commands);
                while (command_reader_next(&commands, line, sizeof line)) reply("{\"error\":\"unknown command\"}");
            }
        }
    }
}
