/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The `manual` registrar: a person tells the cloud. There is nobody to call. */
#include "registrar/registrar.h"

#include <errno.h>
#include <stdlib.h>

static int nobody(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                  void *userdata, struct registrar_call **ret, struct error *e)
{
    return error_set(e, -EOPNOTSUPP, "this uplink's keys are registered by hand");
}

static void cancel(struct registrar_call *call) {}

static struct registrar *manual_free(struct registrar *r)
{
    free(r);
    return NULL;
}

static const struct registrar_class class = {
    .name = "manual", .offer = nobody, .find = nobody, .delete = nobody, .cancel = cancel, .free = manual_free};

int registrar_manual_new(bool replaces, struct registrar **ret)
{
    struct registrar *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    *r = (struct registrar){.class = &class, .traits = {.replaces = replaces, .out_of_band = true, .manual = true}};
    *ret = r;
    return 0;
}
