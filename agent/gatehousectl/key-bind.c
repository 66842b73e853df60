/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key --kind=bind: the key with which a sensor encrypts what it sends. No cloud knows it, so it has no identity and no
 * second slot. */
#include "ctl.h"

#include "base/limits.h"

#include <string.h>

bool key_is_bind(const struct ctl *c)
{
    return c->kind && strcmp(c->kind, "bind") == 0;
}

static int check_length(size_t length)
{
    if (length == SENSOR_KEY_SIZE)
        return 0;
    print_error("a bind key has %d bytes, which are %d hex digits; this has %zu%s", SENSOR_KEY_SIZE,
                2 * SENSOR_KEY_SIZE, length,
                length == 12
                    ? ". Keys of 12 bytes are those of sensors that speak MiBeacon before version 4, which are "
                      "not supported"
                    : "");
    return EXIT_FAILURE;
}

int key_bind_set(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *after = NULL;
    _cleanup_close_ int fd = -EBADF;
    _cleanup_free_ char *path = NULL;
    const char *id = argv[0], *encoding = c->encoding ?: "hex", *fingerprint;
    size_t length = 0;
    int r;

    if (argc > 2) {
        print_error("key set --kind=bind DEVICE [FILE]: a bind key has no identity");
        return EXIT_USAGE;
    }
    r = ctl_device(c, id, &path);
    if (r == 0)
        r = key_take(c, argc > 1 ? argv[1] : NULL, "hex", &fd, &length);
    if (r == 0)
        r = check_length(length);
    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "SetCredential", NULL, "ssha{sv}", "main", "", fd, 2, "encoding",
                     "s", encoding, "kind", "s", "bind");
    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &after);
    if (r != 0)
        return r;
    fingerprint = json_get_string(after, "BindFingerprint") ?: "";
    ctl_result_text(c, "device", id);
    ctl_result_text(c, "fingerprint", fingerprint);
    ctl_result_text(c, "encoding", encoding);
    json_object_object_add(ctl_result(c), "bytes", json_object_new_int64((int64_t)length));
    print_say(c, "%s: bind key set, fingerprint %s, %zu bytes, read as %s", id, fingerprint, length, encoding);
    return 0;
}

int verb_key_counter_reset(struct ctl *c, int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    int r = ctl_device(c, argv[0], &path);

    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "ResetCounter", NULL, "a{sv}", 0);
    if (r != 0)
        return r;
    ctl_result_text(c, "device", argv[0]);
    print_say(c, "%s: the next message of its sensor is taken whatever its counter", argv[0]);
    return 0;
}
