/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "payload/cbor.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/strbuf.h"
#include "base/utf8.h"

#include <cbor.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX (CONFIG_DEPTH_MAX - 1) /* as in JSON */

/* libcbor has had both for the sizes that it hands over. */
typedef __typeof__(__builtin_choose_expr(
    __builtin_types_compatible_p(cbor_collection_callback, void (*)(void *, size_t)), (size_t)0,
    (uint64_t)0)) cbor_size;

/* An array or map that is not complete. */
struct level {
    json_object *container; /* its holder's */
    bool definite;
    uint64_t left; /* items, of a definite one; a map's key and value are two */
    char *key;     /* of a map: the one whose value comes next, or NULL */
};

struct parser {
    json_object *root;
    bool complete;
    struct level levels[DEPTH_MAX];
    size_t depth;
    unsigned containers;
    enum { WHOLE, TEXT_IN_CHUNKS, BYTES_IN_CHUNKS } strings;
    struct strbuf text; /* TEXT_IN_CHUNKS: so far */
    size_t n;           /* bytes of the message */
    int failed;
    struct error *e; /* has words once it failed with -EBADMSG */
};

static void fail(struct parser *c, int r, const char *words)
{
    if (c->failed == 0)
        c->failed = r == -EBADMSG ? error_set(c->e, r, "%s", words) : r;
}

/* ---- The tree ---- */

static struct level *top(struct parser *c)
{
    return c->depth > 0 ? &c->levels[c->depth - 1] : NULL;
}

/* Leaves what is complete. */
static void settle(struct parser *c)
{
    while (c->depth > 0 && top(c)->definite && top(c)->left == 0)
        c->depth--;
    c->complete = c->depth == 0;
}

static void put_key(struct parser *c, struct level *l, json_object *o)
{
    if (!json_object_is_type(o, json_type_string) && !json_object_is_type(o, json_type_int))
        fail(c, -EBADMSG, "a key that is neither a text nor a whole number");
    else if (json_object_object_get_ex(l->container, json_object_get_string(o), NULL))
        fail(c, -EBADMSG, "a key is here twice");
    else {
        l->key = strdup(json_object_get_string(o) ?: "");
        if (!l->key)
            fail(c, -ENOMEM, "");
    }
    json_object_put(o);
}

static void put_value(struct parser *c, struct level *l, json_object *o)
{
    int r = l->key ? json_object_object_add(l->container, l->key, o) : json_object_array_add(l->container, o);

    free(l->key);
    l->key = NULL;
    if (r < 0) {
        json_object_put(o);
        fail(c, -ENOMEM, "");
    }
}

/* An item, which it takes; NULL is a null. */
static void put(struct parser *c, json_object *o)
{
    struct level *l = top(c);

    if (c->strings != WHOLE)
        fail(c, -EBADMSG, "something other than a chunk within a string that comes in chunks");
    if (c->failed < 0) {
        json_object_put(o);
        return;
    }
    if (!l)
        c->root = o;
    else if (json_object_is_type(l->container, json_type_object) && !l->key)
        put_key(c, l, o);
    else
        put_value(c, l, o);
    if (l && l->definite)
        l->left--;
}

static void put_made(struct parser *c, json_object *o)
{
    if (!o)
        fail(c, -ENOMEM, "");
    put(c, o);
    settle(c);
}

static void put_null(struct parser *c)
{
    put(c, NULL);
    settle(c);
}

static void open_level(struct parser *c, json_object *container, bool definite, uint64_t items)
{
    if (!container)
        fail(c, -ENOMEM, "");
    else if (c->depth == DEPTH_MAX)
        fail(c, -EBADMSG, "nested more deeply than a command may be");
    else if (++c->containers > COMMAND_CONTAINERS_MAX)
        fail(c, -EBADMSG, "more arrays and maps than commands may have");
    else if (definite && items > c->n)
        fail(c, -EBADMSG, "an array or map claims more than the message has");
    put(c, container);
    if (c->failed < 0)
        return;
    c->levels[c->depth++] = (struct level){.container = container, .definite = definite, .left = items};
    settle(c);
}

/* ---- Texts ---- */

static void put_text(struct parser *c, const char *text, size_t n)
{
    for (size_t i = 0, k; i < n; i += k) {
        k = utf8_length(text + i, n - i);
        if (k == 0)
            fail(c, -EBADMSG, "a text is not UTF-8");
        else if (!text[i])
            fail(c, -EBADMSG, "a text has a NUL");
        if (c->failed < 0)
            return;
    }
    put_made(c, json_object_new_string_len(text, (int)n));
}

static void on_string(void *userdata, cbor_data data, cbor_size n)
{
    struct parser *c = userdata;

    if (c->strings == TEXT_IN_CHUNKS)
        strbuf_add(&c->text, data, n);
    else
        put_text(c, (const char *)data, n);
}

static void on_string_start(void *userdata)
{
    struct parser *c = userdata;

    if (c->strings != WHOLE)
        fail(c, -EBADMSG, "a string in chunks within another");
    c->strings = TEXT_IN_CHUNKS;
}

static void on_bytes(void *userdata, cbor_data data, cbor_size n)
{
    struct parser *c = userdata;

    if (c->strings != BYTES_IN_CHUNKS)
        put_null(c);
}

static void on_bytes_start(void *userdata)
{
    struct parser *c = userdata;

    if (c->strings != WHOLE)
        fail(c, -EBADMSG, "a string in chunks within another");
    c->strings = BYTES_IN_CHUNKS;
}

static void end_chunks(struct parser *c)
{
    bool text = c->strings == TEXT_IN_CHUNKS;

    c->strings = WHOLE;
    if (c->text.failed < 0)
        fail(c, c->text.failed, "");
    else if (text)
        put_text(c, c->text.text ?: "", c->text.length);
    else
        put_null(c);
    strbuf_done(&c->text);
}

/* ---- What libcbor finds ---- */

static void on_break(void *userdata)
{
    struct parser *c = userdata;
    struct level *l = top(c);

    if (c->strings != WHOLE) {
        end_chunks(c);
        return;
    }
    if (!l || l->definite || l->key) {
        fail(c, -EBADMSG, "an end of what has not begun, or of half a pair");
        return;
    }
    c->depth--;
    settle(c);
}

static void put_uint(struct parser *c, uint64_t value)
{
    put_made(c, value > INT64_MAX ? json_object_new_uint64(value) : json_object_new_int64((int64_t)value));
}

/* CBOR has the number as -1 - value. */
static void put_negative(struct parser *c, uint64_t value)
{
    put_made(c, value > INT64_MAX ? json_object_new_double(-1.0 - (double)value)
                                  : json_object_new_int64(-1 - (int64_t)value));
}

static void put_double(struct parser *c, double value)
{
    if (isfinite(value))
        put_made(c, json_object_new_double(value));
    else
        put_null(c);
}

static void on_uint8(void *userdata, uint8_t value)
{
    put_uint(userdata, value);
}

static void on_uint16(void *userdata, uint16_t value)
{
    put_uint(userdata, value);
}

static void on_uint32(void *userdata, uint32_t value)
{
    put_uint(userdata, value);
}

static void on_uint64(void *userdata, uint64_t value)
{
    put_uint(userdata, value);
}

static void on_negative8(void *userdata, uint8_t value)
{
    put_negative(userdata, value);
}

static void on_negative16(void *userdata, uint16_t value)
{
    put_negative(userdata, value);
}

static void on_negative32(void *userdata, uint32_t value)
{
    put_negative(userdata, value);
}

static void on_negative64(void *userdata, uint64_t value)
{
    put_negative(userdata, value);
}

static void on_float(void *userdata, float value)
{
    put_double(userdata, value);
}

static void on_double(void *userdata, double value)
{
    put_double(userdata, value);
}

static void on_bool(void *userdata, bool value)
{
    put_made(userdata, json_object_new_boolean(value));
}

static void on_null(void *userdata)
{
    put_null(userdata);
}

static void on_tag(void *userdata, uint64_t value) {}

static void on_array(void *userdata, cbor_size n)
{
    open_level(userdata, json_object_new_array(), true, n);
}

static void on_array_start(void *userdata)
{
    open_level(userdata, json_object_new_array(), false, 0);
}

/* Twice more than the message has is more, too. */
static void on_map(void *userdata, cbor_size n)
{
    open_level(userdata, json_object_new_object(), true, n > UINT32_MAX ? UINT64_MAX : (uint64_t)n * 2);
}

static void on_map_start(void *userdata)
{
    open_level(userdata, json_object_new_object(), false, 0);
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negative8,
    .negint16 = on_negative16,
    .negint32 = on_negative32,
    .negint64 = on_negative64,
    .byte_string_start = on_bytes_start,
    .byte_string = on_bytes,
    .string = on_string,
    .string_start = on_string_start,
    .indef_array_start = on_array_start,
    .array_start = on_array,
    .indef_map_start = on_map_start,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_null,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_break,
};

static int bad(struct parser *c, size_t at)
{
    return c->failed == -EBADMSG ? error_prefix(c->e, -EBADMSG, "byte %zu", at) : c->failed;
}

/* libcbor 0.8 hands lengths over as size_t: where that has 32 bits, one of 64 would be cut to what may fit. */
static void check_length(struct parser *c, const uint8_t *head, size_t n)
{
    static const uint8_t zero[4];
    unsigned major = n >= 9 && (head[0] & 31) == 27 ? head[0] >> 5 : 0;

    if (sizeof(size_t) >= sizeof(uint64_t) || major < 2 || major > 5 || memcmp(head + 1, zero, sizeof(zero)) == 0)
        return;
    fail(c, -EBADMSG,
         major >= 4 ? "an array or map claims more than the message has" : "it ends in the middle of something");
}

static int parse(struct parser *c, const uint8_t *data, size_t n)
{
    size_t at = 0;

    while (!c->complete) {
        check_length(c, data + at, n - at);
        if (c->failed < 0)
            return bad(c, at);
        struct cbor_decoder_result result = cbor_stream_decode(data + at, n - at, &callbacks, c);

        if (result.status == CBOR_DECODER_NEDATA || at == n)
            fail(c, -EBADMSG, "it ends in the middle of something");
        else if (result.status != CBOR_DECODER_FINISHED)
            fail(c, -EBADMSG, "not a beginning of anything");
        if (c->failed < 0)
            return bad(c, at);
        at += result.read;
    }
    if (at < n)
        fail(c, -EBADMSG, "something stands behind the end");
    return bad(c, at);
}

int cbor_parse(const void *data, size_t n, json_object **ret, struct error *e)
{
    struct error words = {""};
    struct parser c = {.n = n, .e = e ?: &words};
    int r = parse(&c, data, n);

    strbuf_done(&c.text);
    for (size_t i = 0; i < c.depth; i++)
        free(c.levels[i].key);
    if (r < 0) {
        json_object_put(c.root);
        return r;
    }
    *ret = c.root;
    return 0;
}
