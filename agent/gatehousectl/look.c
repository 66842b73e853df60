/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan, and read without a configured device: what drivers find and read of any sensor. */
#include "ctl.h"
#include "table.h"

#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DRIVER_OF_URLS "modbus"

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

/* The keys of all finds, in the order of their first appearance, in capitals. */
struct keys {
    const char *keys[LINK_MEMBERS_MAX];
    char headings[LINK_MEMBERS_MAX][DEVICE_ID_MAX + 1];
    struct table_column columns[LINK_MEMBERS_MAX + 1]; /* before them the numbers of the finds */
    size_t n;
};

static void add_key(struct keys *k, const char *key)
{
    char *heading = k->headings[k->n];

    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->keys[i], key) == 0)
            return;
    if (k->n == ELEMENTSOF(k->keys))
        return;
    snprintf(heading, sizeof(k->headings[0]), "%s", key);
    for (char *p = heading; *p; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    k->columns[k->n + 1] = (struct table_column){.heading = heading, .whole = k->n == 0};
    k->keys[k->n++] = key;
}

/* `numbered`: for who adds one of them. */
static int print_found(struct ctl *c, json_object *found, bool numbered)
{
    size_t n = json_object_array_length(found);
    struct keys k = {.columns = {{.heading = "NO", .right = true}}};
    struct table *t;
    int r = 0;

    for (size_t i = 0; i < n; i++) {
        json_object_object_foreach (json_object_array_get_idx(found, i), key, value) {
            (void)value;
            add_key(&k, key);
        }
    }
    t = k.n > 0 ? table_new(k.columns + !numbered, k.n + numbered) : NULL;
    for (size_t i = 0; t && i < n; i++) {
        if (numbered)
            table_printf(t, STYLE_PLAIN, "%zu", i + 1);
        for (size_t j = 0; j < k.n; j++)
            table_cell(t, STYLE_PLAIN,
                       json_object_get_string(json_object_object_get(json_object_array_get_idx(found, i), k.keys[j])));
    }
    print_pager(c, n + 3);
    if (t)
        r = table_print(t, &c->out, !c->no_legend, stdout);
    table_free(t);
    if (!c->no_legend)
        printf("%s%zu found.\n", n > 0 ? "\n" : "", n);
    return r < 0 ? EXIT_FAILURE : 0;
}

/* Prints the finds, apart from the outcome of the job. Exit status. */
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
        r = print_found(c, found, finds) ?: r;
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
