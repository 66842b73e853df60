/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/strbuf.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHELL_PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+-/@,=%"

void strbuf_done(struct strbuf *b)
{
    free(b->text);
    *b = (struct strbuf){0};
}

static int reserve(struct strbuf *b, size_t more)
{
    size_t want = b->length + more + 1;
    char *p;

    if (b->failed)
        return b->failed;
    if (want <= b->allocated)
        return 0;
    want = MAX_OF(want, b->allocated * 2);
    want = MAX_OF(want, (size_t)64);
    p = realloc(b->text, want);
    if (!p)
        return b->failed = -ENOMEM;
    b->text = p;
    b->allocated = want;
    return 0;
}

void strbuf_add(struct strbuf *b, const void *data, size_t n)
{
    if (reserve(b, n) < 0)
        return;
    if (n > 0)
        memcpy(b->text + b->length, data, n);
    b->length += n;
    b->text[b->length] = 0;
}

void strbuf_puts(struct strbuf *b, const char *text)
{
    strbuf_add(b, text, strlen(text));
}

void strbuf_printf(struct strbuf *b, const char *format, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, format);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n < 0)
        b->failed = -ENOMEM;
    else if (reserve(b, (size_t)n) >= 0) {
        vsnprintf(b->text + b->length, (size_t)n + 1, format, again);
        b->length += (size_t)n;
    }
    va_end(again);
}

void strbuf_word(struct strbuf *b, const char *word)
{
    if (word[0] && word[strspn(word, SHELL_PLAIN)] == 0) {
        strbuf_puts(b, word);
        return;
    }
    strbuf_puts(b, "'");
    for (const char *quote; (quote = strchr(word, '\'')); word = quote + 1) {
        strbuf_add(b, word, (size_t)(quote - word));
        strbuf_puts(b, "'\\''");
    }
    strbuf_puts(b, word);
    strbuf_puts(b, "'");
}

int strbuf_take(struct strbuf *b, char **ret_text)
{
    int r = reserve(b, 0);

    if (r < 0) {
        strbuf_done(b);
        return r;
    }
    b->text[b->length] = 0;
    *ret_text = b->text;
    *b = (struct strbuf){0};
    return 0;
}
