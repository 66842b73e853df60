/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables for people: columns as wide as what is in them, two spaces between, none behind the last. What does not fit
 * into the terminal's width is cut in the widest columns, with an ellipsis; without a width nothing is cut. The table
 * owns copies of its cells. Any thread; -ENOMEM is kept and given by table_print(). */

#include "style.h"

#include <stdbool.h>
#include <stdio.h>

struct table_column {
    const char *heading;
    bool right; /* numbers */
    bool whole; /* never cut: an id that is typed elsewhere */
    bool marks; /* each cell after the mark of its style, on terminals that show them */
};

struct table;

/* The columns are borrowed. NULL when out of memory. */
struct table *table_new(const struct table_column *columns, size_t n);
struct table *table_free(struct table *t);
/* The next cell, row by row; NULL is an empty one. What is not to be shown on a terminal becomes '?'. */
void table_cell(struct table *t, enum style style, const char *text);
void table_printf(struct table *t, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *t);
/* Leaves out columns in which every cell is empty, apart from the first. */
int table_print(struct table *t, const struct terminal *terminal, bool heading, FILE *to);

/* The columns that a text takes on a terminal. */
size_t text_width(const char *text);
/* As much of it as takes up to `width` columns, the last of them an ellipsis if there is more; the caller frees it. */
char *text_cut(const char *text, size_t width, bool symbols);

/* A text from where the line is, column `indent`, whose further lines begin below its first. Its own line breaks are
 * kept without a width, and spaces with one. */
void print_wrapped(const struct terminal *t, FILE *to, size_t indent, const char *text);

/* A label of 16 columns and its text, whose further lines begin below its first. "" goes on with the label above.
 * Broken at spaces where the terminal has a width. */
void print_field(const struct terminal *t, FILE *to, const char *label, enum style style, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
