/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/kept.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void kept_init(struct kept *k)
{
    *k = (struct kept){.stale = true};
}

void kept_done(struct kept *k)
{
    free(TAKE_PTR(k->text));
    k->dirty = false;
}

int kept_say(struct kept *k, const char *text)
{
    char *copy;

    if (k->stale || (k->text && strcmp(k->text, text) == 0))
        return 0;
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(k->text);
    k->text = copy;
    k->dirty = true;
    return 1;
}

bool kept_may_write(const struct kept *k, uint64_t now, uint64_t interval)
{
    return k->dirty && k->acting == 0 && (k->written == 0 || k->written + interval <= now);
}

void kept_write(struct kept *k, uint64_t now)
{
    k->dirty = false;
    k->written = now;
}

bool kept_unwritten(struct kept *k)
{
    k->dirty = k->text != NULL;
    return k->dirty;
}

void kept_act(struct kept *k)
{
    k->acting++;
}

void kept_acted(struct kept *k, bool done)
{
    k->acting -= k->acting > 0;
    if (!done)
        return;
    kept_done(k);
    k->written = 0;
    k->stale = true;
    k->sending++;
}

uint32_t kept_sending(const struct kept *k)
{
    return k->sending;
}

void kept_taken(struct kept *k, uint32_t sending)
{
    if (sending == k->sending)
        k->stale = false;
}
