/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan ble WHICH, scan ble --add: the device file of a sensor that was found, to paste or to add. */
#include "ctl.h"

#include "base/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define UPLINK_DEFAULT "cloud" /* as in the shipped gatehouse.json */
#define ANSWER_MAX 128         /* at the question which */
#define ENCRYPTED "encrypted"  /* how the driver's words of such values begin */

static const char *text_of(json_object *find, const char *key)
{
    return json_get_string(find, key) ?: "";
}

static bool is_number(const char *word)
{
    return word[0] && word[strspn(word, "0123456789")] == 0;
}

/* The find of this number (from 1), address or id; NULL after saying so. */
static json_object *pick(json_object *found, const char *which)
{
    size_t n = json_object_array_length(found);

    if (is_number(which)) {
        unsigned long number = strtoul(which, NULL, 10);

        if (number >= 1 && number <= n)
            return json_object_array_get_idx(found, number - 1);
        print_error("scan: there is no number %s: %zu found", which, n);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        json_object *find = json_object_array_get_idx(found, i);

        if (strcasecmp(text_of(find, "address"), which) == 0 || strcmp(text_of(find, "id"), which) == 0)
            return find;
    }
    print_error("scan: %s was not heard: is it near, and awake? seconds=30 listens longer", which);
    return NULL;
}

/* The uplink of all devices, if it is one. */
static int uplink_of_devices(struct ctl *c, char **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *id, *path, *driver, *uplink, *state;
    _cleanup_free_ char *only = NULL;
    bool several = false;
    int r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "ListDevices", &reply, "a{sv}", 0);

    if (r != 0)
        return r;
    if (sd_bus_message_enter_container(reply, 'a', "(sosss)") < 0)
        return EXIT_FAILURE;
    while (sd_bus_message_read(reply, "(sosss)", &id, &path, &driver, &uplink, &state) > 0) {
        several = several || (only && strcmp(only, uplink) != 0);
        if (!only && !(only = strdup(uplink)))
            return EXIT_FAILURE;
    }
    *ret = strdup(several || !only ? UPLINK_DEFAULT : only);
    return *ret ? 0 : EXIT_FAILURE;
}

static json_object *device_file(json_object *find, const char *uplink)
{
    json_object *file = json_object_new_object(), *section = json_object_new_object();
    const char *format = text_of(find, "format");

    json_object_object_add(file, "device", json_object_new_string(text_of(find, "id")));
    json_object_object_add(file, "uplink", json_object_new_string(uplink));
    json_object_object_add(file, "driver", json_object_new_string(DRIVER_OF_FINDS));
    json_object_object_add(section, "address", json_object_new_string(text_of(find, "address")));
    if (strcmp(format, "unknown") != 0)
        json_object_object_add(section, "format", json_object_new_string(format));
    json_object_object_add(file, DRIVER_OF_FINDS, section);
    json_object_object_add(file, "points", json_object_new_object());
    return file;
}

static int add(struct ctl *c, json_object *find, json_object *file)
{
    const char *id = text_of(find, "id");
    int r;

    if (strcmp(text_of(find, "format"), "unknown") == 0) {
        print_error(
            "scan: %s was not added: no format knows what it says. A sensor to connect to needs points; another a format "
            "of its own (gatehouse-ble(5))",
            text_of(find, "address"));
        return EXIT_FAILURE;
    }
    r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "AddDevice", NULL, "sa{sv}", id, 1, "config", "s",
                 json_object_to_json_string_ext(file, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    if (r != 0)
        return r;
    print_say(c, "%s (%s) added", id, text_of(find, "address"));
    if (strncmp(text_of(find, "values"), ENCRYPTED, strlen(ENCRYPTED)) == 0)
        print_say(c, "It encrypts, its maker's application shows the key: gatehousectl key set %s --kind=bind", id);
    print_say(c, "Its key for the cloud: gatehousectl key set %s IDENTITY", id);
    return 0;
}

static int ask(struct ctl *c, char answer[ANSWER_MAX])
{
    fprintf(stderr, "Which one is to be added (number, address or id; empty: none)? ");
    if (!fgets(answer, ANSWER_MAX, stdin))
        answer[0] = 0;
    answer[strcspn(answer, "\r\n")] = 0;
    return 0;
}

int find_check(const struct ctl *c, const char *driver, const char *which)
{
    if (!c->add && !c->uplink && !which)
        return 0;
    if (strcmp(driver, DRIVER_OF_FINDS) != 0) {
        print_error("scan: --add and --uplink go with the driver " DRIVER_OF_FINDS " only");
        return EXIT_USAGE;
    }
    if (!which && (!c->add || c->output != OUTPUT_TEXT || !isatty(STDIN_FILENO))) {
        print_error("scan: which sensor? Expected its number, address or id, as scan " DRIVER_OF_FINDS
                    " shows them: scan " DRIVER_OF_FINDS " ADDRESS%s",
                    c->add ? " --add" : "");
        return EXIT_USAGE;
    }
    return 0;
}

int find_use(struct ctl *c, json_object *found, const char *which)
{
    _cleanup_free_ char *uplink = NULL;
    char answer[ANSWER_MAX] = "";
    json_object *find, *file;
    int r = which ? 0 : ask(c, answer);

    if (!which && !answer[0])
        return 0;
    find = pick(found, which ?: answer);
    if (!find)
        return EXIT_FAILURE;
    if (strcmp(text_of(find, "configured"), "yes") == 0) {
        print_error("scan: %s is configured already, as %s", text_of(find, "address"), text_of(find, "id"));
        return EXIT_FAILURE;
    }
    if (c->uplink)
        uplink = strdup(c->uplink);
    else
        r = uplink_of_devices(c, &uplink);
    if (r != 0 || !uplink)
        return r != 0 ? r : EXIT_FAILURE;
    file = device_file(find, uplink);
    json_object_object_add(ctl_result(c), "file", file);
    if (c->add)
        return add(c, find, file);
    print_say(c, "%s", json_object_to_json_string_ext(file, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    return 0;
}
