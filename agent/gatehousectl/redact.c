/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "redact.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define HEX_LEAST 17    /* digits: a fingerprint has 16 */
#define PAIRS_LEAST 8   /* bytes with something between them: an address has 6 */
#define BASE64_LEAST 16 /* characters */

#define HEADER "authorization" /* its value is the rest of the line */

/* The value behind one of these is secret, whatever it looks like. */
static const char *const words[] = {"key",   "psk",    "password",     "passwd", "passphrase", "secret",
                                    "token", "apikey", "presharedkey", "bind",   HEADER};

#define WRAP_LEAST 8   /* characters of a line of wrapped base64 */
#define ESCAPES_MAX 16 /* backslashes before a character: JSON five deep in JSON; a longer run is none of escapes */

/* One character, as it is or as JSON escapes it, also JSON within JSON. */
struct glyph {
    char c;
    size_t n; /* bytes that it takes; 0: the text has ended */
};

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Four digits behind "\\u"; negative: none, or none of ASCII. */
static int code_of(const char *text, size_t n)
{
    int code = 0;

    for (size_t i = 0; i < 4; i++) {
        int digit = i < n ? digit_of(text[i]) : -1;

        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code < 0x80 ? code : -1;
}

static struct glyph glyph_at(const char *text, size_t n)
{
    size_t k = 0;
    int code;

    while (k < MIN_OF(n, (size_t)ESCAPES_MAX) && text[k] == '\\')
        k++;
    if (k == 0 || k == n)
        return (struct glyph){n > 0 ? text[0] : 0, n > 0};
    if (text[k] == '/')
        return (struct glyph){'/', k + 1};
    if (text[k] == 'n' || text[k] == 'r')
        return (struct glyph){'\n', k + 1};
    if (text[k] == 't')
        return (struct glyph){'\t', k + 1};
    code = text[k] == 'u' ? code_of(text + k + 1, n - k - 1) : -1;
    return code >= 0 ? (struct glyph){code == '\r' ? '\n' : (char)code, k + 5} : (struct glyph){'\\', 1};
}

static bool is_base64(char c)
{
    return isalnum((unsigned char)c) || c == '+' || c == '/' || c == '_' || c == '-';
}

static size_t run_of(const char *text, size_t n, bool (*is)(char c))
{
    size_t i = 0;

    while (i < n && is(text[i]))
        i++;
    return i;
}

/* Bytes of the characters that are so; *ret_count: how many these are. */
static size_t glyphs_of(const char *text, size_t n, bool (*is)(char c), size_t *ret_count)
{
    struct glyph g;
    size_t i = 0;

    *ret_count = 0;
    for (; (g = glyph_at(text + i, n - i)).n > 0 && is(g.c); i += g.n)
        ++*ret_count;
    return i;
}

static bool is_hex(char c)
{
    return isxdigit((unsigned char)c);
}

static bool is_decimal(char c)
{
    return isdigit((unsigned char)c);
}

static bool is_gap(char c)
{
    return c == ' ' || c == ':' || c == ',' || c == '-' || c == '.';
}

static bool is_padding(char c)
{
    return c == '=';
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

static bool is_backslash(char c)
{
    return c == '\\';
}

static size_t backslashes(const char *text, size_t n)
{
    return run_of(text, MIN_OF(n, (size_t)ESCAPES_MAX), is_backslash);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_break(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_sign(char c)
{
    return c == ' ' || c == '\t' || c == ':' || c == '=';
}

static bool is_dense(char c)
{
    return isgraph((unsigned char)c);
}

static bool is_of_line(char c)
{
    return c != '\n';
}

static bool is_between(char c)
{
    return c == ' ' || c == '\t' || c == ':' || c == '=' || c == '"' || c == '\'';
}

static bool is_value(char c)
{
    return isgraph((unsigned char)c) && c != '"' && c != '\'' && c != ',';
}

static bool is_plain(char c)
{
    return c != ':' && c != '=' && c != '"' && c != '\'';
}

/* "0x" or "\\x" before a byte. */
static size_t prefix_at(const char *text, size_t n)
{
    size_t k = n > 0 && text[0] == '0' ? 1 : backslashes(text, n);

    return k > 0 && k < n && (text[k] == 'x' || text[k] == 'X') ? k + 1 : 0;
}

/* The end of a line in a list that goes on: ":" or "," before it. */
static size_t list_break_at(const char *text, size_t n)
{
    size_t gap = run_of(text, n, is_gap), breaks = run_of(text + gap, n - gap, is_break);

    if (gap == 0 || !memchr(text + gap, '\n', breaks) || (!memchr(text, ':', gap) && !memchr(text, ',', gap)))
        return 0;
    return gap + breaks;
}

/* The gap between two bytes; 0: nothing that may be. */
static size_t gap_at(const char *text, size_t n)
{
    size_t gap = run_of(text, n, is_gap);

    return gap == 1 || gap == 2 ? gap : 0;
}

static bool begins_word(const char *text, size_t n)
{
    return n > 0 && is_base64(text[0]) && !is_gap(text[0]);
}

/* Bytes one by one: "aa:bb:cc", "17, 34, 51", "0xAA, 0xBB", "\\xAA\\xBB". */
static size_t separated(const char *text, size_t n, bool (*is)(char c), size_t most)
{
    size_t at = 0, bytes = 0, end = 0;

    for (;;) {
        size_t prefix = is == is_hex ? prefix_at(text + at, n - at) : 0, between;
        size_t digits = run_of(text + at + prefix, n - at - prefix, is);

        if (digits == 0 || digits > most || (is == is_hex && digits != most))
            break;
        /* The digits that another word begins with: that one is looked at whole. */
        if (begins_word(text + at + prefix + digits, n - at - prefix - digits))
            break;
        bytes++;
        end = at += prefix + digits;
        between = list_break_at(text + at, n - at) ?: gap_at(text + at, n - at);
        if (between == 0 && prefix_at(text + at, n - at) == 0)
            break;
        at += between;
    }
    return bytes >= PAIRS_LEAST ? end : 0;
}

static size_t hex_at(const char *text, size_t n)
{
    size_t count, length = glyphs_of(text, n, is_hex, &count);

    if (count >= HEX_LEAST)
        return length;
    length = separated(text, n, is_hex, 2);
    return length > 0 ? length : separated(text, n, is_decimal, 3);
}

/* Characters by their kinds. */
struct kinds {
    size_t all, upper, lower, digits, hex, slashes;
};

static void count_kinds(const char *text, size_t n, struct kinds *k)
{
    struct glyph g;

    for (size_t i = 0; i < n && (g = glyph_at(text + i, n - i)).n > 0; i += g.n) {
        k->all++;
        k->upper += isupper((unsigned char)g.c) != 0;
        k->lower += islower((unsigned char)g.c) != 0;
        k->digits += isdigit((unsigned char)g.c) != 0;
        k->hex += is_hex(g.c);
        k->slashes += g.c == '/';
    }
}

/* Whether a word of these characters is a key rather than a name or a path. */
static bool looks_like_key(const struct kinds *k)
{
    if (k->hex == k->all)
        return k->all >= HEX_LEAST;
    /* Upper and lower case, or letters and digits and no path. */
    return k->all >= BASE64_LEAST &&
           ((k->upper > 0 && k->lower > 0) || (k->digits >= 3 && k->upper + k->lower >= 3 && k->slashes == 0));
}

/* The end of a line, and the blanks around it; 0: there is none. */
static size_t line_break_at(const char *text, size_t n)
{
    size_t count, blanks = run_of(text, n, is_blank), length = glyphs_of(text + blanks, n - blanks, is_break, &count);
    struct glyph g = glyph_at(text + blanks, n - blanks);

    return length > 0 && (g.c == '\n' || g.c == '\r') ? blanks + length : 0;
}

static bool ends_piece(const char *text, size_t n)
{
    struct glyph g = glyph_at(text, n);

    return g.n == 0 || g.c == '\n' || is_quote(g.c) || g.c == '=' || g.c == '\r';
}

/* Base64 or hex that was wrapped: lines of one length, the last of which may be shorter. `first` bytes are the first
 * line, which is all of it where there are no more. */
static size_t wrapped_at(const char *text, size_t n, size_t first, struct kinds *k)
{
    size_t width = k->all, at = first;

    while (width >= WRAP_LEAST && width % 4 == 0) {
        size_t count, gap = line_break_at(text + at, n - at);
        size_t length = glyphs_of(text + at + gap, n - at - gap, is_base64, &count);

        if (gap == 0 || count == 0 || count > width || !ends_piece(text + at + gap + length, n - at - gap - length))
            break;
        count_kinds(text + at + gap, length, k);
        at += gap + length;
        if (count < width)
            break;
    }
    return at;
}

static size_t base64_at(const char *text, size_t n)
{
    struct kinds line = {0}, all;
    size_t count, length = glyphs_of(text, n, is_base64, &count), wrapped;

    count_kinds(text, length, &line);
    all = line;
    wrapped = wrapped_at(text, n, length, &all);
    /* A column of names is no key. */
    if (looks_like_key(&all) && (all.hex == all.all || (all.upper > 0 && all.lower > 0)))
        length = wrapped;
    else if (!looks_like_key(&line))
        return 0;
    return length + glyphs_of(text + length, n - length, is_padding, &count);
}

/* How long what may be a key is that begins at `at`; 0: it is none. What begins in the middle of a word was looked at
 * with it. */
static size_t key_at(const char *text, size_t n, size_t at)
{
    char before = at > 0 ? text[at - 1] : ' ';
    size_t k = is_hex(before) ? 0 : hex_at(text + at, n - at);

    /* A hash that goes on over lines is looked for as base64 is. */
    if (k > 0 && !is_base64(before))
        k = MAX_OF(k, base64_at(text + at, n - at));
    return k > 0 || is_base64(before) ? k : base64_at(text + at, n - at);
}

/* A quote with the backslashes that JSON within JSON puts before it, or as its number; 0: there is none. */
static size_t quote_at(const char *text, size_t n)
{
    size_t k = backslashes(text, n);
    struct glyph g = glyph_at(text, n);

    if (k < n && is_quote(text[k]))
        return k + 1;
    return g.n > 1 && is_quote(g.c) ? g.n : 0;
}

/* The text behind a quote that is written as its number with `level` backslashes, up to the next of that level or of
 * one around it, or the end of the line. */
static size_t quoted_by_number(const char *text, size_t n, size_t level)
{
    size_t i = 0;

    while (i < n && text[i] != '\n') {
        size_t run = backslashes(text + i, n - i);

        if ((run <= level && quote_at(text + i, n - i) > run + 1) ||
            (run < level && quote_at(text + i, n - i) == run + 1))
            return i;
        i += run > 0 ? run : 1;
    }
    return i;
}

/* The text behind a quote that has `level` backslashes before it, up to the next of that level or of one around it, or
 * the end of the line. A quote that is part of the text has one more backslash, and those doubled. */
static size_t quoted(const char *text, size_t n, char quote, size_t level)
{
    size_t i = 0, run = 0;

    for (; i < n && text[i] != '\n'; i++) {
        if (text[i] == quote && run % (2 * level + 2) != 2 * level + 1)
            return i - MIN_OF(run, level);
        run = text[i] == '\\' ? run + 1 : 0;
    }
    return i;
}

static bool has_glyph(const char *text, size_t n, char c)
{
    struct glyph g;

    for (size_t i = 0; i < n && (g = glyph_at(text + i, n - i)).n > 0; i += g.n)
        if (g.c == c)
            return true;
    return false;
}

/* Where the value begins that is behind a word of k bytes, and its length. */
static size_t value_at(const char *text, size_t n, size_t k, size_t *ret_value)
{
    size_t count, sign = k + quote_at(text + k, n - k), at = sign + glyphs_of(text + sign, n - sign, is_sign, &count);
    size_t quote = quote_at(text + at, n - at), level = backslashes(text + at, n - at);
    bool assigned = has_glyph(text + sign, at - sign, '=');

    if (at > sign && quote > level + 1) {
        at += quote;
        *ret_value = quoted_by_number(text + at, n - at, level);
        return at;
    }
    if (at > sign && quote > 0) {
        at += quote;
        *ret_value = quoted(text + at, n - at, text[at - 1], quote - 1);
        return at;
    }
    if (at > sign && strncasecmp(text, HEADER, k) == 0) {
        *ret_value = run_of(text + at, n - at, is_of_line);
        return at;
    }
    at = k + glyphs_of(text + k, n - k, is_between, &count);
    *ret_value = run_of(text + at, n - at, assigned ? is_dense : is_value);
    return at;
}

/* The value behind such a word: `"psk": "VALUE"`, `PSK=VALUE`, `key VALUE`. */
static size_t word_at(const char *text, size_t n, size_t *ret_value)
{
    for (size_t i = 0; i < ELEMENTSOF(words); i++) {
        size_t k = strlen(words[i]), at;

        if (n <= k || strncasecmp(text, words[i], k) != 0)
            continue;
        at = value_at(text, n, k, ret_value);
        /* "the key is set" is prose. */
        if ((run_of(text + k, at - k, is_plain) < at - k || has_glyph(text + k, at - k, '=')) && *ret_value > 0)
            return at;
    }
    return 0;
}

static bool is_login(char c)
{
    return isgraph((unsigned char)c) && !strchr("/?#\"", c);
}

/* "//user:password@": up to the last @ of what may be the host's part of a URL. */
static size_t login_at(const char *text, size_t n)
{
    struct glyph first = glyph_at(text, n), second = glyph_at(text + first.n, n - first.n);
    size_t begin = first.n + second.n, k;

    if (n < 4 || first.c != '/' || second.c != '/')
        return 0;
    k = begin + run_of(text + begin, n - begin, is_login);
    while (k > begin && text[--k] != '@')
        ;
    return k > begin ? k : 0;
}

void redact(const char *text, size_t n, struct strbuf *to)
{
    for (size_t i = 0; i < n;) {
        size_t value, k;

        k = key_at(text, n, i);
        if (k > 0) {
            strbuf_puts(to, REDACTED);
            i += k;
        } else if ((k = word_at(text + i, n - i, &value)) > 0) {
            strbuf_add(to, text + i, k);
            strbuf_puts(to, REDACTED);
            i += k + value;
        } else if ((k = login_at(text + i, n - i)) > 0) {
            strbuf_puts(to, "//" REDACTED);
            i += k;
        } else {
            char c = text[i++];

            c = isprint((unsigned char)c) || c == '\n' || c == '\t' ? c : '?';
            strbuf_add(to, &c, 1);
        }
    }
}
