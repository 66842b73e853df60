/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A growing text, always NUL-terminated once something was added. Out of memory is kept and told by strbuf_take().
 * The owner calls strbuf_done(). Not for key bytes: what it frees is not wiped. */

#include <stddef.h>

struct strbuf {
    char *text;
    size_t length;
    size_t allocated;
    int failed; /* 0 or -ENOMEM */
};

void strbuf_done(struct strbuf *b);
void strbuf_add(struct strbuf *b, const void *data, size_t n);
void strbuf_puts(struct strbuf *b, const char *text);
void strbuf_printf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As one word of a shell's command line: quoted if anything in it has a meaning there. */
void strbuf_word(struct strbuf *b, const char *word);
/* Hands the text over (never NULL on success) and empties b. */
int strbuf_take(struct strbuf *b, char **ret_text);
