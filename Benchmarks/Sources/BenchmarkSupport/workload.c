#include "workload.h"

#include <err.h>
#include <string.h>

// Filled in for each envelope: runs of one character that stands nowhere else in the template.
#define ENVELOPE_ID "@@@@@@@@@@@@"
#define EVENT_ID "^^^^^^^^^^^"
#define SENT_AT "~~~~~~~~~~~~~~~~~~~"
#define TS "######"
#define CHANNEL "&&"

#define TEXT                                                                                                          \
    "The deploy of *orders* to production has finished: 14 pods replaced in 3 min 12 s, no failed requests. "         \
    "<https:\\/\\/ci.example.com\\/orders\\/builds\\/20481|Build 20481> \\u00b7 please watch the error rate for the " \
    "next half hour and roll back with `\\/rollback orders` when it rises above 0.1 %."

static const char template[] =
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
    ",\"type\":\"events_api\",\"accepts_response_payload\":false,\"retry_attempt\":0,\"retry_reason\":\"\"}";

static const char payload_key[] = "\"payload\":";
static const char payload_end[] = ",\"type\":\"events_api\"";

// What stands before the values that are read back. Values only: a peer that writes its JSON anew keeps them.
static const char envelope_prefix[] = "6f1d2c3b-8a4e-4c5d-9b7f-";
static const char event_prefix[] = "\"Ev";
static const char sent_at_prefix[] = "\"4-";

/// Finds the places that the template gives to a field.
static struct workload_field find(const char *field) {
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

void workload_init(struct workload *workload) {
    _Static_assert(sizeof template <= WORKLOAD_MAX_LENGTH, "the template is larger than a workload");
    workload->length = sizeof template - 1;
    memcpy(workload->bytes, template, sizeof template);
    const char *payload = strstr(template, payload_key), *end = strstr(template, payload_end);
    if (payload == NULL || end == NULL) errx(1, "the template has no payload");
    workload->payload = (size_t)(payload - template) + strlen(payload_key);
    workload->payload_length = (size_t)(end - template) - workload->payload;
    workload->envelope_id = find(ENVELOPE_ID);
    workload->event_id = find(EVENT_ID);
    workload->sent_at = find(SENT_AT);
    workload->ts = find(TS);
    workload->channel = find(CHANNEL);
}

void workload_set(struct workload *workload, uint64_t sequence, uint64_t sent_at) {
    fill(workload, &workload->envelope_id, sequence);
    fill(workload, &workload->event_id, sequence);
    fill(workload, &workload->sent_at, sent_at);
    fill(workload, &workload->ts, sequence);
    fill(workload, &workload->channel, sequence);
}

bool workload_read_acknowledgement(const char *text, size_t length, uint64_t *sequence) {
    return read_field(text, length, envelope_prefix, strlen(ENVELOPE_ID), sequence);
}

bool workload_read_payload(const char *payload, size_t length, uint64_t *sequence, uint64_t *sent_at) {
    return read_field(payload, length, event_prefix, strlen(EVENT_ID), sequence)
        && read_field(payload, length, sent_at_prefix, strlen(SENT_AT), sent_at);
}
