/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch-table.h"

#include "devices.h"
#include "natural.h"
#include "samples.h"

#include <stdio.h>
#include <string.h>

#define OTHER_SCREEN "\033[?1049h\033[?25l"
#define SCREEN_BEFORE "\033[?25h\033[?1049l"
#define FROM_THE_TOP "\033[H\033[J"
#define LINES_AROUND 4 /* heading, an empty line, the last event, and how many points there is no room for */

struct watch_table {
    struct ctl *c;
    json_object *rows;   /* by "DEVICE POINT" */
    json_object *sorted; /* the same rows; NULL: one has come since */
    char last[256];
    bool drawn_over;
};

bool watch_table_possible(const struct ctl *c)
{
    return c->output == OUTPUT_TEXT && !c->quiet && !c->lines && c->out.width > 0 && c->out.draws;
}

struct watch_table *watch_table_new(struct ctl *c)
{
    struct watch_table *t = calloc(1, sizeof(*t));

    if (t) {
        t->c = c;
        t->rows = json_object_new_object();
    }
    return t;
}

struct watch_table *watch_table_free(struct watch_table *t)
{
    if (!t)
        return NULL;
    json_object_put(t->rows);
    json_object_put(t->sorted);
    free(t);
    return NULL;
}

/* `row` is shared. */
static void put(struct watch_table *t, json_object *row)
{
    char key[512];

    snprintf(key, sizeof(key), "%s %s", row_text(row, "device"), row_text(row, "point"));
    if (!json_object_object_get_ex(t->rows, key, NULL)) {
        json_object_put(t->sorted);
        t->sorted = NULL;
    }
    if (t->sorted) {
        json_object *old = json_object_object_get(t->rows, key);

        /* In its place, so that the order stays. */
        json_object_object_foreach (row, name, value)
            json_object_object_add(old, name, json_object_get(value));
        return;
    }
    json_object_object_add(t->rows, key, json_object_get(row));
}

static int add_known(struct ctl *c, const char *id, const char *path, void *userdata)
{
    _cleanup_json_ json_object *rows = json_object_new_array();

    (void)samples_add(c, path, id, true, rows);
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        put(userdata, json_object_array_get_idx(rows, i));
    return 0;
}

void watch_table_fill(struct watch_table *t, int argc, char **argv)
{
    t->c->all = argc == 0;
    (void)devices_each(t->c, argc, argv, add_known, t);
    t->c->all = false;
}

void watch_table_event(struct watch_table *t, json_object *event, const char *line)
{
    if (strcmp(row_text(event, "event"), "sample") != 0) {
        snprintf(t->last, sizeof(t->last), "%s", line);
        return;
    }
    json_object_object_add(event, "quality", json_object_new_string("good"));
    put(t, event);
}

static int by_device_and_point(const void *a, const void *b)
{
    json_object *const *x = a, *const *y = b;
    int r = natural_compare(row_text(*x, "device"), row_text(*y, "device"));

    return r != 0 ? r : natural_compare(row_text(*x, "point"), row_text(*y, "point"));
}

static void sort(struct watch_table *t)
{
    if (t->sorted)
        return;
    t->sorted = json_object_new_array();
    json_object_object_foreach (t->rows, key, row) {
        (void)key;
        json_object_array_add(t->sorted, json_object_get(row));
    }
    json_object_array_sort(t->sorted, by_device_and_point);
}

/* At most so many rows; 0: all. */
static void print(struct watch_table *t, size_t most)
{
    _cleanup_json_ json_object *shown = NULL;
    size_t n;

    sort(t);
    n = json_object_array_length(t->sorted);
    shown = json_object_new_array();
    for (size_t i = 0; i < n && (most == 0 || i < most); i++)
        json_object_array_add(shown, json_object_get(json_object_array_get_idx(t->sorted, i)));
    if (n == 0)
        puts("no sample has come yet");
    else
        samples_print(t->c, shown);
    if (most > 0 && n > most)
        printf("(and %zu more points)\n", n - most);
}

void watch_table_begin(struct watch_table *t)
{
    fputs(OTHER_SCREEN, stdout);
    t->drawn_over = true;
    watch_table_draw(t);
}

void watch_table_draw(struct watch_table *t)
{
    struct terminal *out = &t->c->out;
    _cleanup_free_ char *last = NULL;

    style_of_terminal(STDOUT_FILENO, out); /* it may have another size */
    last = text_cut(t->last, out->width, out->symbols);
    fputs(FROM_THE_TOP, stdout);
    print(t, out->height > LINES_AROUND + 1 ? out->height - LINES_AROUND : 1);
    printf("\n%s", last ?: "");
    fflush(stdout);
}

void watch_table_end(struct watch_table *t)
{
    if (!t->drawn_over)
        return;
    t->drawn_over = false;
    fputs(SCREEN_BEFORE, stdout);
    print(t, 0);
    fflush(stdout);
}
