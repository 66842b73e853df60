/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/limits.h"
#include "base/names.h"
#include "bus/internal.h"

#include <errno.h>
#include <string.h>

/* clang-format off */
static const struct {
    int r;
    const char *name;
} names[] = {
    {-ENODEV, ERROR_NO_SUCH_DEVICE},
    {-ENXIO, ERROR_NO_SUCH_POINT},
    {-EEXIST, ERROR_KEY_IN_USE},
    {-EADDRINUSE, ERROR_IDENTITY_IN_USE},
    {-EKEYREJECTED, ERROR_WEAK_KEY},
    {-EBUSY, ERROR_BUSY},
    {-EROFS, ERROR_READ_ONLY},
    {-ESTALE, ERROR_STATE_NOT_DURABLE},
    {-EACCES, ERROR_NOT_WRITABLE},
    {-ENOTCONN, ERROR_DRIVER_AWAY},
    {-EINVAL, ERROR_INVALID_ARGUMENT},
    {-ERANGE, ERROR_INVALID_ARGUMENT},
    {-EBADMSG, ERROR_INVALID_ARGUMENT},
    {-EMSGSIZE, ERROR_INVALID_ARGUMENT},
    {-ENOENT, ERROR_INVALID_ARGUMENT},
    {-EAGAIN, ERROR_BUSY},
    {-ENOKEY, ERROR_INVALID_ARGUMENT},
    {-ENOMEM, SD_BUS_ERROR_NO_MEMORY},
    {-ETIMEDOUT, SD_BUS_ERROR_TIMEOUT},
    {-EOPNOTSUPP, SD_BUS_ERROR_NOT_SUPPORTED},
};
/* clang-format on */

int bus_error_set(sd_bus_error *error, int r, const struct error *e)
{
    const char *text = e && e->text[0] ? e->text : strerrordesc_np(-r);

    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (names[i].r == r)
            return sd_bus_error_set(error, names[i].name, text);
    return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, text);
}

int bus_reply(sd_bus_message *call, int r, const struct error *e)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;

    if (r >= 0)
        return sd_bus_reply_method_return(call, NULL);
    bus_error_set(&error, r, e);
    r = sd_bus_reply_method_error(call, &error);
    sd_bus_error_free(&error);
    return r;
}

void bus_done(int r, const struct error *e, void *call)
{
    bus_reply(call, r, e);
    sd_bus_message_unref(call);
}

int bus_not_begun(sd_bus_message *call, int r, const struct error *e, sd_bus_error *error)
{
    sd_bus_message_unref(call);
    return bus_error_set(error, r, e);
}

int bus_take_flag(sd_bus_message *m, const char *key, const char *wanted, bool *ret)
{
    int flag, r;

    if (strcmp(key, wanted) != 0)
        return -ENOENT;
    r = sd_bus_message_read(m, "v", "b", &flag);
    if (r >= 0)
        *ret = flag != 0;
    return r;
}

int bus_take_compromised(sd_bus_message *m, const char *key, const char *signature, void *ret)
{
    return bus_take_flag(m, key, "compromised", ret);
}

int bus_read_options(sd_bus_message *m, bus_option take, void *userdata, sd_bus_error *error)
{
    const char *seen[BUS_OPTIONS_MAX];
    size_t n = 0;
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");

    if (r < 0)
        return r;
    while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        const char *key, *contents;

        if (n == BUS_OPTIONS_MAX)
            return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "over %d options", BUS_OPTIONS_MAX);

        r = sd_bus_message_read(m, "s", &key);
        for (size_t i = 0; r >= 0 && i < n; i++)
            if (strcmp(seen[i], key) == 0)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "option '%.64s' is given twice", key);
        if (r >= 0)
            seen[n++] = key;
        if (r >= 0)
            r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r >= 0)
            r = take ? take(m, key, contents, userdata) : -ENOENT;
        if (r == -ENOENT)
            return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s knows no option '%.64s'",
                                     sd_bus_message_get_member(m), key);
        if (r == -ENXIO)
            return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "option '%s' is of another type than '%s'", key,
                                     contents);
        if (r < 0)
            return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}
