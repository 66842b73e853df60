/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key --kind=login: a user name and a password, which a broker wants beside the key. Neither stands in an argument. */
#include "ctl.h"

#include <string.h>

bool key_is_login(const struct ctl *c)
{
    return c->kind && strcmp(c->kind, "login") == 0;
}

int key_login_set(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *after = NULL;
    _cleanup_close_ int fd = -EBADF;
    _cleanup_free_ char *path = NULL;
    const char *id = argv[0], *fingerprint;
    int r;

    if (argc > 2 || c->encoding) {
        print_error("key set --kind=login DEVICE [FILE]: %s",
                    c->encoding ? "a login is text: no encoding is for it"
                                : "the user name is the first line of FILE, the password the second");
        return EXIT_USAGE;
    }
    r = ctl_device(c, id, &path);
    if (r == 0)
        r = key_take_login(argc > 1 ? argv[1] : NULL, &fd);
    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "SetCredential", NULL, "ssha{sv}", "main", "", fd, 1, "kind", "s",
                     "login");
    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &after);
    if (r != 0)
        return r;
    fingerprint = json_get_string(after, "LoginFingerprint") ?: "";
    ctl_result_text(c, "device", id);
    ctl_result_text(c, "fingerprint", fingerprint);
    print_say(c, "%s: login set, fingerprint %s; it is for uplink %s alone", id, fingerprint,
              json_get_string(after, "Uplink") ?: "");
    return 0;
}
