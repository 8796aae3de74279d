// What Relay uses of libcrypto: HMAC, random bytes, constant-time comparison.
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
