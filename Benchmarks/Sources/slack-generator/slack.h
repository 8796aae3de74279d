// Slack's side of Socket Mode: apps.connections.open, the upgrade, hello, pings, refreshes, the connections that are up, and
// response URLs.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connection.h"

enum { MAX_CONNECTIONS = 256 };

/// Called for each text message of a client, and for each body posted to a response_url, with the time at which it was
/// read.
typedef void (*message_handler)(const char *text, size_t length, uint64_t read_at);

struct slack {
    int epoll, listener;
    /// Exact; what epoll itself waits counts in milliseconds.
    int timer;
    uint16_t port;
    struct connection *connections[MAX_CONNECTIONS];
    size_t connection_count;
    /// Those that had their hello.
    size_t websocket_count;
    /// When apps.connections.open was first called; 0: not yet.
    uint64_t first_open_at;
    message_handler on_message, on_post;
};

void slack_init(struct slack *slack, message_handler on_message, message_handler on_post);

/// The next turn begins at `time` at the latest, of `now_ns`; 0: it waits for what happens.
void slack_set_timer(struct slack *slack, uint64_t time);

/// Waits up to `timeout_ms` for something to happen, reads it all, and does what is due: pings, closing after a refresh.
/// True: standard input has something to read.
bool slack_turn(struct slack *slack, int timeout_ms);

/// The next WebSocket in turn, or NULL when none is up that is not about to be closed.
struct connection *slack_next_websocket(struct slack *slack);

/// Whether there is one.
bool slack_is_connected(const struct slack *slack);

/// Asks for a new connection in place of the next in turn, which is closed a second later (slack-protocol.md,
/// `refresh_requested`). False: there is none.
bool slack_request_refresh(struct slack *slack);

/// Writes out what all connections have to say and closes those that are done.
void slack_flush(struct slack *slack);
