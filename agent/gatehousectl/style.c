/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "style.h"

#include "base/cleanup.h"
#include "base/device-state.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Below this no table can be read. */
#define WIDTH_MIN 20

void style_decide(const struct terminal_facts *facts, struct terminal *ret)
{
    bool dumb = !facts->term || strcmp(facts->term, "dumb") == 0;

    *ret = (struct terminal){0};
    if (!facts->is_terminal)
        return;
    ret->width = facts->width >= WIDTH_MIN ? facts->width : facts->width > 0 ? WIDTH_MIN : 80;
    ret->height = facts->height;
    ret->colour = !dumb && !(facts->no_color && facts->no_color[0]);
    ret->symbols = !dumb && facts->utf8;
    ret->draws = !dumb;
}

void style_of_terminal(int fd, struct terminal *ret)
{
    struct winsize size = {0};
    struct terminal_facts facts = {
        .is_terminal = isatty(fd),
        .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .term = getenv("TERM"),
        .no_color = getenv("NO_COLOR"),
    };

    if (facts.is_terminal && ioctl(fd, TIOCGWINSZ, &size) == 0) {
        facts.width = size.ws_col;
        facts.height = size.ws_row;
    }
    style_decide(&facts, ret);
}

const char *style_begin(const struct terminal *t, enum style style)
{
    if (!t->colour)
        return "";
    switch (style) {
    case STYLE_PLAIN:
        return "";
    case STYLE_GOOD:
        return "\033[32m";
    case STYLE_WARN:
        return "\033[33m";
    case STYLE_BAD:
        return "\033[1;31m";
    case STYLE_DIM:
        return "\033[90m";
    case STYLE_HEADING:
        return "\033[4m";
    }
    return "";
}

const char *style_end(const struct terminal *t, enum style style)
{
    return t->colour && style != STYLE_PLAIN ? "\033[0m" : "";
}

const char *style_mark(const struct terminal *t, enum style style)
{
    if (!t->symbols)
        return "";
    switch (style) {
    case STYLE_GOOD:
        return "● ";
    case STYLE_WARN:
        return "▲ ";
    case STYLE_BAD:
        return "✗ ";
    case STYLE_PLAIN:
    case STYLE_DIM:
    case STYLE_HEADING:
        return "○ ";
    }
    return "";
}

static enum style style_of_device(enum device_state state)
{
    switch (state) {
    case DEVICE_ONLINE:
        return STYLE_GOOD;
    case DEVICE_CONNECTING:
    case DEVICE_BACKING_OFF:
    case DEVICE_UNREACHABLE:
    case DEVICE_UNREGISTERED:
    case DEVICE_RESTORED:
    case DEVICE_NO_DRIVER:
        return STYLE_WARN;
    case DEVICE_REFUSED:
    case DEVICE_CONFLICT:
    case DEVICE_DAMAGED:
        return STYLE_BAD;
    case DEVICE_DISABLED:
    case DEVICE_NO_CREDENTIAL:
    case DEVICE_IDLE:
        return STYLE_DIM;
    }
    return STYLE_PLAIN;
}

enum style style_of_state(const char *state)
{
    static const struct {
        const char *state;
        enum style style;
    } styles[] = {
        {"ok", STYLE_GOOD},        {"connected", STYLE_GOOD},  {"done", STYLE_GOOD},
        {"open", STYLE_GOOD},      {"good", STYLE_GOOD},       {"degraded", STYLE_WARN},
        {"volatile", STYLE_WARN},  {"stale", STYLE_WARN},      {"out of range", STYLE_WARN},
        {"cancelled", STYLE_WARN}, {"unfinished", STYLE_WARN}, {"fallen-back", STYLE_WARN},
        {"failed", STYLE_BAD},     {"abandoned", STYLE_BAD},   {"bad-setting", STYLE_BAD},
        {"away", STYLE_BAD},       {"bad", STYLE_BAD},         {"closed", STYLE_DIM},
        {"unknown", STYLE_DIM},
    };
    int device = device_state_from_name(state);

    if (device >= 0)
        return style_of_device((enum device_state)device);
    for (size_t i = 0; i < ELEMENTSOF(styles); i++)
        if (strcmp(styles[i].state, state) == 0)
            return styles[i].style;
    return STYLE_PLAIN;
}
