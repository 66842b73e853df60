/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a terminal is written to: which colours and symbols it shows, and which state has which. Where there is no
 * terminal there is neither, and no width to keep within. Pure except style_of_terminal(); one thread. */

#include <stdbool.h>
#include <stddef.h>

enum style {
    STYLE_PLAIN,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_DIM,
    STYLE_HEADING,
};

struct terminal {
    size_t width; /* columns; 0: no bound */
    size_t height;
    bool colour;
    bool symbols; /* more than ASCII can be shown */
    bool draws;   /* it can be drawn over */
};

/* Facts of the terminal's environment, as getenv() gives it. */
struct terminal_facts {
    bool is_terminal, utf8;
    const char *term, *no_color; /* NULL: not set */
    size_t width, height;        /* 0: not known */
};

/* https://no-color.org: NO_COLOR of any text but the empty one. TERM=dumb has neither colours nor symbols. */
void style_decide(const struct terminal_facts *facts, struct terminal *ret);
/* Of an open descriptor. setlocale() was called. */
void style_of_terminal(int fd, struct terminal *ret);

/* The escape sequences before and behind what is so styled; "" without colour. */
const char *style_begin(const struct terminal *t, enum style style);
const char *style_end(const struct terminal *t, enum style style);
/* A mark of one column and a space, or "" without symbols. */
const char *style_mark(const struct terminal *t, enum style style);

/* Of a device, its sensor, a driver, a job or a rotation, by its name. */
enum style style_of_state(const char *state);
