/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/cbor.h"

#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum major {
    MAJOR_UINT,
    MAJOR_NEGATIVE,
    MAJOR_BYTES,
    MAJOR_TEXT,
    MAJOR_ARRAY,
    MAJOR_MAP,
    MAJOR_TAG,
    MAJOR_SIMPLE,
};

enum simple {
    SIMPLE_FALSE = 20,
    SIMPLE_TRUE = 21,
    SIMPLE_DOUBLE = 27,
};

/* ---- Reading ---- */

void cbor_reader_init(struct cbor_reader *r, void *packet, size_t n)
{
    *r = (struct cbor_reader){.at = packet, .end = (uint8_t *)packet + n};
}

int cbor_fail(struct cbor_reader *r, const char *error)
{
    r->error = r->error ?: error;
    return -EBADMSG;
}

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

struct head {
    enum major major;
    unsigned info;     /* the low five bits */
    uint64_t argument; /* a number, a length, or the bits of a double */
};

/* The head at the beginning, checked; the reader stays before it. *ret_length is what it takes. */
static int peek(struct cbor_reader *r, struct head *ret, size_t *ret_length)
{
    size_t left = (size_t)(r->end - r->at), more = 0;
    struct head h = {.argument = 0};

    if (r->error)
        return -EBADMSG;
    if (left == 0)
        return cbor_fail(r, "cut short");
    h.major = r->at[0] >> 5;
    h.info = h.argument = r->at[0] & 31;
    if (h.major == MAJOR_BYTES)
        return cbor_fail(r, "a byte string");
    if (h.major == MAJOR_TAG)
        return cbor_fail(r, "a tag");
    if (h.major == MAJOR_SIMPLE && h.info != SIMPLE_FALSE && h.info != SIMPLE_TRUE && h.info != SIMPLE_DOUBLE)
        return cbor_fail(r, "a null, a short float or another simple value");
    if (h.info == 31)
        return cbor_fail(r, "an indefinite length");
    if (h.info > 27)
        return cbor_fail(r, "a reserved form");
    if (h.info >= 24) {
        more = (size_t)1 << (h.info - 24);
        if (left <= more)
            return cbor_fail(r, "cut short");
        h.argument = big_endian(r->at + 1, more);
        if (h.major != MAJOR_SIMPLE && (more == 1 ? h.argument < 24 : h.argument >> (4 * more) == 0))
            return cbor_fail(r, "a number or length not in its shortest form");
    }
    *ret = h;
    *ret_length = 1 + more;
    return 0;
}

static int read_head(struct cbor_reader *r, enum major major, const char *otherwise, uint64_t *ret)
{
    struct head h = {.argument = 0};
    size_t length = 0;

    if (peek(r, &h, &length) < 0)
        return -EBADMSG;
    if (h.major != major)
        return cbor_fail(r, otherwise);
    r->at += length;
    *ret = h.argument;
    return 0;
}

/* Every item takes a byte at least, so that no count is believed that the packet cannot hold. */
static int read_count(struct cbor_reader *r, enum major major, const char *otherwise, size_t least, size_t *ret)
{
    uint64_t n = 0;

    if (read_head(r, major, otherwise, &n) < 0)
        return -EBADMSG;
    if (n > (uint64_t)(r->end - r->at) / least)
        return cbor_fail(r, "cut short");
    *ret = (size_t)n;
    return 0;
}

int cbor_read_array(struct cbor_reader *r, size_t *ret)
{
    return read_count(r, MAJOR_ARRAY, "an array was expected", 1, ret);
}

int cbor_read_map(struct cbor_reader *r, size_t *ret)
{
    return read_count(r, MAJOR_MAP, "a map was expected", 2, ret);
}

int cbor_read_uint(struct cbor_reader *r, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (read_head(r, MAJOR_UINT, "a whole number, not negative, was expected", &value) < 0)
        return -EBADMSG;
    if (value > max)
        return cbor_fail(r, "a number beyond its limit");
    *ret = value;
    return 0;
}

static int check_text(struct cbor_reader *r, const char *text, size_t n)
{
    for (size_t i = 0, k; i < n; i += k) {
        if (!text[i])
            return cbor_fail(r, "a text with a NUL");
        k = utf8_length(text + i, n - i);
        if (k == 0)
            return cbor_fail(r, "a text that is not UTF-8");
    }
    return 0;
}

int cbor_read_text(struct cbor_reader *r, size_t size, const char **ret)
{
    char *text = (char *)r->at;
    uint64_t n = 0;

    if (read_head(r, MAJOR_TEXT, "a text was expected", &n) < 0)
        return -EBADMSG;
    if (n > (uint64_t)(r->end - r->at))
        return cbor_fail(r, "cut short");
    if (n >= size)
        return cbor_fail(r, "a text longer than its limit");
    if (check_text(r, (const char *)r->at, (size_t)n) < 0)
        return -EBADMSG;
    memmove(text, r->at, (size_t)n);
    r->at += n;
    text[n] = 0; /* the head was a byte at least */
    *ret = text;
    return 0;
}

static double double_of(uint64_t bits)
{
    double d;

    memcpy(&d, &bits, sizeof(d));
    return d;
}

/* The bits of a value that is no text. */
static int scalar(struct cbor_reader *r, const struct head *h, struct sample_value *ret)
{
    if (h->major == MAJOR_UINT && h->argument <= INT64_MAX)
        *ret = (struct sample_value){.type = SAMPLE_INT, .x = (int64_t)h->argument};
    else if (h->major == MAJOR_UINT)
        *ret = (struct sample_value){.type = SAMPLE_UINT, .t = h->argument};
    else if (h->major == MAJOR_NEGATIVE && h->argument <= INT64_MAX)
        *ret = (struct sample_value){.type = SAMPLE_INT, .x = -1 - (int64_t)h->argument};
    else if (h->major == MAJOR_NEGATIVE)
        return cbor_fail(r, "a number beyond its limit");
    else if (h->major != MAJOR_SIMPLE)
        return cbor_fail(r, "a bool, a number or a text was expected");
    else if (h->info != SIMPLE_DOUBLE)
        *ret = (struct sample_value){.type = SAMPLE_BOOL, .b = h->info == SIMPLE_TRUE};
    else if (!isfinite(double_of(h->argument)))
        return cbor_fail(r, "a number that is not finite");
    else
        *ret = (struct sample_value){.type = SAMPLE_DOUBLE, .d = double_of(h->argument)};
    return 0;
}

int cbor_read_value(struct cbor_reader *r, size_t size, struct sample_value *ret)
{
    struct head h = {.argument = 0};
    const char *text;
    size_t length = 0;

    if (peek(r, &h, &length) < 0)
        return -EBADMSG;
    if (h.major == MAJOR_TEXT) {
        if (cbor_read_text(r, size, &text) < 0)
            return -EBADMSG;
        *ret = (struct sample_value){.type = SAMPLE_STRING, .s = text};
        return 0;
    }
    if (scalar(r, &h, ret) < 0)
        return -EBADMSG;
    r->at += length;
    return 0;
}

int cbor_read_end(struct cbor_reader *r)
{
    if (r->error)
        return -EBADMSG;
    return r->at == r->end ? 0 : cbor_fail(r, "more than its one message");
}

/* ---- Writing ---- */

void cbor_writer_init(struct cbor_writer *w, void *buffer, size_t size)
{
    *w = (struct cbor_writer){.start = buffer, .at = buffer, .end = (uint8_t *)buffer + size};
}

size_t cbor_written(const struct cbor_writer *w)
{
    return (size_t)(w->at - w->start);
}

void cbor_put_items(struct cbor_writer *w, const void *items, size_t n)
{
    w->full = w->full || n > (size_t)(w->end - w->at);
    if (w->full)
        return;
    memcpy(w->at, items, n);
    w->at += n;
}

/* `more` bytes of argument, behind the initial byte. */
static void put_bits(struct cbor_writer *w, enum major major, unsigned info, uint64_t argument, size_t more)
{
    w->full = w->full || 1 + more > (size_t)(w->end - w->at);
    if (w->full)
        return;
    *w->at = (uint8_t)(major << 5 | info);
    for (size_t i = more; i > 0; i--, argument >>= 8)
        w->at[i] = (uint8_t)argument;
    w->at += 1 + more;
}

static void put_head(struct cbor_writer *w, enum major major, uint64_t n)
{
    if (n < 24)
        put_bits(w, major, (unsigned)n, 0, 0);
    else if (n <= UINT8_MAX)
        put_bits(w, major, 24, n, 1);
    else if (n <= UINT16_MAX)
        put_bits(w, major, 25, n, 2);
    else if (n <= UINT32_MAX)
        put_bits(w, major, 26, n, 4);
    else
        put_bits(w, major, 27, n, 8);
}

void cbor_put_array(struct cbor_writer *w, size_t n)
{
    put_head(w, MAJOR_ARRAY, n);
}

void cbor_put_map(struct cbor_writer *w, size_t n)
{
    put_head(w, MAJOR_MAP, n);
}

void cbor_put_uint(struct cbor_writer *w, uint64_t value)
{
    put_head(w, MAJOR_UINT, value);
}

void cbor_put_bool(struct cbor_writer *w, bool value)
{
    put_bits(w, MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE, 0, 0);
}

void cbor_put_text_n(struct cbor_writer *w, const char *text, size_t n)
{
    put_head(w, MAJOR_TEXT, n);
    cbor_put_items(w, text, n);
}

void cbor_put_text(struct cbor_writer *w, const char *text)
{
    cbor_put_text_n(w, text, strlen(text));
}

void cbor_put_value(struct cbor_writer *w, const struct sample_value *value)
{
    uint64_t bits;

    switch (value->type) {
    case SAMPLE_BOOL:
        cbor_put_bool(w, value->b);
        break;
    case SAMPLE_INT:
        put_head(w, value->x < 0 ? MAJOR_NEGATIVE : MAJOR_UINT, (uint64_t)(value->x < 0 ? -1 - value->x : value->x));
        break;
    case SAMPLE_UINT:
        cbor_put_uint(w, value->t);
        break;
    case SAMPLE_DOUBLE:
        memcpy(&bits, &value->d, sizeof(bits));
        put_bits(w, MAJOR_SIMPLE, SIMPLE_DOUBLE, bits, 8);
        break;
    case SAMPLE_STRING:
        cbor_put_text(w, value->s);
        break;
    }
}
