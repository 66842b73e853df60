/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/prescan.h"

#include "base/prescan-map.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX (CONFIG_DEPTH_MAX - 1) /* json-c counts the values within as one level more */

/* A container that is being read. */
struct level {
    uint32_t node;
    bool object;
    size_t members;
};

struct scanner {
    struct prescan *s;
    char *text;
    size_t n, at;
    struct position position;
    struct level levels[DEPTH_MAX];
    size_t depth;
    struct position *ret_at;
    struct error *e;
};

/* ---- The text ---- */

static int bad(struct scanner *c, struct position at, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int bad(struct scanner *c, struct position at, const char *format, ...)
{
    va_list ap;

    *c->ret_at = at;
    if (c->e) {
        va_start(ap, format);
        vsnprintf(c->e->text, sizeof(c->e->text), format, ap);
        va_end(ap);
    }
    return -EBADMSG;
}

static int peek(const struct scanner *c)
{
    return c->at < c->n ? (unsigned char)c->text[c->at] : -1;
}

/* Over one byte; continuation bytes are no characters. */
static void step(struct scanner *c)
{
    unsigned char b = (unsigned char)c->text[c->at++];

    if (b == '\n') {
        c->position.line++;
        c->position.column = 1;
    } else if ((b & 0xc0) != 0x80)
        c->position.column++;
}

static bool at_text(const struct scanner *c, const char *what)
{
    size_t n = strlen(what);

    return c->n - c->at >= n && memcmp(c->text + c->at, what, n) == 0;
}

/* Over one byte of a comment, which becomes a space; a line stays a line. */
static void blank(struct scanner *c)
{
    char *p = &c->text[c->at];

    step(c);
    if (*p != '\n' && *p != '\r')
        *p = ' ';
}

static int comment(struct scanner *c)
{
    struct position at = c->position;
    bool line = at_text(c, "//");

    blank(c);
    blank(c);
    while (c->at < c->n) {
        if (line ? peek(c) == '\n' : at_text(c, "*/"))
            break;
        blank(c);
    }
    if (line)
        return 0;
    if (c->at == c->n)
        return bad(c, at, "this comment has no end; */ was expected");
    blank(c);
    blank(c);
    return 0;
}

/* White space and comments. */
static int skip(struct scanner *c)
{
    int r;

    for (;;) {
        int b = peek(c);

        if (b == ' ' || b == '\t' || b == '\n' || b == '\r')
            step(c);
        else if (at_text(c, "//") || at_text(c, "/*")) {
            r = comment(c);
            if (r < 0)
                return r;
        } else
            return 0;
    }
}

/* The character at this place, for an error text. */
static const char *here(const struct scanner *c, char *text, size_t size)
{
    int b = peek(c);

    if (b < 0)
        return "the end of the file";
    if (b < 0x20 || b == 0x7f)
        snprintf(text, size, "a control character (0x%02x)", b);
    else {
        size_t n = utf8_length(c->text + c->at, c->n - c->at);

        snprintf(text, size, "'%.*s'", (int)n, c->text + c->at);
    }
    return text;
}

static int unexpected(struct scanner *c, const char *expected)
{
    char text[48];

    return bad(c, c->position, "found %s, expected %s", here(c, text, sizeof(text)), expected);
}

static int hex4(struct scanner *c, unsigned *ret)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++) {
        int b = peek(c);
        unsigned digit;

        if (b >= '0' && b <= '9')
            digit = (unsigned)(b - '0');
        else if (b >= 'a' && b <= 'f')
            digit = (unsigned)(b - 'a' + 10);
        else if (b >= 'A' && b <= 'F')
            digit = (unsigned)(b - 'A' + 10);
        else
            return unexpected(c, "four hex digits behind \\u");
        value = value << 4 | digit;
        step(c);
    }
    *ret = value;
    return 0;
}

/* Behind "\u": one character, maybe of a surrogate pair. */
static int escape_unicode(struct scanner *c, struct position at, struct strbuf *out)
{
    unsigned code = 0, low = 0;
    char utf8[4];
    int r;

    r = hex4(c, &code);
    if (r < 0)
        return r;
    if (code == 0)
        return bad(c, at, "a NUL character (\\u0000) is not allowed");
    if (code >= 0xd800 && code < 0xdc00 && at_text(c, "\\u")) {
        step(c);
        step(c);
        r = hex4(c, &low);
        if (r < 0)
            return r;
        if (low < 0xdc00 || low > 0xdfff)
            return bad(c, at, "\\u%04x begins a surrogate pair, and \\u%04x does not end one", code, low);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xd800 && code < 0xe000)
        return bad(c, at, "\\u%04x is half of a surrogate pair", code);
    if (out)
        strbuf_add(out, utf8, utf8_encode(code, utf8));
    return 0;
}

static int escape(struct scanner *c, struct strbuf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    struct position at = c->position;
    const char *p;
    int b;

    step(c);
    b = peek(c);
    if (b == 'u') {
        step(c);
        return escape_unicode(c, at, out);
    }
    p = b > 0 ? strchr(from, b) : NULL;
    if (!p)
        return unexpected(c, "one of \" \\ / b f n r t u behind a backslash");
    if (out)
        strbuf_add(out, &to[p - from], 1);
    step(c);
    return 0;
}

/* A string at its quote; its text goes to `out`, if that is not NULL. */
static int string(struct scanner *c, struct strbuf *out)
{
    struct position at = c->position;
    int r;

    step(c);
    for (;;) {
        int b = peek(c);

        if (b < 0 || b == '\n')
            return bad(c, at, "this text has no end; \" was expected");
        if (b < 0x20)
            return bad(c, c->position, "a control character (0x%02x) in a text; write \\u%04x", (unsigned)b,
                       (unsigned)b);
        if (b == '"') {
            step(c);
            return 0;
        }
        if (b == '\\') {
            r = escape(c, out);
            if (r < 0)
                return r;
            continue;
        }
        if (out)
            strbuf_add(out, c->text + c->at, 1);
        step(c);
    }
}

static bool digit(int b)
{
    return b >= '0' && b <= '9';
}

static int digits(struct scanner *c, const char *expected)
{
    if (!digit(peek(c)))
        return unexpected(c, expected);
    while (digit(peek(c)))
        step(c);
    return 0;
}

/* json-c takes 64 bits, signed or not; beyond that one version saturates and another refuses. */
static bool fits_64_bits(const char *text)
{
    errno = 0;
    if (text[0] == '-')
        (void)strtoll(text, NULL, 10);
    else
        (void)strtoull(text, NULL, 10);
    return errno != ERANGE;
}

static int number(struct scanner *c)
{
    struct position at = c->position;
    size_t begin = c->at;
    bool whole = true;
    int r = 0;

    if (peek(c) == '-')
        step(c);
    if (peek(c) == '0') {
        step(c);
        if (digit(peek(c)))
            return bad(c, at, "a number may not begin with a needless 0");
    } else
        r = digits(c, "a digit");
    if (r >= 0 && peek(c) == '.') {
        whole = false;
        step(c);
        r = digits(c, "a digit behind the decimal point");
    }
    if (r >= 0 && (peek(c) == 'e' || peek(c) == 'E')) {
        whole = false;
        step(c);
        if (peek(c) == '+' || peek(c) == '-')
            step(c);
        r = digits(c, "a digit in the exponent");
    }
    if (r < 0)
        return r;
    /* strtod stops where the number does: what follows one in a text of n bytes is never part of one. */
    if (!isfinite(strtod(c->text + begin, NULL)))
        return bad(c, at, "this number is too large");
    if (whole && !fits_64_bits(c->text + begin))
        return bad(c, at, "this whole number does not fit 64 bits");
    return 0;
}

static int word(struct scanner *c)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < ELEMENTSOF(words); i++) {
        if (!at_text(c, words[i]))
            continue;
        for (size_t k = strlen(words[i]); k > 0; k--)
            step(c);
        return 0;
    }
    return unexpected(c, "a value (a text in \"double quotes\", a number, true, false, null, { or [)");
}

/* A value other than a container. */
static int scalar(struct scanner *c)
{
    int b = peek(c);

    if (b == '"')
        return string(c, NULL);
    if (b == '-' || digit(b))
        return number(c);
    return word(c);
}

/* ---- Containers ---- */

static int member_key(struct scanner *c, struct prescan_node *node)
{
    struct prescan *s = c->s;
    uint32_t first;
    int r;

    if (peek(c) != '"')
        return unexpected(c, "a key in \"double quotes\"");
    node->member = true;
    node->key_at = c->position;
    node->key = s->keys.length;
    r = string(c, &s->keys);
    if (r < 0)
        return r;
    strbuf_add(&s->keys, "", 1);
    if (s->keys.failed)
        return s->keys.failed;
    first = prescan_find(s, node->parent, true, s->keys.text + node->key, 0);
    if (first != PRESCAN_NONE)
        return bad(c, node->key_at, "the key \"%.64s\" is here twice; it is already in line %u, column %u",
                   s->keys.text + node->key, s->nodes[first].key_at.line, s->nodes[first].key_at.column);
    r = skip(c);
    if (r < 0)
        return r;
    if (peek(c) != ':')
        return unexpected(c, "':' behind the key");
    step(c);
    return skip(c);
}

/* Notes a value and, if it is a container, goes into it. */
static int value(struct scanner *c, struct prescan_node *node)
{
    uint32_t number_of;
    int r, b = peek(c);

    node->value_at = c->position;
    if (!node->member)
        node->key_at = node->value_at;
    r = prescan_add(c->s, node, &number_of);
    if (r < 0)
        return r;
    if (b != '{' && b != '[')
        return scalar(c);
    if (c->depth == DEPTH_MAX)
        return bad(c, c->position, "nested more than %d deep", DEPTH_MAX);
    c->levels[c->depth++] = (struct level){.node = number_of, .object = b == '{'};
    step(c);
    return 0;
}

/* One member or element of the innermost container, or its end. */
static int advance(struct scanner *c)
{
    struct level *l = &c->levels[c->depth - 1];
    char end = l->object ? '}' : ']';
    struct prescan_node node = {.parent = l->node, .key = l->members};
    struct position comma;
    int r;

    if (peek(c) == end) {
        step(c);
        c->depth--;
        return 0;
    }
    if (l->members > 0) {
        if (peek(c) != ',')
            return unexpected(c, l->object ? "',' or '}'" : "',' or ']'");
        comma = c->position;
        step(c);
        r = skip(c);
        if (r < 0)
            return r;
        if (peek(c) == end)
            return bad(c, comma, "trailing comma");
    }
    l->members++;
    if (l->object) {
        r = member_key(c, &node);
        if (r < 0)
            return r;
    }
    return value(c, &node);
}

static int document(struct scanner *c)
{
    struct prescan_node root = {.parent = PRESCAN_NONE};
    int r;

    r = skip(c);
    if (r >= 0)
        r = value(c, &root);
    while (r >= 0 && c->depth > 0) {
        r = skip(c);
        if (r >= 0)
            r = advance(c);
    }
    if (r >= 0)
        r = skip(c);
    if (r >= 0 && c->at < c->n)
        return unexpected(c, "the end of the file");
    return r;
}

/* UTF-8 before all else, so that the rest can count characters. */
static int encoding(struct scanner *c)
{
    if (at_text(c, "\xef\xbb\xbf"))
        return bad(c, c->position, "the file begins with a byte order mark; save it as UTF-8 without one");
    while (c->at < c->n) {
        size_t n = utf8_length(c->text + c->at, c->n - c->at);

        if (n == 0)
            return bad(c, c->position, "byte 0x%02x is not UTF-8", (unsigned)peek(c));
        if (peek(c) == 0)
            return bad(c, c->position, "a NUL byte; this is not a text file");
        while (n-- > 0)
            step(c);
    }
    c->at = 0;
    c->position = (struct position){1, 1};
    return 0;
}

int prescan_new(char *text, size_t n, struct prescan **ret, struct position *ret_at, struct error *e)
{
    _cleanup_(prescan_freep) struct prescan *s = calloc(1, sizeof(*s));
    struct scanner c = {.s = s, .text = text, .n = n, .position = {1, 1}, .ret_at = ret_at, .e = e};
    int r;

    if (!s)
        return -ENOMEM;
    r = encoding(&c);
    if (r >= 0)
        r = document(&c);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}
