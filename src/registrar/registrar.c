/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registrar/registrar.h"

#include "registrar/call.h"

#include <errno.h>

const char *registrar_result_text(enum registrar_result result)
{
    switch (result) {
    case REGISTRAR_OK:
        return "ok";
    case REGISTRAR_EXISTS_OURS:
        return "exists-ours";
    case REGISTRAR_CONFLICT:
        return "conflict";
    case REGISTRAR_INVALID:
        return "invalid";
    case REGISTRAR_ABSENT:
        return "absent";
    case REGISTRAR_RETRY:
        return "retry";
    }
    return "unknown";
}

int registrar_offer(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                    void *userdata, struct registrar_call **ret, struct error *e)
{
    return r->class->offer(r, credential, done, userdata, ret, e);
}

int registrar_find(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                   void *userdata, struct registrar_call **ret, struct error *e)
{
    return r->class->find(r, credential, done, userdata, ret, e);
}

int registrar_delete(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                     void *userdata, struct registrar_call **ret, struct error *e)
{
    return r->class->delete (r, credential, done, userdata, ret, e);
}

void registrar_call_cancel(struct registrar_call *call)
{
    call->registrar->class->cancel(call);
}

struct registrar *registrar_free(struct registrar *r)
{
    return r ? r->class->free(r) : NULL;
}
