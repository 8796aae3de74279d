// What Relay uses of libcrypto: HMAC, Ed25519, base64, random bytes, constant-time comparison.
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
