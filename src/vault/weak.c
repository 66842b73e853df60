/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/weak.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <stdbool.h>
#include <string.h>

#define DISTINCT_MIN 6

/* Words that people, vendors and examples of this field use as keys. Lower case, letters only. */
static const char *const words[] = {
    "abc",       "access",      "admin",     "administrator", "alpha",       "and",        "azerty",
    "bad",       "baseball",    "beef",      "beta",          "cafe",        "change",     "chip",
    "client",    "cloud",       "coap",      "coaps",         "code",        "common",     "connect",
    "correct",   "battery",     "horse",     "staple",        "credential",  "data",       "dead",
    "default",   "demo",        "dev",       "device",        "diag",        "dragon",     "dtls",
    "eclipse",   "edge",        "example",   "face",          "factory",     "feed",       "field",
    "firmware",  "fleet",       "flower",    "foo",           "bar",         "baz",        "football",
    "for",       "gate",        "gatehouse", "gateway",       "golioth",     "guest",      "hello",
    "hono",      "house",       "hub",       "identity",      "in",          "internet",   "iot",
    "is",        "it",          "key",       "leshan",        "letmein",     "login",      "love",
    "main",      "master",      "me",        "modbus",        "monkey",      "mosquitto",  "mqtt",
    "mqtts",     "my",          "network",   "node",          "not",         "of",         "office",
    "open",      "pa",          "pass",      "passphrase",    "passwd",      "passw",      "password",
    "pi",        "pre",         "private",   "prod",          "product",     "production", "project",
    "psk",       "public",      "pw",        "qwerty",        "qwertyuiop",  "qwertz",     "random",
    "raspberry", "raspberrypi", "raspbian",  "root",          "sample",      "secret",     "secure",
    "security",  "sensor",      "server",    "service",       "sesame",      "shadow",     "shared",
    "sunshine",  "super",       "system",    "temp",          "temperature", "test",       "tester",
    "testing",   "the",         "thing",     "things",        "thingsboard", "this",       "tls",
    "to",        "token",       "user",      "username",      "vault",       "welcome",    "wifi",
    "word",      "world",       "you",       "your",          "zephyr",
};

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool repeated(const uint8_t *key, size_t n)
{
    for (size_t period = 1; period <= n / 2; period++)
        if (memcmp(key, key + period, n - period) == 0)
            return true;
    return false;
}

static bool few_values(const uint8_t *key, size_t n)
{
    bool seen[256] = {false};
    size_t distinct = 0;

    for (size_t i = 0; i < n; i++) {
        distinct += !seen[key[i]];
        seen[key[i]] = true;
    }
    return distinct < DISTINCT_MIN;
}

/* A constant step, or counting digits that wrap at 10. */
static bool sequential(const uint8_t *key, size_t n)
{
    bool step = true, digits = true;

    for (size_t i = 1; i < n && (step || digits); i++) {
        step = step && (uint8_t)(key[i] - key[i - 1]) == (uint8_t)(key[1] - key[0]);
        digits = digits && key[i] >= '0' && key[i] <= '9' &&
                 (key[i] == key[i - 1] + 1 || (key[i] == '0' && key[i - 1] == '9'));
    }
    return step || digits;
}

/* Whether letters[0..n) is nothing but words. */
static bool only_words(const char *letters, size_t n)
{
    bool reachable[KEY_MAX + 1] = {true};

    for (size_t at = 0; at < n; at++)
        for (size_t i = 0; reachable[at] && i < ELEMENTSOF(words); i++) {
            size_t k = strlen(words[i]);

            if (k <= n - at && memcmp(letters + at, words[i], k) == 0)
                reachable[at + k] = true;
        }
    return reachable[n];
}

/* Words in any case, whatever digits and signs stand between and after them. */
static bool dictionary(const uint8_t *key, size_t n)
{
    char letters[KEY_MAX];
    size_t n_letters = 0;
    bool weak;

    for (size_t i = 0; i < n; i++) {
        if (key[i] < 0x20 || key[i] > 0x7e)
            return false;
        if (is_letter(key[i]))
            letters[n_letters++] = (char)(key[i] | 0x20);
    }
    /* Fewer letters than half could be chance among random digits and signs. */
    weak = n_letters >= n / 2 && only_words(letters, n_letters);
    explicit_bzero(letters, sizeof(letters));
    return weak;
}

static const char *pattern(const uint8_t *key, size_t n)
{
    if (repeated(key, n))
        return "a pattern repeated";
    if (few_values(key, n))
        return "too few different bytes";
    if (sequential(key, n))
        return "a sequence";
    return NULL;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Text of hex digits is looked at as the bytes that it spells, too. */
static const char *hex_pattern(const uint8_t *key, size_t n)
{
    uint8_t bytes[KEY_MAX / 2];
    const char *reason;

    if (n % 2 != 0)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (hex_digit(key[i]) < 0)
            return NULL;
    for (size_t i = 0; i < n / 2; i++)
        bytes[i] = (uint8_t)(hex_digit(key[2 * i]) << 4 | hex_digit(key[2 * i + 1]));
    reason = repeated(bytes, n / 2) || sequential(bytes, n / 2) ? "a pattern in hex" : NULL;
    explicit_bzero(bytes, sizeof(bytes));
    return reason;
}

const char *weak_key(const uint8_t *key, size_t n)
{
    const char *reason;

    if (n < 2 || n > KEY_MAX)
        return "of no usable length";
    reason = pattern(key, n);
    if (!reason)
        reason = hex_pattern(key, n);
    if (!reason && dictionary(key, n))
        reason = "words from a dictionary";
    return reason;
}
