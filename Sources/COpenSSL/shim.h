// What Relay uses of libcrypto: HMAC, random bytes, constant-time comparison.
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
