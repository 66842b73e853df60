/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Acts that somebody may have to account for: answered, and written down with who asked, when they have been done. */
#include "base/log.h"
#include "bus/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct audited {
    sd_bus_message *call;
    const char *message_id; /* static */
    char *device;           /* NULL: none */
    char *text;
    uint32_t uid;
};

static struct audited *audited_free(struct audited *a)
{
    if (!a)
        return NULL;
    sd_bus_message_unref(a->call);
    free(a->device);
    free(a->text);
    free(a);
    return NULL;
}

struct audited *audited_new(struct bus *b, sd_bus_message *call, const char *message_id, const char *device,
                            const char *format, ...)
{
    struct audited *a = calloc(1, sizeof(*a));
    va_list ap;
    int n;

    if (!a)
        return NULL;
    va_start(ap, format);
    n = vasprintf(&a->text, format, ap);
    va_end(ap);
    a->call = sd_bus_message_ref(call);
    a->message_id = message_id;
    a->uid = b->caller;
    a->device = device ? strdup(device) : NULL;
    if (n < 0)
        a->text = NULL;
    return n < 0 || (device && !a->device) ? audited_free(a) : a;
}

int audited_not_begun(struct audited *a, int r, const struct error *e, sd_bus_error *error)
{
    audited_free(a);
    return bus_error_set(error, r, e);
}

static void write_down(const struct audited *a)
{
    log_audit(LOG_NOTICE, a->message_id, a->device, a->uid, "%s", a->text);
}

void audited_done(int r, const struct error *e, void *userdata)
{
    struct audited *a = userdata;

    if (r >= 0)
        write_down(a);
    bus_reply(a->call, r, e);
    audited_free(a);
}

void audited_exported(int r, int fd, const struct error *e, void *userdata)
{
    struct audited *a = userdata;

    if (r < 0) {
        bus_reply(a->call, r, e);
    } else {
        write_down(a);
        sd_bus_reply_method_return(a->call, "h", fd);
    }
    audited_free(a);
}
