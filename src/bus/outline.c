/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/outline.h"

#include "base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* D-Bus specification, "Message Format" */
enum {
    AT_ENDIAN = 0,
    AT_TYPE = 1,
    AT_FLAGS = 2,
    AT_VERSION = 3,
    AT_BODY_SIZE = 4,
    AT_SERIAL = 8,
    AT_FIELDS_SIZE = 12,
};

enum {
    FIELD_PATH = 1,
    FIELD_INTERFACE = 2,
    FIELD_MEMBER = 3,
    FIELD_REPLY_SERIAL = 5,
    FIELD_SENDER = 7,
    FIELD_UNIX_FDS = 9,
};

#define STUB_FIELDS 4

struct cursor {
    const uint8_t *data;
    size_t at, end;
    bool little;
};

static uint32_t u32_at(const uint8_t *p, bool little)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return little ? le32toh(v) : be32toh(v);
}

int outline_measure(const uint8_t *data, struct outline *ret)
{
    bool little = data[AT_ENDIAN] == 'l';
    struct outline m = {.little = little, .flags = data[AT_FLAGS]};
    uint64_t fields = u32_at(data + AT_FIELDS_SIZE, little);

    if ((!little && data[AT_ENDIAN] != 'B') || data[AT_VERSION] != 1)
        return -EBADMSG;
    m.type = data[AT_TYPE];
    m.serial = u32_at(data + AT_SERIAL, little);
    m.body_size = u32_at(data + AT_BODY_SIZE, little);
    m.header_size = (size_t)(OUTLINE_FIXED_SIZE + ((fields + 7) & ~UINT64_C(7)));
    m.size = (uint64_t)m.header_size + m.body_size;
    /* The specification's own bound; the sizes fit where size_t has 32 bits. */
    if (fields > (64 << 20) || m.body_size > (128 << 20))
        return -EBADMSG;
    *ret = m;
    return 0;
}

static int align(struct cursor *c, size_t to)
{
    size_t at = (c->at + to - 1) & ~(to - 1);

    if (at > c->end)
        return -EBADMSG;
    c->at = at;
    return 0;
}

static int read_u32(struct cursor *c, uint32_t *ret)
{
    if (align(c, 4) < 0 || c->end - c->at < 4)
        return -EBADMSG;
    *ret = u32_at(c->data + c->at, c->little);
    c->at += 4;
    return 0;
}

/* n characters and a NUL, which stands nowhere else. */
static int read_text(struct cursor *c, size_t n, const char **ret)
{
    const char *text = (const char *)c->data + c->at;

    if (c->end - c->at <= n || memchr(text, 0, n + 1) != text + n)
        return -EBADMSG;
    c->at += n + 1;
    *ret = text;
    return 0;
}

static int read_string(struct cursor *c, const char **ret)
{
    uint32_t n;
    int r = read_u32(c, &n);

    return r < 0 ? r : read_text(c, n, ret);
}

static int read_signature(struct cursor *c, const char **ret)
{
    if (c->at >= c->end)
        return -EBADMSG;
    c->at++;
    return read_text(c, c->data[c->at - 1], ret);
}

static size_t fixed_size(char type)
{
    switch (type) {
    case 'y':
        return 1;
    case 'n':
    case 'q':
        return 2;
    case 'b':
    case 'i':
    case 'u':
    case 'h':
        return 4;
    case 'x':
    case 't':
    case 'd':
        return 8;
    default:
        return 0;
    }
}

/* The value of a field that is of no interest. Those of containers, which no known field has, are not passed over. */
static int skip_value(struct cursor *c, char type)
{
    size_t n = fixed_size(type);
    const char *text;

    if (type == 's' || type == 'o')
        return read_string(c, &text);
    if (type == 'g')
        return read_signature(c, &text);
    if (n == 0 || align(c, n) < 0 || c->end - c->at < n)
        return -EBADMSG;
    c->at += n;
    return 0;
}

static const char **text_field(struct outline *m, uint8_t code)
{
    switch (code) {
    case FIELD_PATH:
        return &m->path;
    case FIELD_INTERFACE:
        return &m->interface;
    case FIELD_MEMBER:
        return &m->member;
    case FIELD_SENDER:
        return &m->sender;
    default:
        return NULL;
    }
}

static int read_field(struct cursor *c, struct outline *m)
{
    const char *signature, **text;
    uint8_t code;
    int r = align(c, 8);

    if (r < 0 || c->at >= c->end)
        return -EBADMSG;
    code = c->data[c->at++];
    r = read_signature(c, &signature);
    if (r < 0 || strlen(signature) != 1)
        return -EBADMSG;
    text = text_field(m, code);
    if (text && (signature[0] == 's' || signature[0] == 'o'))
        return read_string(c, text);
    if (code == FIELD_REPLY_SERIAL && signature[0] == 'u')
        return read_u32(c, &m->reply_serial);
    if (code == FIELD_UNIX_FDS && signature[0] == 'u')
        return read_u32(c, &m->n_fds);
    return skip_value(c, signature[0]);
}

int outline_parse(const uint8_t *data, size_t n, struct outline *ret)
{
    struct outline m;
    struct cursor c;
    int r = n < OUTLINE_FIXED_SIZE ? -EBADMSG : outline_measure(data, &m);

    if (r < 0 || n < m.header_size)
        return -EBADMSG;
    c = (struct cursor){data, OUTLINE_FIXED_SIZE, OUTLINE_FIXED_SIZE + u32_at(data + AT_FIELDS_SIZE, m.little),
                        m.little};
    while (c.at < c.end) {
        r = read_field(&c, &m);
        if (r < 0)
            return r;
    }
    m.body = n >= m.size ? data + m.header_size : NULL;
    *ret = m;
    return 0;
}

int outline_read_string(const struct outline *m, size_t *offset, const char **ret)
{
    struct cursor c = {m->body, *offset, m->body ? m->body_size : 0, m->little};
    int r = *offset > c.end ? -EBADMSG : read_string(&c, ret);

    if (r >= 0)
        *offset = c.at;
    return r;
}

int outline_read_u32(const struct outline *m, size_t *offset, uint32_t *ret)
{
    struct cursor c = {m->body, *offset, m->body ? m->body_size : 0, m->little};
    int r = *offset > c.end ? -EBADMSG : read_u32(&c, ret);

    if (r >= 0)
        *offset = c.at;
    return r;
}

/* ── Stubs ── */

static void put_u32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static size_t put_text_field(uint8_t *p, size_t at, uint8_t code, char type, const char *text)
{
    size_t n;

    if (!text)
        return at;
    at = (at + 7) & ~(size_t)7;
    p[at] = code;
    p[at + 1] = 1;
    p[at + 2] = (uint8_t)type;
    n = strlen(text);
    put_u32(p + at + 4, (uint32_t)n);
    memcpy(p + at + 8, text, n + 1);
    return at + 8 + n + 1;
}

int outline_stub(const struct outline *m, uint8_t **ret, size_t *ret_size)
{
    const char *texts[STUB_FIELDS] = {m->path, m->interface, m->member, m->sender};
    size_t room = OUTLINE_FIXED_SIZE + 8, at = OUTLINE_FIXED_SIZE;
    uint8_t *p;

    for (size_t i = 0; i < STUB_FIELDS; i++)
        room += texts[i] ? strlen(texts[i]) + 32 : 0;
    p = calloc(1, room);
    if (!p)
        return -ENOMEM;
    p[AT_ENDIAN] = 'l';
    p[AT_TYPE] = (uint8_t)m->type;
    p[AT_FLAGS] = m->flags;
    p[AT_VERSION] = 1;
    put_u32(p + AT_SERIAL, m->serial);
    at = put_text_field(p, at, FIELD_PATH, 'o', m->path);
    at = put_text_field(p, at, FIELD_INTERFACE, 's', m->interface);
    at = put_text_field(p, at, FIELD_MEMBER, 's', m->member);
    at = put_text_field(p, at, FIELD_SENDER, 's', m->sender);
    put_u32(p + AT_FIELDS_SIZE, (uint32_t)(at - OUTLINE_FIXED_SIZE));
    *ret = p;
    *ret_size = (at + 7) & ~(size_t)7;
    return 0;
}
