// libcurl, and a typed face for each form of its variadic calls, which Swift cannot import.
#pragma once
#include <curl/curl.h>
// What the transfers are waited for with; Swift's Glibc module leaves both out.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <signal.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or newer is needed (CURLOPT_QUICK_EXIT)"
#endif

static inline CURLcode relay_easy_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode relay_easy_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

// A null string takes the option back to its default. libcurl copies the string.
static inline CURLcode relay_easy_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode relay_easy_set_pointer(CURL *easy, CURLoption option, const void *value) {
    return curl_easy_setopt(easy, option, value);
}

// libcurl keeps the list: it must live as long as the transfer.
static inline CURLcode relay_easy_set_list(CURL *easy, CURLoption option, struct curl_slist *list) {
    return curl_easy_setopt(easy, option, list);
}

// For CURLOPT_READFUNCTION, CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION, which share one form.
typedef size_t (*relay_transfer_function)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode relay_easy_set_function(CURL *easy, CURLoption option, relay_transfer_function function) {
    return curl_easy_setopt(easy, option, function);
}

typedef int (*relay_seek_function)(void *context, curl_off_t offset, int origin);
static inline CURLcode relay_easy_set_seek_function(CURL *easy, relay_seek_function function) {
    return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, function);
}

typedef int (*relay_request_function)(void *context, char *peer, char *local, int peer_port, int local_port);
static inline CURLcode relay_easy_set_request_function(CURL *easy, relay_request_function function, void *context) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, function);
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_PREREQDATA, context) : code;
}

typedef curl_socket_t (*relay_open_function)(void *context, curlsocktype purpose, struct curl_sockaddr *address);
static inline CURLcode relay_easy_set_open_function(CURL *easy, relay_open_function function, void *context) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, function);
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, context) : code;
}

// The socket that libcurl would open by itself (CURLOPT_OPENSOCKETFUNCTION), not passed on to other programs.
static inline curl_socket_t relay_socket_open(const struct curl_sockaddr *address) {
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Copies the IP address in network order and returns its number of bytes; 0 when it is of another kind. In C, because
// the address is longer than the type that libcurl declares for it.
static inline int relay_socket_address(const struct curl_sockaddr *address, unsigned char bytes[16]) {
    const void *any = &address->addr;
    switch (address->family) {
    case AF_INET:
        memcpy(bytes, &((const struct sockaddr_in *)any)->sin_addr, 4);
        return 4;
    case AF_INET6:
        memcpy(bytes, &((const struct sockaddr_in6 *)any)->sin6_addr, 16);
        return 16;
    default:
        return 0;
    }
}

// Likewise of a text without brackets (inet_pton(3)).
static inline int relay_text_address(const char *text, unsigned char bytes[16]) {
    if (inet_pton(AF_INET, text, bytes) == 1) return 4;
    return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

// Whether this libcurl was built with nghttp2.
static inline bool relay_speaks_http2(void) {
    return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) != 0;
}

static inline CURLcode relay_easy_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode relay_easy_get_offset(CURL *easy, CURLINFO info, curl_off_t *value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode relay_easy_get_context(CURL *easy, void **value) {
    return curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)value);
}

static inline CURLMcode relay_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

typedef int (*relay_socket_function)(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_context);
static inline CURLMcode relay_multi_set_socket_function(CURLM *multi, relay_socket_function function, void *context) {
    CURLMcode code = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, function);
    return code == CURLM_OK ? curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context) : code;
}

typedef int (*relay_timer_function)(CURLM *multi, long milliseconds, void *context);
static inline CURLMcode relay_multi_set_timer_function(CURLM *multi, relay_timer_function function, void *context) {
    CURLMcode code = curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, function);
    return code == CURLM_OK ? curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context) : code;
}

// The CA bundle that libcurl was built with, or null.
static inline const char *relay_default_ca_file(void) {
    return curl_version_info(CURLVERSION_NOW)->cainfo;
}

// Starts a thread with all signals blocked: they are the business of others, and a write to a closed TLS connection must not end
// the process (libcurl with CURLOPT_NOSIGNAL leaves SIGPIPE to us). In C, because which module `sigset_t` belongs to depends
// on what else has been imported.
static inline int relay_thread_start(pthread_t *thread, void *(*run)(void *), void *context) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}
