/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OPAQUE_LENGTH 10
#define NUMBER_LENGTH 20 /* of UINT64_MAX */

enum field { TEXT, OPAQUE, DEVICE, NUMBER, FIELDS };

static const struct {
    const char *text;
    size_t longest;
} fields[FIELDS] = {
    [OPAQUE] = {"{opaque}", OPAQUE_LENGTH},
    [DEVICE] = {"{device}", DEVICE_ID_MAX},
    [NUMBER] = {"{n}", NUMBER_LENGTH},
};

/* What stands at the head of `template`, and how long it is there. -EINVAL: a brace that opens no known field. */
static int next_field(const char *template, enum field *ret, size_t *ret_length)
{
    for (enum field f = OPAQUE; f < FIELDS; f++)
        if (strncmp(template, fields[f].text, strlen(fields[f].text)) == 0) {
            *ret = f;
            *ret_length = strlen(fields[f].text);
            return 0;
        }
    if (template[0] == '{' || template[0] == '}')
        return -EINVAL;
    *ret = TEXT;
    *ret_length = 1;
    return 0;
}

int identity_template_check(const char *template, bool replaces, struct error *e)
{
    size_t count[FIELDS] = {0}, length = 0, n;

    for (const char *p = template; *p; p += n) {
        enum field f;

        if (next_field(p, &f, &n) < 0)
            return error_set(e, -EINVAL, "'%s' is not one of {opaque}, {device}, {n}", p);
        if (f == TEXT && (*p < 0x20 || *p > 0x7e))
            return error_set(e, -EINVAL, "only printable ASCII may stand in an identity");
        count[f]++;
        length += f == TEXT ? 1 : fields[f].longest;
    }
    if (count[OPAQUE] + count[DEVICE] == 0)
        return error_set(e, -EINVAL, "without {opaque} or {device} all devices would have one identity");
    if (replaces && count[NUMBER] > 0)
        return error_set(e, -EINVAL,
                         "where a new key replaces the old one, the identity stays the same: {n} must not stand in it");
    if (!replaces && count[NUMBER] == 0)
        return error_set(e, -EINVAL, "{n} is missing: the two keys of a device need two identities");
    if (length > IDENTITY_MAX)
        return error_set(e, -EINVAL, "it can become %zu bytes long, at most %d are allowed", length, IDENTITY_MAX);
    return 0;
}

bool identity_template_tells(const char *template)
{
    return strstr(template, fields[DEVICE].text) != NULL;
}

int identity_make(const char *template, const char *opaque, const char *device, uint64_t n,
                  char ret_identity[IDENTITY_MAX + 1])
{
    char number[NUMBER_LENGTH + 1], identity[IDENTITY_MAX + 1];
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
