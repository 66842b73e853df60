/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum field { TEXT, OPAQUE, DEVICE, NUMBER, FIELDS };

static const char *const fields[FIELDS] = {[OPAQUE] = "{opaque}", [DEVICE] = "{device}", [NUMBER] = "{n}"};

/* The field at the head of `template`, and its length. -EINVAL: a brace that opens no known field. */
static int next_field(const char *template, enum field *ret, size_t *ret_length)
{
    for (enum field f = OPAQUE; f < FIELDS; f++)
        if (strncmp(template, fields[f], strlen(fields[f])) == 0) {
            *ret = f;
            *ret_length = strlen(fields[f]);
            return 0;
        }
    if (template[0] == '{' || template[0] == '}')
        return -EINVAL;
    *ret = TEXT;
    *ret_length = 1;
    return 0;
}

bool identity_template_tells(const char *template)
{
    return strstr(template, fields[DEVICE]) != NULL;
}

int identity_make(const char *template, const char *opaque, const char *device, uint64_t n,
                  char ret_identity[IDENTITY_MAX + 1])
{
    char number[IDENTITY_NUMBER_LENGTH + 1], identity[IDENTITY_MAX + 1];
    size_t length = 0, taken;

    snprintf(number, sizeof(number), "%" PRIu64, n);
    for (const char *p = template; *p; p += taken) {
        const char *text = p;
        size_t size = 1;
        enum field f;

        if (next_field(p, &f, &taken) < 0)
            return -EINVAL;
        if (f != TEXT) {
            text = f == OPAQUE ? opaque : f == DEVICE ? device : number;
            size = strlen(text);
        }
        if (size > IDENTITY_MAX - length)
            return -E2BIG;
        memcpy(identity + length, text, size);
        length += size;
    }
    if (length == 0)
        return -EINVAL;
    identity[length] = 0;
    memcpy(ret_identity, identity, length + 1);
    return 0;
}
