/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gatehouse.json's section `vault`. */
#include "base/names.h"
#include "config/internal.h"

#include <limits.h>
#include <string.h>

static bool bind_known(const char *text)
{
    size_t n = strlen(BIND_FILE);

    return strcmp(text, BIND_BOARD_SERIAL) == 0 || strcmp(text, BIND_MACHINE_ID) == 0 ||
           (strncmp(text, BIND_FILE "/", n + 1) == 0 && strlen(text) - n < PATH_MAX);
}

void config_read_vault(struct reader *r, struct value root, struct config_vault *ret)
{
    static const char *const known[] = {"bind", "backup", NULL};
    struct value v, at;
    const char *text;

    if (!reader_object(r, root, "vault", false, &v))
        return;
    reader_known(r, v, known);
    if (reader_string(r, v, "bind", false, &text)) {
        reader_member(r, v, "bind", true, &at);
        if (!bind_known(text))
            reader_mistake(r, at.node,
                           "\"%.64s\" is nothing to bind a vault to; expected \"" BIND_BOARD_SERIAL
                           "\", \"" BIND_MACHINE_ID "\" or \"" BIND_FILE "/PATH\"",
                           text);
        config_copy(r, text, &ret->bind);
    }
    if (reader_string(r, v, "backup", false, &text)) {
        reader_member(r, v, "backup", true, &at);
        if (text[0] != '/' || strlen(text) >= PATH_MAX - NAME_MAX)
            reader_mistake(r, at.node, "\"%.64s\" is not the absolute path of a directory", text);
        config_copy(r, text, &ret->backup);
    }
}
