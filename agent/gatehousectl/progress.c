/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "progress.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAR_MIN 10
#define BAR_MAX 40
#define BAR_AROUND 3 /* brackets and a space */

static void bar(const struct progress *p, const struct terminal *t, size_t width, char *text, size_t size)
{
    uint64_t done = MIN_OF(p->done, p->total);
    size_t full = (size_t)((double)done / (double)p->total * (double)width), n = 0;

    n = (size_t)snprintf(text, size, "[");
    for (size_t i = 0; i < width; i++)
        n += (size_t)snprintf(text + n, size - n, "%s", i < full ? (t->symbols ? "█" : "#") : " ");
    snprintf(text + n, size - n, "] ");
}

const char *progress_text(const struct progress *p, const struct terminal *t, char text[PROGRESS_TEXT_MAX])
{
    size_t width = MIN_OF(t->width > 0 ? t->width - 1 : 79, (size_t)200);
    char words[128], begin[PROGRESS_TEXT_MAX - 256] = "";
    size_t n = (size_t)snprintf(words, sizeof(words), "%" PRIu64 " of %" PRIu64 ", %" PRIu64 " failed", p->done,
                                p->total, p->failed);
    size_t room = width > n + BAR_AROUND ? width - n - BAR_AROUND : 0;

    if (p->total > 0 && room >= BAR_MIN) {
        room = MIN_OF(room, (size_t)BAR_MAX);
        bar(p, t, room, begin, sizeof(begin));
        n += room + BAR_AROUND;
    }
    snprintf(text, PROGRESS_TEXT_MAX, "%s%s%*s", begin, words, (int)(width > n ? width - n : 0), "");
    return text;
}
