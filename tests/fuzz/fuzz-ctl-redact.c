/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The redaction of a support bundle: of any text nothing is left that a terminal would act on, and a key that stands
 * in the middle of it is taken out, in each of the forms that are printed. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "redact.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *redacted(const char *text, size_t n)
{
    struct strbuf b = {0};
    char *ret;

    redact(text, n, &b);
    strbuf_puts(&b, "");
    if (strbuf_take(&b, &ret) < 0)
        abort();
    for (const char *c = ret; *c; c++)
        if (!isprint((unsigned char)*c) && *c != '\n' && *c != '\t')
            abort();
    return ret;
}

/* Amid the text, with a blank on both sides: what a key is glued to may be the rest of another word. */
static void plant(const char *text, size_t n, size_t at, const char *key)
{
    _cleanup_free_ char *found = NULL;
    struct strbuf b = {0};
    size_t length = n + strlen(key) + 2;
    char *whole;

    strbuf_add(&b, text, at);
    strbuf_puts(&b, " ");
    strbuf_puts(&b, key);
    strbuf_puts(&b, " ");
    strbuf_add(&b, text + at, n - at);
    if (strbuf_take(&b, &whole) < 0)
        abort();
    found = redacted(whole, length);
    free(whole);
    if (strstr(found, key))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char hex[HEX_SIZE(KEY_SIZE)], base64[BASE64_SIZE(KEY_SIZE)];
    uint8_t key[KEY_SIZE];
    const char *text;
    size_t at;

    if (size < 1)
        return 0;
    for (size_t i = 0; i < KEY_SIZE; i++)
        key[i] = (uint8_t)(31 + 77 * i);
    hex_encode(key, sizeof(key), hex);
    base64_encode(key, sizeof(key), base64);
    at = data[0] % size;
    text = (const char *)data + 1;
    free(redacted(text, size - 1));
    plant(text, size - 1, at, hex);
    plant(text, size - 1, at, base64);
    return 0;
}
