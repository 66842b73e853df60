/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "payload/writer.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"

#include <cbor.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HEAD_MAX 9 /* of a CBOR item */

/* Before a key, an element or a value that stands alone. */
static void begin(struct writer *w)
{
    if (w->comma)
        strbuf_puts(&w->out, ",");
    w->comma = !w->cbor;
}

static void open_container(struct writer *w, const char *bracket)
{
    begin(w);
    strbuf_puts(&w->out, bracket);
    w->comma = false;
}

static void close_container(struct writer *w, const char *bracket)
{
    if (w->cbor)
        return;
    strbuf_puts(&w->out, bracket);
    w->comma = true;
}

/* A head: the encoders of libcbor write into a buffer and return how much. */
#define PUT_HEAD(w, encode, value)                                                                                     \
    do {                                                                                                               \
        unsigned char _head[HEAD_MAX];                                                                                 \
        strbuf_add(&(w)->out, _head, encode((value), _head, sizeof(_head)));                                           \
    } while (0)

void writer_object(struct writer *w, size_t members)
{
    if (w->cbor)
        PUT_HEAD(w, cbor_encode_map_start, members);
    else
        open_container(w, "{");
}

void writer_object_end(struct writer *w)
{
    close_container(w, "}");
}

void writer_array(struct writer *w, size_t elements)
{
    if (w->cbor)
        PUT_HEAD(w, cbor_encode_array_start, elements);
    else
        open_container(w, "[");
}

void writer_array_end(struct writer *w)
{
    close_container(w, "]");
}

void writer_prepend_array(struct writer *w, size_t elements)
{
    struct writer whole = {.cbor = w->cbor};

    writer_array(&whole, elements);
    strbuf_add(&whole.out, w->out.text, w->out.length);
    whole.out.failed = whole.out.failed ?: w->out.failed;
    strbuf_done(&w->out);
    w->out = whole.out;
    writer_array_end(w);
}

size_t writer_array_size(const struct writer *w, size_t elements)
{
    unsigned char head[HEAD_MAX];

    return w->cbor ? cbor_encode_array_start(elements, head, sizeof(head)) : strlen("[]");
}

/* ---- Text ---- */

static void put_json_text(struct strbuf *b, const char *text)
{
    strbuf_puts(b, "\"");
    while (*text) {
        size_t plain = 0;

        while ((unsigned char)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        strbuf_add(b, text, plain);
        text += plain;
        if (!*text)
            break;
        if (*text == '"' || *text == '\\')
            strbuf_printf(b, "\\%c", *text);
        else if (*text == '\n')
            strbuf_puts(b, "\\n");
        else
            strbuf_printf(b, "\\u%04x", (unsigned)(unsigned char)*text);
        text++;
    }
    strbuf_puts(b, "\"");
}

void writer_text(struct writer *w, const char *text)
{
    begin(w);
    if (w->cbor) {
        PUT_HEAD(w, cbor_encode_string_start, strlen(text));
        strbuf_puts(&w->out, text);
    } else
        put_json_text(&w->out, text);
}

/* RFC 8428 section 6, table 4. False: the key has no number. */
static bool label_of(const char *key, int *ret)
{
    static const struct {
        const char *key;
        int label;
    } table[] = {{"bver", -1}, {"bn", -2}, {"bt", -3}, {"bu", -4}, {"bv", -5}, {"bs", -6}, {"n", 0}, {"u", 1},
                 {"v", 2},     {"vs", 3},  {"vb", 4},  {"s", 5},   {"t", 6},   {"ut", 7},  {"vd", 8}};

    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (strcmp(table[i].key, key) == 0) {
            *ret = table[i].label;
            return true;
        }
    return false;
}

void writer_key(struct writer *w, const char *key)
{
    int label;

    if (w->cbor && w->labels && label_of(key, &label)) {
        writer_int(w, label);
        return;
    }
    writer_text(w, key);
    if (!w->cbor)
        strbuf_puts(&w->out, ":");
    w->comma = false;
}

/* ---- Numbers ---- */

void writer_null(struct writer *w)
{
    unsigned char head[HEAD_MAX];

    begin(w);
    if (w->cbor)
        strbuf_add(&w->out, head, cbor_encode_null(head, sizeof(head)));
    else
        strbuf_puts(&w->out, "null");
}

void writer_bool(struct writer *w, bool value)
{
    begin(w);
    if (w->cbor)
        PUT_HEAD(w, cbor_encode_bool, value);
    else
        strbuf_puts(&w->out, value ? "true" : "false");
}

void writer_int(struct writer *w, int64_t value)
{
    begin(w);
    if (!w->cbor)
        strbuf_printf(&w->out, "%" PRId64, value);
    else if (value < 0)
        PUT_HEAD(w, cbor_encode_negint, ~(uint64_t)value);
    else
        PUT_HEAD(w, cbor_encode_uint, (uint64_t)value);
}

void writer_uint(struct writer *w, uint64_t value)
{
    begin(w);
    if (w->cbor)
        PUT_HEAD(w, cbor_encode_uint, value);
    else
        strbuf_printf(&w->out, "%" PRIu64, value);
}

/* The bits of half precision (RFC 8949 appendix D) if it holds the value exactly, or -1. libcbor's own encoder is wrong
 * about subnormal numbers. */
static int half_bits(double value)
{
    int exponent, sign = signbit(value) ? 0x8000 : 0;
    double scaled;

    if (value == 0)
        return sign;
    frexp(value, &exponent);
    if (exponent > 16)
        return -1;
    exponent = MAX_OF(exponent, -13); /* below, the digits get fewer instead */
    scaled = ldexp(fabs(value), 11 - exponent);
    if (scaled != floor(scaled) || scaled > 2047)
        return -1;
    return sign + ((exponent + 13) << 10) + (int)scaled;
}

void writer_double(struct writer *w, double value)
{
    char text[DOUBLE_TEXT_MAX];
    int half = half_bits(value);

    begin(w);
    if (!w->cbor)
        strbuf_puts(&w->out, double_format(value, text));
    else if (half >= 0)
        strbuf_add(&w->out, (const char[]){(char)0xf9, (char)(half >> 8), (char)half}, 3);
    else if ((double)(float)value == value)
        PUT_HEAD(w, cbor_encode_single, (float)value);
    else
        PUT_HEAD(w, cbor_encode_double, value);
}

void writer_value(struct writer *w, const struct sample_value *value)
{
    switch (value->type) {
    case SAMPLE_BOOL:
        writer_bool(w, value->b);
        break;
    case SAMPLE_INT:
        writer_int(w, value->x);
        break;
    case SAMPLE_UINT:
        writer_uint(w, value->t);
        break;
    case SAMPLE_DOUBLE:
        writer_double(w, value->d);
        break;
    case SAMPLE_STRING:
        writer_text(w, value->s);
        break;
    }
}

/* ---- Times ---- */

static void put_fraction(struct strbuf *b, uint64_t usec)
{
    char fraction[8];
    size_t n = (size_t)snprintf(fraction, sizeof(fraction), "%06u", (unsigned)(usec % USEC_PER_SEC));

    while (n > 0 && fraction[n - 1] == '0')
        n--;
    if (n > 0)
        strbuf_printf(b, ".%.*s", (int)n, fraction);
}

void seconds_format(struct strbuf *b, bool negative, uint64_t usec)
{
    strbuf_printf(b, "%s%" PRIu64, negative ? "-" : "", usec / USEC_PER_SEC);
    put_fraction(b, usec);
}

void iso_format(struct strbuf *b, uint64_t usec)
{
    time_t seconds = (time_t)(usec / USEC_PER_SEC);
    struct tm tm = {0};
    char text[64];

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    strbuf_puts(b, text);
    put_fraction(b, usec);
    strbuf_puts(b, "Z");
}

/* In CBOR the double nearest to it, which is told from those of the microseconds beside it until the year 2255. */
void writer_seconds(struct writer *w, bool negative, uint64_t usec)
{
    uint64_t seconds = usec / USEC_PER_SEC;

    if (!w->cbor) {
        begin(w);
        seconds_format(&w->out, negative, usec);
    } else if (usec % USEC_PER_SEC != 0)
        writer_double(w, (double)usec / (negative ? -1e6 : 1e6));
    else if (negative)
        writer_int(w, -(int64_t)seconds);
    else
        writer_uint(w, seconds);
}
