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

/* What stands behind these is secret, whatever it looks like. */
static const char *const words[] = {"key",   "psk",    "password",     "passwd", "passphrase", "secret",
                                    "token", "apikey", "presharedkey", "bind",   HEADER};

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

/* Bytes one by one, "aa:bb:cc" or "17, 34, 51". */
static size_t separated(const char *text, size_t n, bool (*is)(char c), size_t most)
{
    size_t at = 0, bytes = 0, end = 0;

    for (;;) {
        size_t digits = run_of(text + at, n - at, is), between;

        if (digits == 0 || digits > most || (is == is_hex && digits != most))
            break;
        bytes++;
        end = at += digits;
        between = run_of(text + at, n - at, is_gap);
        if (between == 0 || between > 2)
            break;
        at += between;
    }
    return bytes >= PAIRS_LEAST ? end : 0;
}

static size_t hex_at(const char *text, size_t n)
{
    size_t length = run_of(text, n, is_hex);

    if (length >= HEX_LEAST)
        return length;
    length = separated(text, n, is_hex, 2);
    return length > 0 ? length : separated(text, n, is_decimal, 3);
}

static size_t base64_at(const char *text, size_t n)
{
    size_t length = run_of(text, n, is_base64), upper = 0, lower = 0, digits = 0;

    for (size_t i = 0; i < length; i++) {
        upper += isupper((unsigned char)text[i]) != 0;
        lower += islower((unsigned char)text[i]) != 0;
        digits += isdigit((unsigned char)text[i]) != 0;
    }
    if (length < BASE64_LEAST || length == run_of(text, n, is_hex))
        return 0;
    /* Upper and lower case, or letters and digits and no path. */
    if ((upper == 0 || lower == 0) && (digits < 3 || upper + lower < 3 || memchr(text, '/', length)))
        return 0;
    return length + run_of(text + length, n - length, is_padding);
}

/* How long what may be a key is that begins at `at`; 0: it is none. What begins in the middle of a word was looked at
 * with it. */
static size_t key_at(const char *text, size_t n, size_t at)
{
    char before = at > 0 ? text[at - 1] : ' ';
    size_t k = is_hex(before) ? 0 : hex_at(text + at, n - at);

    return k > 0 || is_base64(before) ? k : base64_at(text + at, n - at);
}

/* A quote with the backslashes that JSON within JSON puts before it; 0: there is none. */
static size_t quote_at(const char *text, size_t n)
{
    size_t k = run_of(text, n, is_backslash);

    return k < n && is_quote(text[k]) ? k + 1 : 0;
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

/* Where the value begins that is behind a word of k bytes, and its length. */
static size_t value_at(const char *text, size_t n, size_t k, size_t *ret_value)
{
    size_t sign = k + quote_at(text + k, n - k), at = sign + run_of(text + sign, n - sign, is_sign);
    size_t quote = quote_at(text + at, n - at);
    bool assigned = memchr(text + sign, '=', at - sign);

    if (at > sign && quote > 0) {
        at += quote;
        *ret_value = quoted(text + at, n - at, text[at - 1], quote - 1);
        return at;
    }
    if (at > sign && strncasecmp(text, HEADER, k) == 0) {
        *ret_value = run_of(text + at, n - at, is_of_line);
        return at;
    }
    at = k + run_of(text + k, n - k, is_between);
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
        if (strcspn(text + k, ":=\"'") < at - k && *ret_value > 0)
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
    size_t k;

    if (n < 4 || text[0] != '/' || text[1] != '/')
        return 0;
    k = 2 + run_of(text + 2, n - 2, is_login);
    while (k > 2 && text[--k] != '@')
        ;
    return k > 2 ? k : 0;
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
