/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan, and read without a configured device: what drivers find and read of any sensor. */
#include "ctl.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DRIVER_OF_URLS "modbus"
#define CELL_MAX 60 /* of a table, for people */

/* ── Options ── */

/* true, false and whole numbers are what they look like, all else is a text. */
static int append_option(sd_bus_message *m, const char *key, const char *value)
{
    char *end;
    long long number;

    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        return sd_bus_message_append(m, "{sv}", key, "b", strcmp(value, "true") == 0);
    errno = 0;
    number = strtoll(value, &end, 10);
    if (end != value && *end == 0 && errno == 0)
        return sd_bus_message_append(m, "{sv}", key, "x", (int64_t)number);
    return sd_bus_message_append(m, "{sv}", key, "s", value);
}

static int append_given(sd_bus_message *m, const char *key, const char *value)
{
    return value ? append_option(m, key, value) : 0;
}

/* "parity=even". An URL may have an equals sign too, behind other characters than a key's. */
static bool is_setting(const char *word)
{
    size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return n > 0 && n <= DEVICE_ID_MAX && word[n] == '=';
}

static int append_settings(sd_bus_message *m, int argc, char **argv)
{
    int r = 0;

    for (int i = 0; r >= 0 && i < argc; i++) {
        _cleanup_free_ char *key = strndup(argv[i], strcspn(argv[i], "="));

        r = key ? append_option(m, key, strchr(argv[i], '=') + 1) : -ENOMEM;
    }
    return r;
}

/* Exit status. */
static int check_settings(const char *verb, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!is_setting(argv[i])) {
            print_error("%s: '%s' is not of the form KEY=VALUE (see gatehousectl %s --help)", verb, argv[i], verb);
            return EXIT_USAGE;
        }
    return 0;
}

/* Calls the method of the manager with the options of the command line, and these settings. Exit status. */
static int call(struct ctl *c, const char *method, const char *driver, int argc, char **argv, sd_bus_message **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = ctl_connect(c);

    if (r != 0)
        return r;
    r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, method);
    if (r >= 0)
        r = sd_bus_message_append(m, "s", driver);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = append_given(m, "url", c->url);
    if (r >= 0)
        r = append_given(m, "unit", c->unit);
    if (r >= 0)
        r = append_given(m, "units", c->units);
    if (r >= 0)
        r = append_given(m, "read", c->read);
    if (r >= 0)
        r = append_given(m, "timeout", c->timeout);
    if (r >= 0 && c->trace)
        r = append_option(m, "trace", "true");
    if (r >= 0)
        r = append_settings(m, argc, argv);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        sd_bus_message_set_auto_start(m, 0);
    if (r >= 0)
        r = sd_bus_call(c->bus, m, CALL_TIMEOUT, &error, ret);
    return r < 0 ? ctl_failed(c, driver, r, &error) : 0;
}

/* ── Scanning ── */

/* The keys of all finds, in the order of their first appearance, and how wide each column is. */
struct table {
    const char *keys[LINK_MEMBERS_MAX];
    int widths[LINK_MEMBERS_MAX];
    size_t n;
};

static void widen(struct table *t, const char *key, const char *value)
{
    size_t i = 0;

    while (i < t->n && strcmp(t->keys[i], key) != 0)
        i++;
    if (i == ELEMENTSOF(t->keys))
        return;
    if (i == t->n) {
        t->keys[t->n++] = key;
        t->widths[i] = (int)strlen(key);
    }
    t->widths[i] = (int)MAX_OF((size_t)t->widths[i], MIN_OF(strlen(value), (size_t)CELL_MAX));
}

static void print_heading(const struct table *t)
{
    for (size_t k = 0; k < t->n; k++) {
        char heading[DEVICE_ID_MAX + 1];
        size_t n = 0;

        for (; t->keys[k][n] && n < sizeof(heading) - 1; n++)
            heading[n] =
                t->keys[k][n] >= 'a' && t->keys[k][n] <= 'z' ? (char)(t->keys[k][n] - 'a' + 'A') : t->keys[k][n];
        heading[n] = 0;
        printf("%-*s%s", k + 1 < t->n ? t->widths[k] : 0, heading, k + 1 < t->n ? "  " : "\n");
    }
}

/* `numbered`: for who adds one of them. */
static void print_found(struct ctl *c, json_object *found, bool numbered)
{
    size_t n = json_object_array_length(found);
    struct table t = {.n = 0};

    for (size_t i = 0; i < n; i++) {
        json_object *row = json_object_array_get_idx(found, i);

        json_object_object_foreach (row, key, value)
            widen(&t, key, json_object_get_string(value) ?: "");
    }
    print_pager(c, n + 3);
    if (!c->no_legend && n > 0) {
        printf("%s", numbered ? " NO  " : "");
        print_heading(&t);
    }
    for (size_t i = 0; i < n; i++) {
        json_object *row = json_object_array_get_idx(found, i);

        if (numbered)
            printf("%3zu  ", i + 1);
        for (size_t k = 0; k < t.n; k++)
            printf("%-*s%s", k + 1 < t.n ? t.widths[k] : 0,
                   json_object_get_string(json_object_object_get(row, t.keys[k])) ?: "", k + 1 < t.n ? "  " : "\n");
    }
    if (!c->no_legend)
        printf("%s%zu found.\n", n > 0 ? "\n" : "", n);
}

/* What was found apart from what became of the job. Exit status. */
static int take_results(struct ctl *c, json_object *properties, json_object *found)
{
    json_object *results = json_object_object_get(properties, "Results");
    const char *state = json_get_string(properties, "State") ?: "";

    for (size_t i = 0; i < json_object_array_length(results); i++) {
        json_object *result = json_object_array_get_idx(results, i);

        if (json_object_object_get_ex(result, "outcome", NULL))
            print_error("scan: %s", json_get_string(result, "reason") ?: "failed");
        else
            json_object_array_add(found, json_object_get(result));
    }
    if (strcmp(state, "cancelled") == 0)
        print_error("scan: cancelled before its end");
    if (strcmp(state, "done") == 0)
        return 0;
    return json_object_array_length(found) > 0 ? EXIT_PARTIAL : EXIT_FAILURE;
}

int verb_scan(struct ctl *c, int argc, char **argv)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_json_ json_object *properties = NULL, *found = json_object_new_array();
    bool word = argc > 1 && !is_setting(argv[1]), finds = strcmp(argv[0], DRIVER_OF_FINDS) == 0;
    int skip = word ? 2 : 1, r = check_settings("scan", argc - skip, argv + skip);
    const char *path, *which = word && finds ? argv[1] : NULL;

    if (r == 0)
        r = find_check(c, argv[0], which);
    if (r != 0)
        return r;
    c->url = word && !finds ? argv[1] : NULL;
    r = call(c, "Scan", argv[0], argc - skip, argv + skip, &reply);
    if (r == 0 && sd_bus_message_read(reply, "o", &path) < 0)
        r = EXIT_FAILURE;
    if (r == 0)
        r = job_wait(c, path, &(struct job_watch){.progress = true}, &properties);
    if (r != 0)
        return r;
    r = take_results(c, properties, found);
    ctl_result_text(c, "driver", argv[0]);
    json_object_object_add(ctl_result(c), "found", json_object_get(found));
    if (print_text_wanted(c) && !which)
        print_found(c, found, finds);
    if (which || c->add)
        r = find_use(c, found, which) ?: r;
    return r;
}

/* ── Reading ── */

int look_read(struct ctl *c, int argc, char **argv)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    json_object *values = NULL;
    int r = check_settings("read", argc, argv);

    if (r != 0)
        return r;
    if (!c->read) {
        print_error("read: --url wants --read=WHAT, as --read=input:0:2:float32 (see gatehousectl read --help)");
        return EXIT_USAGE;
    }
    r = call(c, "ReadRaw", DRIVER_OF_URLS, argc, argv, &reply);
    if (r != 0)
        return r;
    r = ctl_to_json(reply, &values);
    if (r < 0)
        return ctl_failed(c, "cannot read the answer", r, NULL);
    json_object_object_add(ctl_result(c), "values", values);
    for (size_t i = 0; i < json_object_array_length(values); i++)
        print_say(c, "%s", json_object_get_string(json_object_array_get_idx(values, i)));
    return 0;
}
