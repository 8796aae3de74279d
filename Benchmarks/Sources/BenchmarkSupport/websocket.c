#include "websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static void apply_mask(uint8_t *bytes, size_t length, const uint8_t key[4]) {
    for (size_t i = 0; i < length; i++) bytes[i] ^= key[i & 3];
}

bool websocket_take(struct buffer *buffer, struct websocket_frame *frame) {
    uint8_t *bytes = (uint8_t *)buffer->bytes + buffer->begin;
    size_t available = buffer_length(buffer), header = 2;
    if (available < header) return false;
    uint64_t length = bytes[1] & 0x7f;
    unsigned length_bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
    bool is_masked = bytes[1] & 0x80;
    header += length_bytes + (is_masked ? 4 : 0);
    if (available < header) return false;
    if (length_bytes > 0) {
        length = 0;
        for (unsigned i = 0; i < length_bytes; i++) length = length << 8 | bytes[2 + i];
    }
    if (available - header < length) return false;
    if (is_masked) apply_mask(bytes + header, length, bytes + header - 4);
    *frame = (struct websocket_frame){bytes[0] & 0x0f, (const char *)bytes + header, length};
    buffer->begin += header + length;
    return true;
}

void websocket_append(
    struct buffer *buffer, enum websocket_opcode opcode, const char *payload, size_t length, bool is_masked) {
    buffer_reserve(buffer, length + 14);
    uint8_t *out = (uint8_t *)buffer_free_space(buffer);
    uint8_t *start = out, mask_bit = is_masked ? 0x80 : 0;
    *out++ = 0x80 | (uint8_t)opcode;
    if (length < 126) {
        *out++ = mask_bit | (uint8_t)length;
    } else if (length < 65536) {
        *out++ = mask_bit | 126;
        *out++ = (uint8_t)(length >> 8);
        *out++ = (uint8_t)length;
    } else {
        *out++ = mask_bit | 127;
        for (int shift = 56; shift >= 0; shift -= 8) *out++ = (uint8_t)((uint64_t)length >> shift);
    }
    if (is_masked) {
        memcpy(out, mask, sizeof mask);
        out += sizeof mask;
    }
    memcpy(out, payload, length);
    if (is_masked) apply_mask(out, length, mask);
    buffer->end += (size_t)(out - start) + length;
}

void websocket_accept_key(const char *key, size_t length, char accept[29]) {
    char text[128];
    int text_length = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)length, key);
    if (text_length >= (int)sizeof text) text_length = sizeof text - 1;
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA1((const uint8_t *)text, (size_t)text_length, digest);
    EVP_EncodeBlock((uint8_t *)accept, digest, sizeof digest);
}
