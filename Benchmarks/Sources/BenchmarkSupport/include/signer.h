// Slack's v0 signature: HMAC-SHA256 over "v0:<timestamp>:<body>".
#pragma once

#include <stddef.h>

/// "v0=" and 64 hexadecimal digits.
enum { SIGNATURE_LENGTH = 67 };

struct signer;

/// Keyed once; ends the process when libcrypto refuses.
struct signer *signer_create(const char *secret);

/// Writes SIGNATURE_LENGTH characters, without a NUL.
void signer_sign(
    struct signer *signer, const char *timestamp, size_t timestamp_length, const char *body, size_t length, char *out);
