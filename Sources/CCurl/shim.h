// libcurl, and a typed face for each form of its variadic calls, which Swift cannot import.
#pragma once
#include <curl/curl.h>
// What the transfers are waited for with; Swift's Glibc module leaves both out.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <pthread.h>
#include <signal.h>

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

static inline CURLcode relay_easy_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode relay_easy_set_headers(CURL *easy, struct curl_slist *headers) {
    return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
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
