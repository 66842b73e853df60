/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observe.h"

#include "downlink.h"

#include <string.h>

#define FORMAT_JSON 50
#define OBSERVE_MASK 0xffffff /* RFC 7641 section 4.4 */

static void notify(struct client *c)
{
    const char *body = downlink_state(c->device);
    uint8_t number[4];
    coap_pdu_t *pdu = coap_pdu_init(COAP_MESSAGE_CON, COAP_RESPONSE_CODE_CONTENT, coap_new_message_id(c->session),
                                    coap_session_max_pdu_size(c->session));

    if (!pdu)
        return;
    c->observed = (c->observed + 1) & OBSERVE_MASK;
    if (!coap_add_token(pdu, c->token_size, c->token) ||
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

void observe_changed(struct server *s, const struct device *d)
{
    for (struct client *c = server_clients(s); c; c = TAILQ_NEXT(c, all))
        if (c->device == d && c->established && c->token_size > 0)
            notify(c);
}

uint32_t observe_begin(struct client *c, const coap_bin_const_t *token)
{
    c->token_size = MIN_OF(token->length, sizeof(c->token));
    memcpy(c->token, token->s, c->token_size);
    c->observed = (c->observed + 1) & OBSERVE_MASK;
    return c->observed;
}

void observe_end(struct client *c)
{
    c->token_size = 0;
}

void observe_rejected(struct client *c, const coap_bin_const_t *token)
{
    if (c->token_size > 0 && token->length == c->token_size && memcmp(token->s, c->token, c->token_size) == 0)
        observe_end(c);
}
