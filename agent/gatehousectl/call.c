/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"
#include "tty-agent.h"

#include "base/limits.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int ctl_connect(struct ctl *c)
{
    int r;

    if (c->bus)
        return 0;
    r = c->host ? sd_bus_open_system_remote(&c->bus, c->host) : sd_bus_open_system(&c->bus);
    if (r < 0) {
        print_error("cannot reach the system bus%s%s: %s", c->host ? " of " : "", c->host ?: "", strerror(-r));
        return EXIT_FAILURE;
    }
    return 0;
}

/* The agent's own words begin with what they are about. */
static bool is_of_agent(const sd_bus_error *error)
{
    return error && error->message &&
           (strncmp(error->name, BUS_NAME ".", strlen(BUS_NAME ".")) == 0 ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_INVALID_ARGS) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED));
}

/* It ended with the call under way: the words are dbus-daemon's and dbus-broker's. Without them it was not answered in
 * time. */
static bool has_stopped(const sd_bus_error *error)
{
    return error && sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) && error->message &&
           strstr(error->message, "disconnected");
}

int ctl_failed(struct ctl *c, const char *what, int r, const sd_bus_error *error)
{
    static const struct {
        const char *name;
        int status;
    } statuses[] = {
        {SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_NOT_RUNNING},
        {SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_NOT_RUNNING},
        {ERROR_NO_SUCH_DEVICE, EXIT_NO_SUCH_DEVICE},
        {SD_BUS_ERROR_ACCESS_DENIED, EXIT_DENIED},
        {SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, EXIT_DENIED},
    };
    const char *words = error && error->message ? error->message : strerror(-r);
    int status = EXIT_FAILURE;

    /* A mistake that these two find in their argument is one of a file. */
    if (error && sd_bus_error_has_name(error, ERROR_INVALID_ARGUMENT) &&
        (strcmp(what, "Reload") == 0 || strcmp(what, "AddDevice") == 0))
        status = EXIT_CONFIG;
    for (size_t i = 0; error && error->name && i < ELEMENTSOF(statuses); i++)
        if (strcmp(statuses[i].name, error->name) == 0)
            status = statuses[i].status;
    if (has_stopped(error)) {
        print_error(CTL_STOPPED);
        return EXIT_NOT_RUNNING;
    }
    if (status == EXIT_NOT_RUNNING)
        print_error("gatehoused is not running (systemctl start gatehouse)");
    else if (what[0] < 'A' || what[0] > 'Z') /* no method */
        print_error("%s: %s", what, words);
    else if (is_of_agent(error))
        print_error("%s", words);
    else
        print_error("gatehoused: %s: %s", what, words);
    return status;
}

struct method_call {
    const char *path, *interface, *method, *types;
    bool interactive; /* a person may be asked for a password before it is answered */
};

static int call_once(struct ctl *c, const struct method_call *call, va_list ap, sd_bus_error *error,
                     sd_bus_message **ret_reply)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, call->path, call->interface, call->method);

    if (r >= 0 && call->types[0])
        r = sd_bus_message_appendv(m, call->types, ap);
    if (r >= 0)
        sd_bus_message_set_auto_start(m, 0);
    if (r >= 0 && call->interactive)
        r = sd_bus_message_set_allow_interactive_authorization(m, 1);
    if (r < 0)
        return r;
    return sd_bus_call(c->bus, m, CALL_TIMEOUT + (call->interactive ? POLKIT_PERSON_TIMEOUT : 0), error, ret_reply);
}

int ctl_call(struct ctl *c, const char *path, const char *interface, const char *method, sd_bus_message **ret_reply,
             const char *types, ...)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    struct method_call call = {.path = path, .interface = interface, .method = method, .types = types};
    va_list ap, again;
    int r = ctl_connect(c);

    if (r != 0)
        return r;
    va_start(ap, types);
    va_copy(again, ap);
    r = call_once(c, &call, ap, &error, ret_reply);
    /* A password would do, and somebody sits there who can type it. */
    if (r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED) &&
        isatty(STDIN_FILENO)) {
        sd_bus_error_free(&error);
        call.interactive = true;
        if (!c->host)
            (void)tty_agent_open(); /* the session may have an agent of its own */
        r = call_once(c, &call, again, &error, ret_reply);
    }
    va_end(again);
    va_end(ap);
    return r < 0 ? ctl_failed(c, method, r, &error) : 0;
}

int ctl_device(struct ctl *c, const char *id, char **ret_path)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *path;
    int r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "GetDevice", &reply, "s", id);

    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "o", &path) < 0 || !(*ret_path = strdup(path)))
        return EXIT_FAILURE;
    return 0;
}

static int basic_to_json(sd_bus_message *m, char type, json_object **ret)
{
    union {
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
        const char *s;
    } v;
    char number[DOUBLE_TEXT_MAX];
    int r = sd_bus_message_read_basic(m, type, &v);

    if (r < 0)
        return r;
    switch (type) {
    case 'b':
        *ret = json_object_new_boolean(v.b);
        return 0;
    case 'y':
        *ret = json_object_new_int(v.y);
        return 0;
    case 'n':
        *ret = json_object_new_int(v.n);
        return 0;
    case 'q':
        *ret = json_object_new_int(v.q);
        return 0;
    case 'i':
        *ret = json_object_new_int(v.i);
        return 0;
    case 'u':
        *ret = json_object_new_int64(v.u);
        return 0;
    case 'x':
        *ret = json_object_new_int64(v.x);
        return 0;
    case 't':
        *ret = json_object_new_uint64(v.t);
        return 0;
    case 'd':
        *ret = json_object_new_double_s(v.d, double_format(v.d, number));
        return 0;
    case 's':
    case 'o':
    case 'g':
        *ret = json_object_new_string(v.s);
        return 0;
    default: /* descriptors */
        return -EOPNOTSUPP;
    }
}

static int dictionary_to_json(sd_bus_message *m, json_object *o)
{
    int r;

    while ((r = sd_bus_message_at_end(m, false)) == 0) {
        json_object *v = NULL;
        const char *key;

        r = sd_bus_message_enter_container(m, 'e', NULL);
        if (r >= 0)
            r = sd_bus_message_read_basic(m, 's', &key);
        if (r >= 0)
            r = ctl_to_json(m, &v);
        if (r < 0)
            return r;
        json_object_object_add(o, key, v);
        r = sd_bus_message_exit_container(m);
        if (r < 0)
            return r;
    }
    return r;
}

static int list_to_json(sd_bus_message *m, json_object *o)
{
    int r;

    while ((r = sd_bus_message_at_end(m, false)) == 0) {
        json_object *v = NULL;

        r = ctl_to_json(m, &v);
        if (r < 0)
            return r;
        json_object_array_add(o, v);
    }
    return r;
}

int ctl_to_json(sd_bus_message *m, json_object **ret)
{
    _cleanup_json_ json_object *o = NULL;
    const char *contents;
    char type;
    int r = sd_bus_message_peek_type(m, &type, &contents);

    if (r < 0)
        return r;
    if (type != 'a' && type != 'v' && type != 'r')
        return basic_to_json(m, type, ret);
    r = sd_bus_message_enter_container(m, type, contents);
    if (r < 0)
        return r;
    if (type == 'v')
        r = ctl_to_json(m, &o);
    else if (type == 'a' && contents[0] == '{')
        r = dictionary_to_json(m, o = json_object_new_object());
    else
        r = list_to_json(m, o = json_object_new_array());
    if (r < 0)
        return r;
    r = sd_bus_message_exit_container(m);
    if (r >= 0)
        *ret = TAKE_PTR(o);
    return r;
}

int ctl_properties(struct ctl *c, const char *path, const char *interface, json_object **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r = ctl_call(c, path, "org.freedesktop.DBus.Properties", "GetAll", &reply, "s", interface);

    if (r != 0)
        return r;
    r = ctl_to_json(reply, ret);
    return r < 0 ? ctl_failed(c, "cannot read the properties", r, NULL) : 0;
}

int ctl_property(struct ctl *c, const char *path, const char *interface, const char *name, json_object *properties)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    json_object *value = NULL;
    int r = ctl_call(c, path, "org.freedesktop.DBus.Properties", "Get", &reply, "ss", interface, name);

    if (r != 0)
        return r;
    r = ctl_to_json(reply, &value);
    if (r < 0)
        return ctl_failed(c, "cannot read the properties", r, NULL);
    json_object_object_add(properties, name, value);
    return 0;
}
