/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *e, int r, const char *format, ...)
{
    va_list ap;

    if (!e)
        return r;
    va_start(ap, format);
    vsnprintf(e->text, sizeof(e->text), format, ap);
    va_end(ap);
    text_trim(e->text);
    return r;
}

int error_prefix(struct error *e, int r, const char *format, ...)
{
    char old[sizeof(e->text)];
    size_t n;
    va_list ap;

    if (!e)
        return r;
    memcpy(old, e->text, sizeof(old));
    va_start(ap, format);
    vsnprintf(e->text, sizeof(e->text), format, ap);
    va_end(ap);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof(e->text) - n, ": %s", old);
    text_trim(e->text);
    return r;
}

int error_errno(struct error *e, int r, const char *format, ...)
{
    size_t n;
    va_list ap;

    if (!e)
        return r;
    va_start(ap, format);
    vsnprintf(e->text, sizeof(e->text), format, ap);
    va_end(ap);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerrordesc_np(-r) ?: "unknown error");
    text_trim(e->text);
    return r;
}
