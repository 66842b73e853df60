/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/mistakes.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

static void mistake_done(struct mistake *m)
{
    free(m->file);
    free(m->device);
    free(m->text);
}

void mistakes_done(struct mistakes *m)
{
    for (size_t i = 0; i < m->n; i++)
        mistake_done(&m->list[i]);
    free(m->list);
    *m = (struct mistakes){0};
}

/* Room for one more, doubling. */
static int reserve(struct mistakes *m)
{
    struct mistake *list;

    if (m->n > 0 && (m->n & (m->n - 1)) != 0)
        return 0;
    list = reallocarray(m->list, m->n == 0 ? 1 : m->n * 2, sizeof(*list));
    if (!list)
        return -ENOMEM;
    m->list = list;
    return 0;
}

void mistakes_addv(struct mistakes *m, const char *file, unsigned line, unsigned column, const char *device,
                   const char *format, va_list ap)
{
    struct mistake mistake = {.line = line, .column = column};

    m->n_all++;
    if (m->n >= MISTAKES_MAX)
        return;
    if (vasprintf(&mistake.text, format, ap) < 0)
        mistake.text = NULL;
    mistake.file = strdup(file);
    mistake.device = device ? strdup(device) : NULL;
    if (!mistake.text || !mistake.file || (device && !mistake.device) || reserve(m) < 0) {
        mistake_done(&mistake);
        m->failed = -ENOMEM;
        return;
    }
    m->list[m->n++] = mistake;
}

void mistakes_add(struct mistakes *m, const char *file, unsigned line, unsigned column, const char *device,
                  const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    mistakes_addv(m, file, line, column, device, format, ap);
    va_end(ap);
}

void mistake_format(const struct mistake *mistake, char *text, size_t size)
{
    if (mistake->line > 0)
        snprintf(text, size, "%s:%u:%u: %s", mistake->file, mistake->line, mistake->column, mistake->text);
    else
        snprintf(text, size, "%s: %s", mistake->file, mistake->text);
}

int mistakes_format(const struct mistakes *m, char **ret_text)
{
    struct strbuf b = {0};
    char line[MISTAKE_TEXT_MAX];

    for (size_t i = 0; i < m->n; i++) {
        mistake_format(&m->list[i], line, sizeof(line));
        strbuf_printf(&b, "%s%s", i > 0 ? "\n" : "", line);
    }
    if (m->n_all > m->n)
        strbuf_printf(&b, "%s... and %zu more", m->n > 0 ? "\n" : "", m->n_all - m->n);
    return strbuf_take(&b, ret_text);
}
