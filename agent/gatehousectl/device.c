/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* device, connect, disconnect, write, reload: acting on devices. */
#include "devices.h"
#include "input.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int verb_device_add(struct ctl *c, int argc, char **argv)
{
    const char *id = argv[0], *file = argc > 1 ? argv[1] : NULL;
    _cleanup_free_ char *config = NULL;
    struct error e = {0};
    int r = input_read(file ?: "-", &config, &e);

    if (r < 0) {
        print_error("%s", e.text[0] ? e.text : strerrordesc_np(-r));
        return EXIT_FAILURE;
    }
    r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "AddDevice", NULL, "sa{sv}", id, 1, "config", "s", config);
    if (r != 0)
        return r;
    ctl_result_text(c, "device", id);
    print_say(c, "%s added", id);
    return 0;
}

/* Nobody who could be asked has not agreed: a script says --yes. */
static bool confirmed(struct ctl *c, const char *id)
{
    char answer[8] = "";

    if (c->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        print_error("%s was not removed: there is no terminal to ask at; --yes removes it without asking", id);
        return false;
    }
    fprintf(stderr, "Remove %s%s? [y/N] ", id, c->keep ? "" : ", its credentials and its waiting samples");
    if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return true;
    print_error("%s was not removed", id);
    return false;
}

int verb_device_remove(struct ctl *c, int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    const char *id = argv[0];
    /* A device whose removal is forced may have been removed before, and is seen no more. */
    int r = c->force ? 0 : ctl_device(c, id, &path);

    if (r != 0)
        return r;
    if (!confirmed(c, id))
        return EXIT_FAILURE;
    r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "RemoveDevice", NULL, "sa{sv}", id, 2, "keep", "b",
                 (int)c->keep, "force", "b", (int)c->force);
    if (r != 0)
        return r;
    ctl_result_text(c, "device", id);
    json_object_object_add(ctl_result(c), "kept", json_object_new_boolean(c->keep));
    print_say(c, "%s removed", id);
    return 0;
}

/* `method`: of a device, without arguments. */
static int call_device(struct ctl *c, const char *id, const char *path, void *method)
{
    json_object *devices = json_object_object_get(ctl_result(c), "devices");
    int r = ctl_call(c, path, BUS_INTERFACE_DEVICE, method, NULL, "");

    if (r == 0)
        json_object_array_add(devices, json_object_new_string(id));
    return r;
}

static int call_devices(struct ctl *c, int argc, char **argv, const char *verb, char *method)
{
    if (c->all == (argc > 0)) {
        print_error("%s takes either devices or --all", verb);
        return EXIT_USAGE;
    }
    json_object_object_add(ctl_result(c), "devices", json_object_new_array());
    if (argc == 1)
        ctl_result_text(c, "device", argv[0]);
    return devices_each(c, argc, argv, call_device, method);
}

int verb_connect(struct ctl *c, int argc, char **argv)
{
    static char method[] = "Connect";

    return call_devices(c, argc, argv, "connect", method);
}

int verb_disconnect(struct ctl *c, int argc, char **argv)
{
    static char method[] = "Disconnect";

    return call_devices(c, argc, argv, "disconnect", method);
}

int verb_reload(struct ctl *c, int argc, char **argv)
{
    return ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Reload", NULL, "");
}

/* b, x, t, d or s, as the text looks. */
static char guess_type(const char *text)
{
    char *end;

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return 'b';
    errno = 0;
    (void)strtoll(text, &end, 10);
    if (end != text && *end == 0 && errno == 0)
        return 'x';
    errno = 0;
    (void)strtoull(text, &end, 10);
    if (end != text && *end == 0 && errno == 0 && !strchr(text, '-'))
        return 't';
    (void)strtod(text, &end);
    return end != text && *end == 0 ? 'd' : 's';
}

/* Appends the value to the call, as a variant. -EINVAL: the text is none of this type. */
static int append_value(sd_bus_message *m, char type, const char *text)
{
    char *end = NULL;
    uint64_t t;
    int64_t x;
    double d;

    errno = 0;
    switch (type) {
    case 'b':
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return -EINVAL;
        return sd_bus_message_append(m, "v", "b", strcmp(text, "true") == 0);
    case 'x':
        x = strtoll(text, &end, 10);
        return end == text || *end || errno ? -EINVAL : sd_bus_message_append(m, "v", "x", x);
    case 't':
        t = strtoull(text, &end, 10);
        return end == text || *end || errno || text[0] == '-' ? -EINVAL : sd_bus_message_append(m, "v", "t", t);
    case 'd':
        d = strtod(text, &end);
        return end == text || *end ? -EINVAL : sd_bus_message_append(m, "v", "d", d);
    case 's':
        return sd_bus_message_append(m, "v", "s", text);
    default:
        return -EINVAL;
    }
}

/* NAME=VALUE for each point. */
static int append_values(struct ctl *c, sd_bus_message *m, int n, char **pairs)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");

    for (int i = 0; r >= 0 && i < n; i++) {
        const char *value = strchr(pairs[i], '=') + 1;
        _cleanup_free_ char *name = strndup(pairs[i], (size_t)(value - 1 - pairs[i]));
        char type = c->type ? c->type[0] : guess_type(value);

        r = name ? sd_bus_message_open_container(m, 'e', "sv") : -ENOMEM;
        if (r >= 0)
            r = sd_bus_message_append(m, "s", name);
        if (r >= 0 && (r = append_value(m, type, value)) == -EINVAL)
            print_error("'%s' is no value of type '%c'", value, type);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_point(struct ctl *c, sd_bus_message *m, char **operands)
{
    char type = c->type ? c->type[0] : guess_type(operands[1]);
    int r = sd_bus_message_append(m, "s", operands[0]);

    if (r >= 0 && (r = append_value(m, type, operands[1])) == -EINVAL)
        print_error("'%s' is no value of type '%c'", operands[1], type);
    return r;
}

static void show_written(struct ctl *c, const char *device, const char *point, json_object *set)
{
    ctl_result_text(c, "device", device);
    if (point) {
        ctl_result_text(c, "point", point);
        print_say(c, "%s", json_object_get_string(set));
    } else {
        json_object_object_foreach (set, name, value)
            print_say(c, "%s=%s", name, json_object_get_string(value));
    }
    json_object_object_add(ctl_result(c), point ? "value" : "values", set);
}

/* POINT VALUE, or one or more POINT=VALUE. */
static bool is_one_point(int argc, char **argv)
{
    return argc == 3 && !strchr(argv[1], '=');
}

static int check_pairs(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strchr(argv[i], '=')) {
            print_error("'%s': expected POINT=VALUE, or one POINT and its VALUE", argv[i]);
            return EXIT_USAGE;
        }
    return 0;
}

int verb_write(struct ctl *c, int argc, char **argv)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_free_ char *path = NULL;
    bool one = is_one_point(argc, argv);
    const char *method = one ? "Write" : "WritePoints";
    json_object *set = NULL;
    int r = one ? 0 : check_pairs(argc, argv);

    if (r == 0)
        r = ctl_device(c, argv[0], &path);
    if (r != 0)
        return r;
    r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, path, BUS_INTERFACE_DEVICE, method);
    if (r >= 0)
        r = one ? append_point(c, m, argv + 1) : append_values(c, m, argc - 1, argv + 1);
    if (r == -EINVAL)
        return EXIT_USAGE;
    if (r >= 0)
        r = sd_bus_call(c->bus, m, CALL_TIMEOUT, &error, &reply);
    if (r < 0)
        return ctl_failed(c, method, r, &error);
    r = ctl_to_json(reply, &set);
    if (r < 0)
        return ctl_failed(c, "cannot read the answer", r, NULL);
    show_written(c, argv[0], one ? argv[1] : NULL, set);
    return 0;
}
