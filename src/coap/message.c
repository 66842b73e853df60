/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "coap/message.h"

#include "base/cleanup.h"
#include "base/strbuf.h"

#include <coap3/coap.h>
#include <errno.h>
#include <string.h>

#define HEADER_SIZE 4
#define VERSION 1
#define PAYLOAD_MARKER 0xff
#define EXTENDED_16 14 /* the nibble that announces two bytes more, counted from EXTENDED_16_BASE */
#define EXTENDED_16_BASE 269
#define SEGMENT_MAX 255

/* Options that RFC 7252 section 5.10, 7641, 7959 and 9175 allow. Critical options (odd numbers) that a response may
 * carry are known if they stand here. */
static const struct {
    uint16_t number;
    uint16_t min, max;
} definitions[] = {
    {COAP_OPT_IF_MATCH, 0, 8},
    {COAP_OPT_URI_HOST, 1, 255},
    {COAP_OPT_ETAG, 1, 8},
    {COAP_OPT_IF_NONE_MATCH, 0, 0},
    {COAP_OPT_OBSERVE, 0, 3},
    {COAP_OPT_URI_PORT, 0, 2},
    {COAP_OPT_LOCATION_PATH, 0, 255},
    {COAP_OPT_URI_PATH, 0, 255},
    {COAP_OPT_CONTENT_FORMAT, 0, 2},
    {COAP_OPT_MAX_AGE, 0, 4},
    {COAP_OPT_URI_QUERY, 0, 255},
    {COAP_OPT_ACCEPT, 0, 2},
    {COAP_OPT_LOCATION_QUERY, 0, 255},
    {COAP_OPT_BLOCK2, 0, 3},
    {COAP_OPT_BLOCK1, 0, 3},
    {COAP_OPT_SIZE2, 0, 4},
    {COAP_OPT_SIZE1, 0, 4},
    {COAP_OPT_ECHO, 1, 40},
    {COAP_OPT_REQUEST_TAG, 0, 8},
};

static bool length_allowed(uint16_t number, size_t length, bool *ret_known)
{
    *ret_known = false;
    for (size_t i = 0; i < ELEMENTSOF(definitions); i++) {
        if (definitions[i].number != number)
            continue;
        *ret_known = true;
        return length >= definitions[i].min && length <= definitions[i].max;
    }
    return true;
}

int coap_message_parse_header(const uint8_t *datagram, size_t n, uint8_t *ret_type, uint16_t *ret_mid)
{
    if (n < HEADER_SIZE || datagram[0] >> 6 != VERSION)
        return -EBADMSG;
    *ret_type = datagram[0] >> 4 & 3;
    *ret_mid = (uint16_t)(datagram[2] << 8 | datagram[3]);
    return 0;
}

/* One option at p; the new position, or 0. */
static size_t parse_option(const uint8_t *p, size_t n, uint16_t before, struct coap_option *ret)
{
    coap_option_t option;
    size_t used = coap_opt_parse(p, n, &option);

    if (used == 0 || option.length > UINT16_MAX)
        return 0;
    /* libcoap lets this sum run over 16 bits. */
    if (p[0] >> 4 == EXTENDED_16 && (p[1] << 8 | p[2]) > UINT16_MAX - EXTENDED_16_BASE)
        return 0;
    if (option.delta > UINT16_MAX - before)
        return 0;
    ret->number = (uint16_t)(before + option.delta);
    ret->length = (uint16_t)option.length;
    ret->value = option.value;
    return used;
}

static int parse_options(const uint8_t *p, size_t n, struct coap_message *m)
{
    uint16_t number = 0;

    while (n > 0 && *p != PAYLOAD_MARKER) {
        size_t used;

        if (m->n_options == COAP_OPTIONS_MAX)
            return -EBADMSG;
        used = parse_option(p, n, number, &m->options[m->n_options]);
        if (used == 0)
            return -EBADMSG;
        number = m->options[m->n_options++].number;
        p += used;
        n -= used;
    }
    if (n == 1)
        return -EBADMSG; /* a marker and nothing behind it */
    if (n > 1) {
        m->payload = p + 1;
        m->payload_size = n - 1;
    }
    return 0;
}

int coap_message_parse(const uint8_t *datagram, size_t n, struct coap_message *ret)
{
    struct coap_message m;
    int r;

    m.n_options = 0;
    m.payload = NULL;
    m.payload_size = 0;
    r = coap_message_parse_header(datagram, n, &m.type, &m.mid);
    if (r < 0)
        return r;
    m.code = datagram[1];
    m.token_size = datagram[0] & 0xf;
    if (m.token_size > COAP_TOKEN_SIZE || HEADER_SIZE + m.token_size > n)
        return -EBADMSG;
    if (m.code == COAP_EMPTY && n > HEADER_SIZE)
        return -EBADMSG;
    memcpy(m.token, datagram + HEADER_SIZE, m.token_size);
    r = parse_options(datagram + HEADER_SIZE + m.token_size, n - HEADER_SIZE - m.token_size, &m);
    if (r < 0)
        return r;
    /* Only what is set: a message is mostly room for options. */
    memcpy(ret, &m, offsetof(struct coap_message, options));
    memcpy(ret->options, m.options, m.n_options * sizeof(m.options[0]));
    ret->payload = m.payload;
    ret->payload_size = m.payload_size;
    return 0;
}

ssize_t coap_message_write(const struct coap_message *m, uint8_t *buf, size_t size)
{
    size_t n = HEADER_SIZE + m->token_size;
    uint16_t number = 0;

    if (m->token_size > COAP_TOKEN_SIZE)
        return -EINVAL;
    if (size < n)
        return -ENOBUFS;
    buf[0] = (uint8_t)(VERSION << 6 | m->type << 4 | m->token_size);
    buf[1] = m->code;
    buf[2] = (uint8_t)(m->mid >> 8);
    buf[3] = (uint8_t)m->mid;
    memcpy(buf + HEADER_SIZE, m->token, m->token_size);
    for (size_t i = 0; i < m->n_options; i++) {
        const struct coap_option *o = &m->options[i];
        size_t used;

        if (o->number < number)
            return -EINVAL;
        used = coap_opt_encode_size((uint16_t)(o->number - number), o->length);
        if (used > size - n)
            return -ENOBUFS;
        if (coap_opt_encode(buf + n, size - n, (uint16_t)(o->number - number), o->value, o->length) != used)
            return -EINVAL;
        n += used;
        number = o->number;
    }
    if (m->payload_size == 0)
        return (ssize_t)n;
    if (size - n < 1 || m->payload_size > size - n - 1)
        return -ENOBUFS;
    buf[n++] = PAYLOAD_MARKER;
    memcpy(buf + n, m->payload, m->payload_size);
    return (ssize_t)(n + m->payload_size);
}

/* Makes room behind the options up to `number`. */
static struct coap_option *insert_option(struct coap_message *m, uint16_t number)
{
    size_t i = m->n_options;

    if (i == COAP_OPTIONS_MAX)
        return NULL;
    for (; i > 0 && m->options[i - 1].number > number; i--) {
        m->options[i] = m->options[i - 1];
        if (m->options[i - 1].value == m->options[i - 1].uint_value)
            m->options[i].value = m->options[i].uint_value;
    }
    m->n_options++;
    m->options[i].number = number;
    return &m->options[i];
}

int coap_message_add(struct coap_message *m, uint16_t number, const void *value, size_t length)
{
    struct coap_option *o;

    if (length > UINT16_MAX)
        return -EINVAL;
    o = insert_option(m, number);
    if (!o)
        return -ENOBUFS;
    o->value = value;
    o->length = (uint16_t)length;
    return 0;
}

int coap_message_add_uint(struct coap_message *m, uint16_t number, uint32_t value)
{
    struct coap_option *o = insert_option(m, number);

    if (!o)
        return -ENOBUFS;
    o->length = (uint16_t)coap_encode_var_safe(o->uint_value, sizeof(o->uint_value), value);
    o->value = o->uint_value;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes n characters of one segment to buf, which has room for as many. The size, or -EINVAL. */
static ssize_t decode_segment(const char *text, size_t n, uint8_t *buf)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++) {
        if (text[i] != '%') {
            buf[size++] = (uint8_t)text[i];
            continue;
        }
        if (n - i < 3 || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
            return -EINVAL;
        buf[size++] = (uint8_t)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
        i += 2;
    }
    return size <= SEGMENT_MAX ? (ssize_t)size : -EINVAL;
}

/* Adds the segments of text, parted by `separator`, as options. Returns what of buf it used, or -errno. */
static ssize_t add_segments(struct coap_message *m, uint16_t number, const char *text, size_t n, char separator,
                            uint8_t *buf)
{
    const char *end = text + n;
    size_t used = 0;

    for (;;) {
        const char *stop = memchr(text, separator, (size_t)(end - text));
        size_t length = (size_t)((stop ? stop : end) - text);
        ssize_t size = decode_segment(text, length, buf + used);

        if (size < 0)
            return size;
        if (coap_message_add(m, number, buf + used, (size_t)size) < 0)
            return -EINVAL;
        used += (size_t)size;
        if (!stop)
            return (ssize_t)used;
        text = stop + 1;
    }
}

int coap_message_add_path(struct coap_message *m, const char *path, uint8_t *buf, size_t size)
{
    size_t n = strlen(path), path_size = strcspn(path, "?");
    ssize_t used = 0;

    if (n > COAP_PATH_MAX || n > size || strchr(path, '#'))
        return -EINVAL;
    if (path_size < n) {
        used = add_segments(m, COAP_OPT_URI_QUERY, path + path_size + 1, n - path_size - 1, '&', buf);
        if (used < 0)
            return (int)used;
    }
    if (path[0] == '/') {
        path++;
        path_size--;
    }
    if (path_size > 0)
        used = add_segments(m, COAP_OPT_URI_PATH, path, path_size, '/', buf + used);
    return used < 0 ? (int)used : 0;
}

const struct coap_option *coap_message_find(const struct coap_message *m, uint16_t number)
{
    bool known;

    for (size_t i = 0; i < m->n_options && m->options[i].number <= number; i++)
        if (m->options[i].number == number && length_allowed(number, m->options[i].length, &known))
            return &m->options[i];
    return NULL;
}

int coap_message_get_uint(const struct coap_message *m, uint16_t number, uint32_t *ret_value)
{
    const struct coap_option *o = coap_message_find(m, number);

    if (!o || o->length > 4)
        return -ENOENT;
    *ret_value = coap_decode_var_bytes(o->value, o->length);
    return 0;
}

uint16_t coap_message_unsupported(const struct coap_message *response)
{
    for (size_t i = 0; i < response->n_options; i++) {
        const struct coap_option *o = &response->options[i];
        bool known, allowed = length_allowed(o->number, o->length, &known);

        if (!(o->number & 1))
            continue;
        /* Block2 and Block1 are the critical options of responses; a second one would be an unknown one. */
        if (!known || !allowed || (o->number != COAP_OPT_BLOCK1 && o->number != COAP_OPT_BLOCK2))
            return o->number;
        if (i > 0 && response->options[i - 1].number == o->number)
            return o->number;
    }
    return 0;
}

static void add_encoded(struct strbuf *b, const uint8_t *value, size_t n)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$'()*+,;=:@";

    for (size_t i = 0; i < n; i++) {
        if (value[i] != 0 && strchr(plain, value[i]))
            strbuf_add(b, &value[i], 1);
        else
            strbuf_printf(b, "%%%02X", value[i]);
    }
}

int coap_message_location(const struct coap_message *m, char **ret_location)
{
    struct strbuf b = {0};
    bool path = false, query = false;
    int r;

    for (size_t i = 0; i < m->n_options; i++) {
        const struct coap_option *o = &m->options[i];

        if (o->number == COAP_OPT_LOCATION_PATH && o->length <= SEGMENT_MAX) {
            if (path)
                strbuf_puts(&b, "/");
            path = true;
        } else if (o->number == COAP_OPT_LOCATION_QUERY && o->length <= SEGMENT_MAX) {
            strbuf_puts(&b, query ? "&" : "?");
            query = true;
        } else {
            continue;
        }
        add_encoded(&b, o->value, o->length);
    }
    if (!path && !query) {
        *ret_location = NULL;
        return 0;
    }
    r = strbuf_take(&b, ret_location);
    strbuf_done(&b);
    return r;
}
