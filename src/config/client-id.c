/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/client-id.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <string.h>

#define TELLING 3 /* so many of these words tell devices apart */

static const char *const words[] = {"{device}", "{opaque}", "{hardware_id}", "{gateway}"};

/* Which word the text begins with; ELEMENTSOF(words) for none. */
static size_t word_at(const char *at)
{
    size_t i = 0;

    while (i < ELEMENTSOF(words) && strncmp(at, words[i], strlen(words[i])) != 0)
        i++;
    return i;
}

const char *client_id_fault(const char *text)
{
    bool seen = false;

    if (strlen(text) > CLIENT_ID_TEMPLATE_MAX)
        return "is too long";
    while (*text) {
        size_t i = word_at(text);

        if (i < ELEMENTSOF(words)) {
            seen = seen || i < TELLING;
            text += strlen(words[i]);
            continue;
        }
        if (strncmp(text, "{n}", 3) == 0)
            return "has {n}, but a client id stays the same when the key and its identity change";
        if (*text == '{' || *text == '}')
            return "has a brace that does not belong to {device}, {opaque}, {hardware_id} or {gateway}";
        if (*text <= 0x20 || *text == 0x7f || strchr("+#\"\\", *text))
            return "has a character that brokers do not take in a client id; expected printable ASCII without + # \" \\";
        text++;
    }
    return seen ? NULL : "has no {device}, {opaque} or {hardware_id}, so all devices would have the same client id";
}

int client_id_make(const char *text, const char *device, const char *opaque, const char *hardware_id,
                   const char *gateway, char **ret)
{
    const char *const texts[] = {device, opaque, hardware_id, gateway};
    struct strbuf b = {0};

    while (*text) {
        size_t i = word_at(text);

        if (i < ELEMENTSOF(words)) {
            strbuf_puts(&b, texts[i]);
            text += strlen(words[i]);
        } else {
            strbuf_add(&b, text++, 1);
        }
    }
    return strbuf_take(&b, ret);
}
