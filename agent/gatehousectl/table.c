/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#define GAP 2
#define MARK_WIDTH 2
#define CUT_MIN 8 /* columns that a cut cell keeps, unless the terminal is too narrow for all of them */
#define LABEL_WIDTH 16

struct cell {
    char *text;
    size_t width;
    enum style style;
};

struct table {
    const struct table_column *columns;
    size_t n_columns;
    struct cell *cells;
    size_t n_cells, n_allocated;
    int failed;
};

/* ── Width ── */

/* Of the character at `text`, whose bytes are *ret_bytes. One that is not UTF-8 is a byte and a column. */
static size_t character_width(const char *text, size_t n, size_t *ret_bytes)
{
    size_t bytes = utf8_length(text, n);
    mbstate_t state = {0};
    wchar_t c;
    int width;

    *ret_bytes = bytes ?: 1;
    if (bytes <= 1 || mbrtowc(&c, text, bytes, &state) != bytes)
        return 1;
    width = wcwidth(c);
    return width < 0 ? 1 : (size_t)width;
}

/* How many bytes of the text fit, and how many columns these take. */
static size_t fitting(const char *text, size_t width, size_t *ret_width)
{
    size_t length = strlen(text), at = 0, taken = 0;

    while (at < length) {
        size_t bytes, wide = character_width(text + at, length - at, &bytes);

        if (taken + wide > width)
            break;
        taken += wide;
        at += bytes;
    }
    *ret_width = taken;
    return at;
}

size_t text_width(const char *text)
{
    size_t width;

    fitting(text, SIZE_MAX / 2, &width);
    return width;
}

char *text_cut(const char *text, size_t width, bool symbols)
{
    const char *end = symbols ? "…" : "...";
    size_t end_width = symbols ? 1 : 3, taken, n;
    char *ret;

    if (text_width(text) <= width)
        return strdup(text);
    if (width < end_width)
        return strndup(".....", width);
    n = fitting(text, width - end_width, &taken);
    return asprintf(&ret, "%.*s%s", (int)n, text, end) < 0 ? NULL : ret;
}

/* ── Cells ── */

struct table *table_new(const struct table_column *columns, size_t n)
{
    struct table *t = calloc(1, sizeof(*t));

    if (t) {
        t->columns = columns;
        t->n_columns = n;
    }
    return t;
}

struct table *table_free(struct table *t)
{
    if (!t)
        return NULL;
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
    return NULL;
}

/* No text of others moves the cursor or ends a row. */
static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            *p = '?';
    text_repair(text);
}

static int grow(struct table *t)
{
    size_t n = t->n_allocated ? 2 * t->n_allocated : 64;
    struct cell *cells;

    if (t->n_cells < t->n_allocated)
        return 0;
    cells = reallocarray(t->cells, n, sizeof(*cells));
    if (!cells)
        return -ENOMEM;
    t->cells = cells;
    t->n_allocated = n;
    return 0;
}

void table_cell(struct table *t, enum style style, const char *text)
{
    char *copy = strdup(text ?: "");

    if (!copy || grow(t) < 0) {
        free(copy);
        t->failed = -ENOMEM;
        return;
    }
    make_printable(copy);
    t->cells[t->n_cells++] = (struct cell){copy, text_width(copy), style};
}

void table_printf(struct table *t, enum style style, const char *format, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list ap;
    int r;

    va_start(ap, format);
    r = vasprintf(&text, format, ap);
    va_end(ap);
    if (r < 0) {
        text = NULL;
        t->failed = -ENOMEM;
        return;
    }
    table_cell(t, style, text);
}

size_t table_rows(const struct table *t)
{
    return t->n_cells / t->n_columns;
}

/* ── Columns ── */

/* Each as wide as its widest cell; 0: it is empty, and left out. */
static void measure(const struct table *t, const struct terminal *terminal, bool heading, size_t *widths)
{
    for (size_t k = 0; k < t->n_columns; k++) {
        const struct table_column *column = &t->columns[k];
        size_t mark = column->marks && terminal->symbols ? MARK_WIDTH : 0;

        widths[k] = 0;
        for (size_t i = k; i < t->n_cells; i += t->n_columns)
            if (t->cells[i].width > 0)
                widths[k] = MAX_OF(widths[k], t->cells[i].width + mark);
        if (heading && (widths[k] > 0 || k == 0 || t->n_cells == 0))
            widths[k] = MAX_OF(widths[k], text_width(column->heading) + mark);
    }
}

static size_t sum(const size_t *widths, size_t n)
{
    size_t all = 0;

    for (size_t k = 0; k < n; k++)
        all += widths[k] > 0 ? widths[k] + GAP : 0;
    return all > GAP ? all - GAP : all;
}

/* The widest that may be cut further; n if there is none. */
static size_t widest(const struct table *t, const size_t *widths, bool last_resort)
{
    size_t found = t->n_columns;

    for (size_t k = 0; k < t->n_columns; k++) {
        if ((t->columns[k].whole && !last_resort) || widths[k] <= (last_resort ? 1 : CUT_MIN))
            continue;
        if (found == t->n_columns || widths[k] >= widths[found])
            found = k;
    }
    return found;
}

/* A column at a time from the widest, so that short cells stay whole. */
static void fit(const struct table *t, size_t *widths, size_t width)
{
    for (bool last_resort = false; sum(widths, t->n_columns) > width;) {
        size_t k = widest(t, widths, last_resort);

        if (k < t->n_columns)
            widths[k]--;
        else if (last_resort)
            return;
        else
            last_resort = true;
    }
}

/* ── Printing ── */

static void spaces(size_t n, FILE *to)
{
    for (; n > 0; n--)
        fputc(' ', to);
}

/* `more`: another column comes behind it. */
static void print_cell(const struct table_column *column, const struct terminal *terminal, enum style style,
                       const char *text, size_t width, bool more, FILE *to)
{
    const char *mark = column->marks && style != STYLE_HEADING && text[0] ? style_mark(terminal, style) : "";
    size_t indent = column->marks && terminal->symbols ? MARK_WIDTH : 0;
    _cleanup_free_ char *cut = text_cut(text, width > indent ? width - indent : 0, terminal->symbols);
    size_t padding = width - MIN_OF(width, indent + text_width(cut ?: ""));

    if (column->right)
        spaces(padding, to);
    fputs(style_begin(terminal, style), to);
    if (mark[0])
        fputs(mark, to);
    else
        spaces(more || text[0] ? indent : 0, to);
    fputs(cut ?: "", to);
    fputs(style_end(terminal, style), to);
    if (!column->right && more)
        spaces(padding, to);
}

static void print_row(const struct table *t, const struct terminal *terminal, const struct cell *row,
                      const size_t *widths, FILE *to)
{
    size_t last = t->n_columns;

    while (last > 1 && (widths[last - 1] == 0 || (row && !row[last - 1].text[0])))
        last--;
    for (size_t k = 0; k < last; k++) {
        bool more = false;

        if (widths[k] == 0)
            continue;
        for (size_t j = k + 1; j < last; j++)
            more = more || widths[j] > 0;
        print_cell(&t->columns[k], terminal, row ? row[k].style : STYLE_HEADING,
                   row ? row[k].text : t->columns[k].heading, widths[k], more, to);
        if (more)
            spaces(GAP, to);
    }
    fputc('\n', to);
}

int table_print(struct table *t, const struct terminal *terminal, bool heading, FILE *to)
{
    _cleanup_free_ size_t *widths = calloc(t->n_columns, sizeof(*widths));

    if (t->failed < 0 || !widths)
        return -ENOMEM;
    measure(t, terminal, heading, widths);
    if (terminal->width > 0)
        fit(t, widths, terminal->width);
    if (heading)
        print_row(t, terminal, NULL, widths, to);
    for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
        print_row(t, terminal, &t->cells[i], widths, to);
    return 0;
}

/* ── Fields ── */

/* How many bytes of the text go on this line, and how many are skipped behind them. */
static size_t line_of(const char *text, size_t width, size_t *ret_skip)
{
    size_t taken, n = fitting(text, width, &taken), space = n;

    *ret_skip = 0;
    if (!text[n])
        return n;
    while (space > 0 && text[space] != ' ')
        space--;
    /* A word that is longer than the line stays whole, as a path that is copied from it. */
    if (space == 0)
        space = n + strcspn(text + n, " ");
    *ret_skip = text[space] == ' ';
    return space;
}

void print_wrapped(const struct terminal *t, FILE *to, size_t indent, const char *text)
{
    size_t width = t->width > indent + CUT_MIN ? t->width - indent : SIZE_MAX / 2, skip;
    _cleanup_free_ char *flat = strdup(text);

    for (char *c = flat; c && t->width > 0 && *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    for (const char *at = flat ?: text;;) {
        size_t n = strcspn(at, "\n");
        _cleanup_free_ char *line = strndup(at, n);

        if (line) {
            size_t taken = line_of(line, width, &skip);

            skip = taken < n ? skip : at[n] == '\n';
            n = taken;
        }
        fprintf(to, "%.*s\n", (int)n, at);
        at += n + (line ? skip : at[n] == '\n');
        if (!*at)
            return;
        spaces(indent, to);
    }
}

void print_field(const struct terminal *t, FILE *to, const char *label, enum style style, const char *format, ...)
{
    size_t indent = LABEL_WIDTH + 2, width = t->width > indent + CUT_MIN ? t->width - indent : SIZE_MAX / 2, skip;
    _cleanup_free_ char *text = NULL;
    va_list ap;
    int r;

    va_start(ap, format);
    r = vasprintf(&text, format, ap);
    va_end(ap);
    if (r < 0)
        return;
    make_printable(text);
    fprintf(to, "%*s%c ", LABEL_WIDTH, label, label[0] ? ':' : ' ');
    for (const char *at = text;;) {
        size_t n = line_of(at, width, &skip);

        fprintf(to, "%s%.*s%s\n", style_begin(t, style), (int)n, at, style_end(t, style));
        at += n + skip;
        if (!*at)
            return;
        spaces(indent, to);
    }
}
