/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include "base/utf8.h"

#include <errno.h>
#include <limits.h>

static void tokener_freep(json_tokener **t)
{
    if (*t)
        json_tokener_free(*t);
}

/* Not left to json-c: with its own validation Debian 13's (0.18) refuses every character beyond ASCII. */
static int check_utf8(const char *text, size_t n, struct error *e)
{
    for (size_t i = 0; i < n;) {
        size_t k = utf8_length(text + i, n - i);

        if (k == 0)
            return error_set(e, -EINVAL, "not valid JSON at byte %zu: not UTF-8", i);
        i += k;
    }
    return 0;
}

int json_parse(const char *text, size_t n, json_object **ret, struct error *e)
{
    _cleanup_(tokener_freep) json_tokener *t = json_tokener_new_ex(CONFIG_DEPTH_MAX);
    _cleanup_json_ json_object *o = NULL;
    enum json_tokener_error error;
    int r;

    if (!t)
        return -ENOMEM;
    if (n > INT_MAX - 1)
        return error_set(e, -EFBIG, "JSON of %zu bytes is too long", n);
    r = check_utf8(text, n, e);
    if (r < 0)
        return r;
    json_tokener_set_flags(t, JSON_TOKENER_STRICT);
    o = json_tokener_parse_ex(t, text, (int)n);
    error = json_tokener_get_error(t);
    /* A number at the very end is complete only once something follows it. */
    if (error == json_tokener_continue) {
        o = json_tokener_parse_ex(t, "", 1);
        error = json_tokener_get_error(t);
    }
    if (error != json_tokener_success)
        return error_set(e, -EINVAL, "not valid JSON at byte %zu: %s", json_tokener_get_parse_end(t),
                         json_tokener_error_desc(error));
    *ret = TAKE_PTR(o);
    return 0;
}

const char *json_get_string(json_object *o, const char *key)
{
    json_object *v;

    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
        return NULL;
    return json_object_get_string(v);
}
