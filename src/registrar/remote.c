/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registrars `golioth`, `hono` and `exec`: a gatehouse-registrar of another user does it. */
#include "base/clock.h"
#include "registrar/call.h"
#include "registrar/channel.h"
#include "registrar/offer.h"
#include "registrar/wire.h"

#include <stdio.h>
#include <string.h>

struct remote_registrar {
    struct registrar registrar;
    sd_event *event;
    char *path, *settings;
    enum vault_encoding encoding;
    uint64_t hold_until; /* the cloud asked to be left alone, by whichever device */
};

struct call {
    struct registrar_call call;
    enum wire_action action;
    struct channel *channel;
};

/* The answer, after which the call is gone. */
static void finish(struct call *call, const struct registrar_answer *answer)
{
    struct remote_registrar *remote = (struct remote_registrar *)call->call.registrar;
    registrar_done *done = call->call.done;
    void *userdata = call->call.userdata;

    if (answer->retry_after > 0)
        remote->hold_until = clock_boottime() + answer->retry_after;
    channel_free(call->channel);
    free(call);
    done(answer, userdata);
}

static void on_answer(int r, bool sent, const char *text, size_t n, void *userdata)
{
    struct call *call = userdata;
    struct answer_texts texts = {0};
    struct registrar_answer answer = {
        .result = REGISTRAR_RETRY, .maybe_sent = sent, .cloud_id = "", .reason = texts.reason};

    if (r >= 0)
        wire_read_answer(call->action, text, n, &texts, &answer);
    else
        snprintf(texts.reason, sizeof(texts.reason), "the registrar did not answer: %s", strerrordesc_np(-r));
    /* Looking changes nothing, whatever became of it. */
    if (call->action == WIRE_FIND)
        answer.maybe_sent = false;
    finish(call, &answer);
}

static void cancel(struct registrar_call *c)
{
    struct call *call = (struct call *)c;

    finish(call, &(struct registrar_answer){.result = REGISTRAR_RETRY,
                                            .maybe_sent = channel_sent(call->channel) && call->action != WIRE_FIND,
                                            .cloud_id = "",
                                            .reason = "cancelled"});
}

static int held(const struct remote_registrar *remote, struct error *e)
{
    uint64_t now = clock_boottime();

    if (now >= remote->hold_until)
        return 0;
    return error_set(e, -EAGAIN, "the cloud asked to be left alone for another %u s",
                     (unsigned)((remote->hold_until - now) / USEC_PER_SEC + 1));
}

static int write_request(const struct remote_registrar *remote, const struct registrar_credential *credential,
                         enum wire_action action, char **ret, struct error *e)
{
    enum vault_slot other = credential->slot == VAULT_MAIN ? VAULT_BACKUP : VAULT_MAIN;
    const struct wire_request request = {
        .action = action,
        .device = vault_entry_device(credential->entry),
        .hardware_id = credential->hardware_id,
        .identity = vault_credential(credential->entry, credential->slot)->identity,
        .cloud_id = vault_credential(credential->entry, credential->slot)->cloud_id,
        .other_id = vault_credential(credential->entry, other)->cloud_id,
        .offered = !credential->unoffered,
        .create = !vault_credential(credential->entry, other)->present,
        .replaces = remote->registrar.traits.replaces,
        .clock = clock_synchronized(),
        .settings = remote->settings,
    };
    _cleanup_free_ char *head = NULL;
    int r = wire_write_request(&request, &head);

    if (r < 0)
        return error_errno(e, r, "the registrar cannot be asked");
    return offer_request(head, action == WIRE_PUT ? credential : NULL, remote->encoding, ret, e);
}

static int ask(struct registrar *r, const struct registrar_credential *credential, enum wire_action action,
               registrar_done *done, void *userdata, struct registrar_call **ret, struct error *e)
{
    struct remote_registrar *remote = (struct remote_registrar *)r;
    _cleanup_free_ struct call *call = calloc(1, sizeof(*call));
    char *request = NULL;
    int k = call ? held(remote, e) : -ENOMEM;

    if (k >= 0)
        k = write_request(remote, credential, action, &request, e);
    if (k < 0)
        return k;
    *call = (struct call){.call = {.registrar = r, .done = done, .userdata = userdata}, .action = action};
    k = channel_new(remote->event, remote->path, request, REGISTRAR_TIMEOUT, on_answer, call, &call->channel, e);
    if (k < 0)
        return k;
    *ret = &TAKE_PTR(call)->call;
    return 0;
}

static int offer(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                 void *userdata, struct registrar_call **ret, struct error *e)
{
    return ask(r, credential, WIRE_PUT, done, userdata, ret, e);
}

static int find(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                void *userdata, struct registrar_call **ret, struct error *e)
{
    return ask(r, credential, WIRE_FIND, done, userdata, ret, e);
}

static int delete (struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                   void *userdata, struct registrar_call **ret, struct error *e)
{
    if (!answer_id_valid(vault_credential(credential->entry, credential->slot)->cloud_id))
        return error_set(e, -ENODATA, "the cloud's id of the credential is not known");
    return ask(r, credential, WIRE_DELETE, done, userdata, ret, e);
}

static struct registrar *remote_free(struct registrar *r)
{
    struct remote_registrar *remote = (struct remote_registrar *)r;

    sd_event_unref(remote->event);
    free(remote->path);
    free(remote->settings);
    free(remote);
    return NULL;
}

static const struct registrar_class class = {
    .name = "remote", .offer = offer, .find = find, .delete = delete, .cancel = cancel, .free = remote_free};

int registrar_remote_new(sd_event *event, const char *path, const char *settings, bool replaces,
                         enum vault_encoding encoding, struct registrar **ret)
{
    _cleanup_(registrar_freep) struct registrar *r = NULL;
    struct remote_registrar *remote = calloc(1, sizeof(*remote));

    if (!remote)
        return -ENOMEM;
    *remote = (struct remote_registrar){
        .registrar =
            {.class = &class,
             .traits = {.replaces = replaces, .out_of_band = true, .looks = true, .text_keys = encoding == VAULT_TEXT}},
        .event = sd_event_ref(event),
        .path = strdup(path),
        .settings = strdup(settings),
        .encoding = encoding,
    };
    r = &remote->registrar;
    if (!remote->path || !remote->settings)
        return -ENOMEM;
    *ret = TAKE_PTR(r);
    return 0;
}
