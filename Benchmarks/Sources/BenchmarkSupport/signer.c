#include "signer.h"

#include <err.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct signer {
    EVP_MAC_CTX *context;
};

struct signer *signer_create(const char *secret) {
    struct signer *signer = malloc(sizeof *signer);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    if (signer == NULL || mac == NULL || (signer->context = EVP_MAC_CTX_new(mac)) == NULL
        || !EVP_MAC_init(signer->context, (const uint8_t *)secret, strlen(secret), parameters)) {
        errx(1, "libcrypto has no HMAC with SHA256");
    }
    EVP_MAC_free(mac);
    return signer;
}

void signer_sign(
    struct signer *signer, const char *timestamp, size_t timestamp_length, const char *body, size_t length, char *out) {
    uint8_t digest[32];
    size_t digest_length = 0;
    // Without a key: starts anew with the one that is set.
    EVP_MAC_init(signer->context, NULL, 0, NULL);
    EVP_MAC_update(signer->context, (const uint8_t *)"v0:", 3);
    EVP_MAC_update(signer->context, (const uint8_t *)timestamp, timestamp_length);
    EVP_MAC_update(signer->context, (const uint8_t *)":", 1);
    EVP_MAC_update(signer->context, (const uint8_t *)body, length);
    EVP_MAC_final(signer->context, digest, &digest_length, sizeof digest);
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "v0=", 3);
    for (size_t i = 0; i < sizeof digest; i++) {
        out[3 + 2 * i] = digits[digest[i] >> 4];
        out[4 + 2 * i] = digits[digest[i] & 15];
    }
}
