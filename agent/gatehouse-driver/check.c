/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void complain(void *context, const char *pointer, const char *message)
{
    json_object *pair = json_object_new_array();

    json_object_array_add(pair, json_object_new_string(pointer));
    json_object_array_add(pair, json_object_new_string(message));
    json_object_array_add(context, pair);
}

static int check_line(struct driver *d, const char *line, size_t size, json_object *complaints, struct error *e)
{
    _cleanup_free_ struct gatehouse_point *points = NULL;
    _cleanup_json_ json_object *both = NULL;
    json_object *section, *object;
    struct error bad = {""};
    size_t n = 0;
    int r = json_parse(line, size, &both, e);

    if (r < 0)
        return r;
    if (!json_object_object_get_ex(both, "section", &section) || !json_object_object_get_ex(both, "points", &object))
        return error_set(e, -EINVAL, "expected an object with section and points");
    if (points_from_json(object, &points, &n, &bad) < 0) {
        char *colon = strstr(bad.text, ": ");

        if (colon)
            *colon = 0;
        complain(complaints, bad.text, colon ? colon + 2 : "bad");
        return 0;
    }
    if (d->plugin.p.config_check)
        r = d->plugin.p.config_check(json_object_to_json_string_ext(section, JSON_C_TO_STRING_PLAIN), points, n,
                                     complain, complaints);
    return r < 0 ? error_errno(e, r, "the plugin could not look at the configuration") : 0;
}

int check_lines(struct driver *d, FILE *in, FILE *out, struct error *e)
{
    _cleanup_free_ char *line = NULL;
    size_t allocated = 0;
    ssize_t n;
    int r = 0;

    while (r >= 0 && (n = getline(&line, &allocated, in)) > 0) {
        _cleanup_json_ json_object *complaints = json_object_new_array();

        r = check_line(d, line, (size_t)n, complaints, e);
        if (r >= 0)
            fprintf(out, "%s\n", json_object_to_json_string_ext(complaints, JSON_C_TO_STRING_PLAIN));
    }
    if (r >= 0 && (fflush(out) != 0 || ferror(in)))
        r = error_errno(e, -EIO, "cannot write what the plugin says");
    return r;
}
