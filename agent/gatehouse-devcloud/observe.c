/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observe.h"

#include "downlink.h"

#include "base/json.h"

#include <string.h>

#define FORMAT_JSON 50
#define OBSERVE_MASK 0xffffff /* RFC 7641 section 4.4 */

char *observe_state(const struct device *d, enum observable what)
{
    _cleanup_json_ json_object *o = NULL;

    switch (what) {
    case OBSERVABLE_COMMANDS:
        return strdup(downlink_state(d));
    case OBSERVABLE_SETTINGS:
        break;
    }
    if (!d->settings)
        return strdup("null");
    o = json_object_new_object();
    json_object_object_add(o, "version", json_object_new_int64(d->settings_version));
    json_object_object_add(o, "settings", json_object_get(d->settings));
    return strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
}

static void notify(struct client *c, enum observable what)
{
    _cleanup_free_ char *state = observe_state(c->device, what);
    const struct observation *at = &c->observations[what];
    const char *body = state ?: "";
    uint8_t number[4];
    coap_pdu_t *pdu = coap_pdu_init(COAP_MESSAGE_CON, COAP_RESPONSE_CODE_CONTENT, coap_new_message_id(c->session),
                                    coap_session_max_pdu_size(c->session));

    if (!pdu)
        return;
    c->observed = (c->observed + 1) & OBSERVE_MASK;
    if (!coap_add_token(pdu, at->token_size, at->token) ||
        !coap_add_option(pdu, COAP_OPTION_OBSERVE, coap_encode_var_safe(number, sizeof(number), c->observed), number) ||
        !coap_add_option(pdu, COAP_OPTION_CONTENT_FORMAT, coap_encode_var_safe(number, sizeof(number), FORMAT_JSON),
                         number) ||
        !coap_add_option(pdu, COAP_OPTION_MAXAGE, coap_encode_var_safe(number, sizeof(number), COMMANDS_MAX_AGE),
                         number) ||
        (body[0] && !coap_add_data(pdu, strlen(body), (const uint8_t *)body)))
        coap_delete_pdu(pdu);
    else
        coap_send(c->session, pdu);
}

void observe_changed(struct server *s, const struct device *d, enum observable what)
{
    for (struct client *c = server_clients(s); c; c = TAILQ_NEXT(c, all))
        if (c->device == d && c->established && c->observations[what].token_size > 0)
            notify(c, what);
}

uint32_t observe_begin(struct client *c, enum observable what, const coap_bin_const_t *token)
{
    struct observation *at = &c->observations[what];

    at->token_size = MIN_OF(token->length, sizeof(at->token));
    memcpy(at->token, token->s, at->token_size);
    c->observed = (c->observed + 1) & OBSERVE_MASK;
    return c->observed;
}

void observe_end(struct client *c, enum observable what)
{
    c->observations[what].token_size = 0;
}

void observe_rejected(struct client *c, const coap_bin_const_t *token)
{
    for (int what = 0; what < OBSERVABLES; what++) {
        struct observation *at = &c->observations[what];

        if (at->token_size > 0 && token->length == at->token_size && memcmp(token->s, at->token, at->token_size) == 0)
            at->token_size = 0;
    }
}
