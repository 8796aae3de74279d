#include "workload.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// Filled in for each envelope: runs of one character that stands nowhere else in the template.
#define ENVELOPE_ID "@@@@@@@@@@@@"
#define EVENT_ID "^^^^^^^^^^^"
#define SENT_AT "~~~~~~~~~~~~~~~~~~~"
#define TS "######"
#define CHANNEL "&&"
#define PORT "$$$$$"
#define RETRY_ATTEMPT "?"

#define TEXT                                                                                                          \
    "The deploy of *orders* to production has finished: 14 pods replaced in 3 min 12 s, no failed requests. "         \
    "<https:\\/\\/ci.example.com\\/orders\\/builds\\/20481|Build 20481> \\u00b7 please watch the error rate for the " \
    "next half hour and roll back with `\\/rollback orders` when it rises above 0.1 %."

static const char event[] =
    "{\"envelope_id\":\"6f1d2c3b-8a4e-4c5d-9b7f-" ENVELOPE_ID "\",\"payload\":"
    "{\"token\":\"Z1B2C3D4E5F6G7H8I9J0KLMN\",\"team_id\":\"T012AB3C4D5\",\"context_team_id\":\"T012AB3C4D5\","
    "\"context_enterprise_id\":null,\"api_app_id\":\"A0123ABC456\",\"event\":{\"user\":\"U061F7AUR9X\","
    "\"type\":\"message\",\"ts\":\"1760601234." TS "\",\"client_msg_id\":\"0c2f7a5e-53a1-4d0b-a6f4-" ENVELOPE_ID "\","
    "\"text\":\"" TEXT "\",\"team\":\"T012AB3C4D5\",\"blocks\":[{\"type\":\"rich_text\",\"block_id\":\"xK9\\/w\","
    "\"elements\":[{\"type\":\"rich_text_section\",\"elements\":[{\"type\":\"text\",\"text\":\"The deploy of \"},"
    "{\"type\":\"text\",\"text\":\"orders\",\"style\":{\"bold\":true}},{\"type\":\"text\",\"text\":\" to production has "
    "finished: 14 pods replaced in 3 min 12 s, no failed requests. \"},{\"type\":\"link\",\"url\":\"https:\\/\\/"
    "ci.example.com\\/orders\\/builds\\/20481\",\"text\":\"Build 20481\"},{\"type\":\"text\",\"text\":\" \\u00b7 please "
    "watch the error rate for the next half hour and roll back with \"},{\"type\":\"text\",\"text\":\"\\/rollback "
    "orders\",\"style\":{\"code\":true}},{\"type\":\"text\",\"text\":\" when it rises above 0.1 %.\"}]}]}],"
    "\"channel\":\"C0123ABC4" CHANNEL "\",\"event_ts\":\"1760601234." TS "\",\"channel_type\":\"channel\"},"
    "\"type\":\"event_callback\",\"event_id\":\"Ev" EVENT_ID "\",\"event_time\":1760601234,\"authorizations\":"
    "[{\"enterprise_id\":null,\"team_id\":\"T012AB3C4D5\",\"user_id\":\"U0987ZYX654\",\"is_bot\":true,"
    "\"is_enterprise_install\":false}],\"is_ext_shared_channel\":false,\"event_context\":\"4-" SENT_AT "\"}"
    ",\"type\":\"events_api\",\"accepts_response_payload\":false,\"retry_attempt\":" RETRY_ATTEMPT ",\"retry_reason\":\"\"}";

static const char command[] =
    "{\"envelope_id\":\"6f1d2c3b-8a4e-4c5d-9b7f-" ENVELOPE_ID "\",\"payload\":"
    "{\"token\":\"Z1B2C3D4E5F6G7H8I9J0KLMN\",\"team_id\":\"T012AB3C4D5\",\"team_domain\":\"example\","
    "\"channel_id\":\"C0123ABC4" CHANNEL "\",\"channel_name\":\"deploys\",\"user_id\":\"U061F7AUR9X\","
    "\"user_name\":\"ada\",\"command\":\"\\/deploy\",\"text\":\"orders to production at 4-" SENT_AT "\","
    "\"api_app_id\":\"A0123ABC456\",\"is_enterprise_install\":\"false\",\"response_url\":\"http:\\/\\/127.0.0.1:" PORT
    "\\/commands\\/T012AB3C4D5\\/Rs" EVENT_ID "\\/96rGlfmibIGlgcZRskXaIFfN\","
    "\"trigger_id\":\"Tr" EVENT_ID ".738474920.8088930838d88f008e0c1a4f2b7d9e60\"}"
    ",\"type\":\"slash_commands\",\"accepts_response_payload\":true}";

static const char command_form[] =
    "token=Z1B2C3D4E5F6G7H8I9J0KLMN&team_id=T012AB3C4D5&team_domain=example&channel_id=C0123ABC4" CHANNEL
    "&channel_name=deploys&user_id=U061F7AUR9X&user_name=ada&command=%2Fdeploy&text=orders+to+production+at+4-" SENT_AT
    "&api_app_id=A0123ABC456&is_enterprise_install=false&response_url=http%3A%2F%2F127.0.0.1%3A" PORT
    "%2Fcommands%2FT012AB3C4D5%2FRs" EVENT_ID "%2F96rGlfmibIGlgcZRskXaIFfN"
    "&trigger_id=Tr" EVENT_ID ".738474920.8088930838d88f008e0c1a4f2b7d9e60";

static const char payload_key[] = "\"payload\":";
static const char event_end[] = ",\"type\":\"events_api\"", command_end[] = ",\"type\":\"slash_commands\"";

// What stands before the values that are read back. Values only: a peer that writes its JSON anew keeps them.
static const char envelope_prefix[] = "6f1d2c3b-8a4e-4c5d-9b7f-";
static const char event_prefix[] = "\"Ev", event_sent_at_prefix[] = "\"4-";
static const char command_prefix[] = "=Tr", command_sent_at_prefix[] = "+4-";
static const char answer_prefix[] = "Deploy No. ";
enum { ANSWER_DIGITS = 12 };

/// Finds the places that the template gives to a field.
static struct workload_field find(const char *template, const char *field) {
    struct workload_field found = {.width = strlen(field)};
    for (const char *place = template; (place = strstr(place, field)) != NULL; place += found.width) {
        if (found.count == WORKLOAD_MAX_PLACES) errx(1, "the template has too many places for %s", field);
        found.places[found.count++] = (size_t)(place - template);
    }
    return found;
}

/// Writes `value` with leading zeros into each place of a field.
static void fill(struct workload *workload, const struct workload_field *field, uint64_t value) {
    char digits[20];
    for (size_t i = field->width; i > 0; i--, value /= 10) digits[i - 1] = (char)('0' + value % 10);
    for (size_t i = 0; i < field->count; i++) memcpy(workload->bytes + field->places[i], digits, field->width);
}

/// Reads `width` decimal digits that follow `prefix`.
static bool read_field(const char *text, size_t length, const char *prefix, size_t width, uint64_t *value) {
    size_t prefix_length = strlen(prefix);
    const char *place = memmem(text, length, prefix, prefix_length);
    if (place == NULL || (size_t)(text + length - place) < prefix_length + width) return false;
    place += prefix_length;
    uint64_t number = 0;
    for (size_t i = 0; i < width; i++) {
        if (place[i] < '0' || place[i] > '9') return false;
        number = 10 * number + (uint64_t)(place[i] - '0');
    }
    *value = number;
    return true;
}

void workload_init(struct workload *workload, enum workload_kind kind, uint16_t port) {
    _Static_assert(sizeof event <= WORKLOAD_MAX_LENGTH, "the template is larger than a workload");
    const char *template = kind == WORKLOAD_EVENT ? event : kind == WORKLOAD_COMMAND ? command : command_form;
    workload->length = strlen(template);
    memcpy(workload->bytes, template, workload->length + 1);
    const char *payload = template, *end = template + workload->length;
    if (kind != WORKLOAD_COMMAND_FORM) {
        payload = strstr(template, payload_key) + strlen(payload_key);
        end = strstr(template, kind == WORKLOAD_EVENT ? event_end : command_end);
    }
    workload->payload = (size_t)(payload - template);
    workload->payload_length = (size_t)(end - payload);
    workload->envelope_id = find(template, ENVELOPE_ID);
    workload->event_id = find(template, EVENT_ID);
    workload->sent_at = find(template, SENT_AT);
    workload->ts = find(template, TS);
    workload->channel = find(template, CHANNEL);
    workload->retry_attempt = find(template, RETRY_ATTEMPT);
    workload_set_retry(workload, false);
    const struct workload_field port_field = find(template, PORT);
    fill(workload, &port_field, port);
}

void workload_set(struct workload *workload, uint64_t sequence, uint64_t sent_at) {
    fill(workload, &workload->envelope_id, sequence);
    fill(workload, &workload->event_id, sequence);
    fill(workload, &workload->sent_at, sent_at);
    fill(workload, &workload->ts, sequence);
    fill(workload, &workload->channel, sequence);
}

void workload_set_retry(struct workload *workload, bool is_retry) {
    fill(workload, &workload->retry_attempt, is_retry ? 1 : 0);
}

bool workload_read_acknowledgement(const char *text, size_t length, uint64_t *sequence) {
    return read_field(text, length, envelope_prefix, strlen(ENVELOPE_ID), sequence);
}

bool workload_is_command(const char *body, size_t length) { return length > 0 && body[0] != '{'; }

bool workload_read_body(const char *body, size_t length, uint64_t *sequence, uint64_t *sent_at) {
    bool is_command = workload_is_command(body, length);
    return read_field(body, length, is_command ? command_prefix : event_prefix, strlen(EVENT_ID), sequence)
        && read_field(
               body, length, is_command ? command_sent_at_prefix : event_sent_at_prefix, strlen(SENT_AT), sent_at);
}

uint64_t workload_backend_time(uint64_t sequence, uint64_t mean) {
    // SplitMix64 (https://prng.di.unimi.it/splitmix64.c) but for its last shift, which changes nothing in the upper half:
    // neighbours get times that have nothing in common.
    uint64_t mixed = sequence * 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mean - mean / 5 + (mixed >> 32) * (2 * mean / 5) / UINT32_MAX;
}

size_t workload_write_answer(char *out, size_t size, uint64_t sequence) {
    return (size_t)snprintf(
        out, size,
        "{\"response_type\":\"ephemeral\",\"text\":\"%s%0*" PRIu64
        " of *orders* to production has begun: <https://ci.example.com/orders/builds/20481|Build 20481>\"}",
        answer_prefix, ANSWER_DIGITS, sequence);
}

bool workload_read_answer(const char *text, size_t length, uint64_t *sequence) {
    return read_field(text, length, answer_prefix, ANSWER_DIGITS, sequence);
}
