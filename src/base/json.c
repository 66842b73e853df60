/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

#include "base/strbuf.h"
#include "base/utf8.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>

static void tokener_freep(json_tokener **t)
{
    if (*t)
        json_tokener_free(*t);
}

static void put_escaped(struct strbuf *b, const char *text, size_t n)
{
    static const unsigned char head[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned code = (unsigned char)text[0] & head[n];

    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    if (code < 0x10000)
        strbuf_printf(b, "\\u%04x", code);
    else
        strbuf_printf(b, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
}

/* Characters beyond ASCII are not left to json-c: Debian 13's (0.18) refuses them all where char is signed, by its
 * strict mode and by its own validation of UTF-8. *ret stays NULL if there are none. */
static int escape(const char *text, size_t n, char **ret, size_t *ret_size, struct error *e)
{
    _cleanup_(strbuf_done) struct strbuf b = {0};
    bool beyond_ascii = false;

    for (size_t i = 0; i < n;) {
        size_t k = utf8_length(text + i, n - i);

        if (k == 0)
            return error_set(e, -EINVAL, "not valid JSON at byte %zu: not UTF-8", i);
        if (k > 1 && !beyond_ascii)
            strbuf_add(&b, text, i);
        beyond_ascii |= k > 1;
        if (k > 1)
            put_escaped(&b, text + i, k);
        else if (beyond_ascii)
            strbuf_add(&b, text + i, 1);
        i += k;
    }
    if (!beyond_ascii)
        return 0;
    *ret_size = b.length;
    return strbuf_take(&b, ret);
}

int json_parse(const char *text, size_t n, json_object **ret, struct error *e)
{
    _cleanup_(tokener_freep) json_tokener *t = json_tokener_new_ex(CONFIG_DEPTH_MAX);
    _cleanup_json_ json_object *o = NULL;
    _cleanup_free_ char *escaped = NULL;
    enum json_tokener_error error;
    int r;

    if (!t)
        return -ENOMEM;
    if (n > INT_MAX - 1)
        return error_set(e, -EFBIG, "JSON of %zu bytes is too long", n);
    r = escape(text, n, &escaped, &n, e);
    if (r < 0)
        return r;
    text = escaped ?: text;
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

json_object *json_of_value(const struct sample_value *v)
{
    switch (v->type) {
    case SAMPLE_BOOL:
        return json_object_new_boolean(v->b);
    case SAMPLE_INT:
        return json_object_new_int64(v->x);
    case SAMPLE_UINT:
        return json_object_new_uint64(v->t);
    case SAMPLE_DOUBLE:
        return json_object_new_double(v->d);
    case SAMPLE_STRING:
        return json_object_new_string(v->s);
    }
    return NULL;
}
