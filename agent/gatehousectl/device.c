/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* device, connect, disconnect, read, write, reload: acting on devices. */
#include "ctl.h"

#include "base/durable.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The text of a file, or of standard input, at most CONFIG_FILE_MAX bytes. */
static int read_text(const char *file, char **ret)
{
    _cleanup_free_ char *data = NULL;
    struct error e;
    size_t n = 0;

    if (file && strcmp(file, "-") != 0) {
        int r = file_read(AT_FDCWD, file, CONFIG_FILE_MAX, ret, &n, &e);

        if (r < 0)
            fprintf(stderr, "gatehousectl: %s\n", e.text);
        return r < 0 ? EXIT_FAILURE : 0;
    }
    data = malloc(CONFIG_FILE_MAX + 1);
    if (!data)
        return EXIT_FAILURE;
    n = fread(data, 1, CONFIG_FILE_MAX, stdin);
    if (ferror(stdin) || n == CONFIG_FILE_MAX) {
        fprintf(stderr, "gatehousectl: cannot read standard input, or it is over %d bytes\n", CONFIG_FILE_MAX);
        return EXIT_FAILURE;
    }
    data[n] = 0;
    *ret = TAKE_PTR(data);
    return 0;
}

static int add(struct ctl *c, const char *id, const char *file)
{
    _cleanup_free_ char *config = NULL;
    int r = read_text(file, &config);

    if (r != 0)
        return r;
    r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "AddDevice", NULL, "sa{sv}", id, 1, "config", "s", config);
    if (r == 0)
        print_say(c, "%s added", id);
    return r;
}

static bool confirmed(struct ctl *c, const char *id)
{
    char answer[8] = "";

    if (c->yes || !isatty(STDIN_FILENO))
        return true;
    fprintf(stderr, "Remove %s%s? [y/N] ", id, c->keep ? "" : ", its credentials and its waiting samples");
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int remove_device(struct ctl *c, const char *id)
{
    int r;

    if (!confirmed(c, id))
        return EXIT_FAILURE;
    r = ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "RemoveDevice", NULL, "sa{sv}", id, 1, "keep", "b",
                 (int)c->keep);
    if (r == 0)
        print_say(c, "%s removed", id);
    return r;
}

int verb_device(struct ctl *c, int argc, char **argv)
{
    if (strcmp(argv[1], "add") == 0)
        return add(c, argv[2], argc > 3 ? argv[3] : NULL);
    if (strcmp(argv[1], "remove") == 0 && argc == 3)
        return remove_device(c, argv[2]);
    fprintf(stderr, "gatehousectl: device add DEVICE [FILE], or device remove DEVICE\n");
    return EXIT_USAGE;
}

static int call_device(struct ctl *c, const char *id, const char *method)
{
    _cleanup_free_ char *path = NULL;
    int r = ctl_device(c, id, &path);

    return r != 0 ? r : ctl_call(c, path, BUS_INTERFACE_DEVICE, method, NULL, "");
}

int verb_connect(struct ctl *c, int argc, char **argv)
{
    return call_device(c, argv[1], "Connect");
}

int verb_disconnect(struct ctl *c, int argc, char **argv)
{
    return call_device(c, argv[1], "Disconnect");
}

int verb_reload(struct ctl *c, int argc, char **argv)
{
    return ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Reload", NULL, "");
}

int verb_read(struct ctl *c, int argc, char **argv)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_json_ json_object *value = NULL, *o = NULL;
    _cleanup_free_ char *path = NULL;
    uint64_t time;
    int r = ctl_device(c, argv[1], &path);

    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "Read", &reply, "s", argv[2]);
    if (r != 0)
        return r;
    if (ctl_to_json(reply, &value) < 0 || sd_bus_message_read(reply, "t", &time) < 0)
        return EXIT_FAILURE;
    if (c->output == OUTPUT_TEXT) {
        puts(json_object_get_string(value));
        return 0;
    }
    o = json_object_new_object();
    json_object_object_add(o, "value", TAKE_PTR(value));
    json_object_object_add(o, "time", json_object_new_uint64(time));
    print_json(c, o);
    return 0;
}

/* b, x, d or s, as the text looks. */
static char guess_type(const char *text)
{
    char *end;

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return 'b';
    errno = 0;
    (void)strtoll(text, &end, 10);
    if (end != text && *end == 0 && errno == 0)
        return 'x';
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

int verb_write(struct ctl *c, int argc, char **argv)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_free_ char *path = NULL;
    char type = c->type ? c->type[0] : guess_type(argv[3]);
    int r;

    if (c->type && (strlen(c->type) != 1 || !strchr("bxtds", type))) {
        fprintf(stderr, "gatehousectl: --type takes b, x, t, d or s, not '%s'\n", c->type);
        return EXIT_USAGE;
    }
    r = ctl_device(c, argv[1], &path);
    if (r != 0)
        return r;
    r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, path, BUS_INTERFACE_DEVICE, "Write");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", argv[2]);
    if (r >= 0)
        r = append_value(m, type, argv[3]);
    if (r == -EINVAL) {
        fprintf(stderr, "gatehousectl: '%s' is no value of type '%c'\n", argv[3], type);
        return EXIT_USAGE;
    }
    if (r >= 0)
        r = sd_bus_call(c->bus, m, CALL_TIMEOUT, &error, NULL);
    return r < 0 ? ctl_failed(c, "Write", r, &error) : 0;
}
