/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/csv.h"

#include <errno.h>
#include <string.h>

struct scan {
    char *text;
    size_t n, at;
    bool last;
    const char *why;
};

enum { SCAN_FIELD, SCAN_RECORD }; /* what ended: a field, and with it the record */

static int refuse(struct scan *s, const char *why)
{
    s->why = why;
    return -EBADMSG;
}

/* Reads the end of a field. The record is complete, so a line end or the end of the text follows. */
static int end_of_field(struct scan *s)
{
    if (s->at == s->n)
        return SCAN_RECORD;
    if (s->text[s->at] == ',') {
        s->at++;
        return SCAN_FIELD;
    }
    if (s->text[s->at] == '\r') {
        if (s->at + 1 == s->n || s->text[s->at + 1] != '\n')
            return refuse(s, "a carriage return without a line end");
        s->at += 2;
        return SCAN_RECORD;
    }
    if (s->text[s->at] == '\n') {
        s->at++;
        return SCAN_RECORD;
    }
    return refuse(s, "text behind a closing quote");
}

/* Behind the opening quote. The text moves to the left by each quote that was doubled. */
static int quoted(struct scan *s, size_t *ret_length)
{
    size_t to = s->at;
    size_t begin = to;

    for (; s->at < s->n; s->at++) {
        if (s->text[s->at] != '"') {
            s->text[to++] = s->text[s->at];
        } else if (s->at + 1 < s->n && s->text[s->at + 1] == '"') {
            s->text[to++] = '"';
            s->at++;
        } else {
            s->at++;
            *ret_length = to - begin;
            return end_of_field(s);
        }
    }
    return refuse(s, "a quote that is not closed");
}

static int plain(struct scan *s, size_t *ret_length)
{
    size_t begin = s->at;

    while (s->at < s->n && !strchr(",\r\n\"", s->text[s->at]))
        s->at++;
    if (s->at < s->n && s->text[s->at] == '"')
        return refuse(s, "a quote in the middle of a field");
    if (s->at < s->n && !s->text[s->at])
        return refuse(s, "a zero byte");
    *ret_length = s->at - begin;
    return end_of_field(s);
}

/* Whether there is a whole record, without changing anything: a line end outside quotes, which only the beginning of a
 * field opens. */
static int whole(struct scan *s)
{
    bool open = false;
    char before = ',';

    for (size_t i = 0; i < s->n; i++) {
        char c = s->text[i];

        if (c == '"' && open)
            open = false;
        else if (c == '"' && (before == ',' || before == '"'))
            open = true; /* a second one right behind: it was doubled, and did not close */
        else if (c == '\n' && !open)
            return 1;
        before = c;
    }
    if (!s->last)
        return 0;
    return open ? refuse(s, "a quote that is not closed") : 1;
}

static size_t behind_line(const struct scan *s, size_t at)
{
    const char *line = memchr(s->text + at, '\n', s->n - at);

    return line ? (size_t)(line - s->text) + 1 : s->n;
}

static int fields(struct scan *s, struct csv_record *record)
{
    int r = SCAN_FIELD;

    while (r == SCAN_FIELD) {
        size_t begin, length = 0;

        if (record->n == CSV_FIELDS_MAX)
            return refuse(s, "too many fields");
        if (s->at < s->n && s->text[s->at] == '"') {
            begin = ++s->at;
            r = quoted(s, &length);
        } else {
            begin = s->at;
            r = plain(s, &length);
        }
        if (r < 0)
            return r;
        if (memchr(s->text + begin, 0, length))
            return refuse(s, "a zero byte");
        record->fields[record->n] = s->text + begin;
        record->lengths[record->n++] = length;
    }
    return r;
}

int csv_read(char *text, size_t n, bool last, struct csv_record *ret, size_t *ret_used, const char **ret_why)
{
    struct scan s = {.text = text, .n = n, .last = last};
    int r = whole(&s);

    ret->n = 0;
    if (r == 0)
        return 0;
    if (r > 0)
        r = fields(&s, ret);
    if (r < 0) {
        *ret_why = s.why;
        *ret_used = behind_line(&s, s.at);
        return -EBADMSG;
    }
    *ret_used = s.at;
    for (size_t i = 0; i < ret->n; i++)
        ret->fields[i][ret->lengths[i]] = 0;
    return 1;
}
