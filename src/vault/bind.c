/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/bind.h"

#include "base/cleanup.h"
#include "base/durable.h"
#include "base/names.h"

#include <fcntl.h>
#include <string.h>
#include <systemd/sd-id128.h>

int bind_serial(const char *text, size_t n, struct bind_value *ret)
{
    const char *end = memchr(text, 0, n);
    size_t size = strcspn(text, "\n");

    size = MIN_OF(size, end ? (size_t)(end - text) : n);
    /* Boards without a serial number report zeros. */
    if (size == 0 || strspn(text, "0") >= size || size > sizeof(ret->bytes))
        return -EINVAL;
    memcpy(ret->bytes, text, size);
    ret->size = size;
    return 0;
}

static int read_serial(struct bind_value *ret, struct error *e)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = file_read(AT_FDCWD, BOARD_SERIAL_FILE, VAULT_BIND_MAX, &text, &n, e);

    if (r == -ENOENT)
        return error_set(e, r, "this machine has no serial number in a device tree (%s)", BOARD_SERIAL_FILE);
    if (r < 0)
        return r;
    r = bind_serial(text, n, ret);
    return r < 0 ? error_set(e, r, "%s has no serial number", BOARD_SERIAL_FILE) : 0;
}

static int read_machine_id(struct bind_value *ret, struct error *e)
{
    sd_id128_t id;
    int r = sd_id128_get_machine(&id);

    if (r < 0)
        return error_errno(e, r, "this machine has no machine id (/etc/machine-id)");
    memcpy(ret->bytes, id.bytes, sizeof(id.bytes));
    ret->size = sizeof(id.bytes);
    return 0;
}

static int read_file(const char *path, struct bind_value *ret, struct error *e)
{
    _cleanup_free_ char *data = NULL;
    size_t n;
    int r = file_read(AT_FDCWD, path, VAULT_BIND_MAX, &data, &n, e);

    if (r < 0)
        return r;
    if (n == 0)
        return error_set(e, -EINVAL, "%s is empty", path);
    memcpy(ret->bytes, data, n);
    explicit_bzero(data, n);
    ret->size = n;
    return 0;
}

int bind_read(const char *spec, struct bind_value *ret, struct error *e)
{
    struct bind_value value = {.size = 0};
    int r = 0;

    if (spec && strcmp(spec, BIND_BOARD_SERIAL) == 0)
        r = read_serial(&value, e);
    else if (spec && strcmp(spec, BIND_MACHINE_ID) == 0)
        r = read_machine_id(&value, e);
    else if (spec)
        r = read_file(spec + strlen(BIND_FILE), &value, e);
    if (r < 0)
        return error_prefix(e, r, "the vault is bound to %s", spec);
    *ret = value;
    explicit_bzero(&value, sizeof(value));
    return 0;
}
