/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The `coap` registrar: the device tells its own cloud, over its own session. */
#include "base/clock.h"
#include "coap/message.h"
#include "registrar/answer.h"
#include "registrar/call.h"
#include "registrar/offer.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FORMAT_JSON 50 /* application/json, RFC 7252 section 12.3 */

struct coap_registrar {
    struct registrar registrar;
    sd_event *event;
    bool offer_without_pfs;
};

enum purpose { OFFER, FIND, DELETE };

struct call {
    struct registrar_call call;
    enum purpose purpose;
    struct uplink_call *request;
    sd_event_source *timeout;
};

static struct call *call_free(struct call *call)
{
    sd_event_source_disable_unref(call->timeout);
    free(call);
    return NULL;
}

static void call_freep(struct call **call)
{
    if (*call)
        call_free(*call);
}

/* The answer, after which the call is gone. */
static void finish(struct call *call, const struct registrar_answer *answer)
{
    registrar_done *done = call->call.done;
    void *userdata = call->call.userdata;

    call_free(call);
    done(answer, userdata);
}

static void on_response(int r, const struct uplink_response *response, void *userdata)
{
    struct call *call = userdata;
    struct answer_texts texts = {0};
    struct registrar_answer answer = {
        .result = REGISTRAR_RETRY, .maybe_sent = true, .cloud_id = "", .reason = "the cloud did not answer"};

    call->request = NULL;
    if (r >= 0 && call->purpose == DELETE)
        answer_to_delete(response->code, response->max_age, &texts, &answer);
    else if (r >= 0)
        answer_to_offer(response->code, response->payload, response->payload_size, response->max_age, &texts, &answer);
    if (call->purpose == FIND && answer.result == REGISTRAR_EXISTS_OURS)
        answer.result = REGISTRAR_OK;
    finish(call, &answer);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct call *call = userdata;

    /* Ends in on_response. */
    uplink_call_cancel(call->request);
    return 0;
}

static void cancel(struct registrar_call *call)
{
    uplink_call_cancel(((struct call *)call)->request);
}

static int send_request(struct coap_registrar *c, struct uplink_session *session, enum purpose purpose,
                        const struct uplink_request *request, registrar_done *done, void *userdata,
                        struct registrar_call **ret, struct error *e)
{
    _cleanup_(call_freep) struct call *call = calloc(1, sizeof(*call));
    int r;

    if (!call)
        return -ENOMEM;
    *call = (struct call){.call = {.registrar = &c->registrar, .done = done, .userdata = userdata}, .purpose = purpose};
    r = sd_event_add_time(c->event, &call->timeout, CLOCK_BOOTTIME, clock_boottime() + REGISTRAR_TIMEOUT, USEC_PER_SEC,
                          on_timeout, call);
    if (r >= 0) {
        /* Before the request: what cannot be sent is answered at once, after which the call is gone. */
        *ret = &call->call;
        r = uplink_session_request(session, request, on_response, call, &call->request);
    }
    if (r < 0) {
        *ret = NULL;
        return error_errno(e, r, "the cloud cannot be asked");
    }
    TAKE_PTR(call);
    return 0;
}

static int post(struct registrar *r, const struct registrar_credential *credential, enum purpose purpose,
                registrar_done *done, void *userdata, struct registrar_call **ret, struct error *e)
{
    struct coap_registrar *c = (struct coap_registrar *)r;
    _cleanup_(offer_freep) char *body = NULL;
    struct uplink_info info;
    size_t n;
    int k;

    if (!credential->session)
        return error_set(e, -ENOTCONN, "there is no session to offer the key over");
    uplink_session_info(credential->session, &info);
    k = offer_session_check(&info, clock_boottime(), c->offer_without_pfs, e);
    if (k == -EAGAIN && info.established)
        uplink_session_renew(credential->session);
    if (k >= 0)
        k = offer_body(credential, &body, &n, e);
    if (k < 0)
        return k;
    return send_request(c, credential->session, purpose,
                        &(struct uplink_request){.method = COAP_POST,
                                                 .target = "credentials",
                                                 .content_format = FORMAT_JSON,
                                                 .accept = -1,
                                                 .payload = body,
                                                 .payload_size = n,
                                                 .secret = true},
                        done, userdata, ret, e);
}

static int offer(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                 void *userdata, struct registrar_call **ret, struct error *e)
{
    return post(r, credential, OFFER, done, userdata, ret, e);
}

/* This cloud shows nothing, but repeating an offer changes nothing and tells. */
static int find(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                void *userdata, struct registrar_call **ret, struct error *e)
{
    return post(r, credential, FIND, done, userdata, ret, e);
}

static int delete (struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                   void *userdata, struct registrar_call **ret, struct error *e)
{
    const char *id = vault_credential(credential->entry, credential->slot)->cloud_id;
    char path[CLOUD_ID_MAX + 16];

    if (!credential->session)
        return error_set(e, -ENOTCONN, "there is no session to ask for the deletion over");
    if (!answer_id_valid(id))
        return error_set(e, -ENODATA, "the cloud's id of the credential is not known");
    snprintf(path, sizeof(path), "credentials/%s", id);
    return send_request(
        (struct coap_registrar *)r, credential->session, DELETE,
        &(struct uplink_request){.method = COAP_DELETE, .target = path, .content_format = -1, .accept = -1}, done,
        userdata, ret, e);
}

static struct registrar *coap_free(struct registrar *r)
{
    sd_event_unref(((struct coap_registrar *)r)->event);
    free(r);
    return NULL;
}

static const struct registrar_class class = {
    .name = "coap", .offer = offer, .find = find, .delete = delete, .cancel = cancel, .free = coap_free};

int registrar_coap_new(sd_event *event, bool replaces, bool offer_without_pfs, struct registrar **ret)
{
    struct coap_registrar *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    *c = (struct coap_registrar){.registrar = {.class = &class, .traits = {.replaces = replaces}},
                                 .event = sd_event_ref(event),
                                 .offer_without_pfs = offer_without_pfs};
    *ret = &c->registrar;
    return 0;
}
