/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An option whose value in the answer is wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "coap/exchange.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static uint64_t now(void *userdata)
{
    return 2;
}

static struct {
    uint8_t data[256];
    size_t n;
} caught;

static int send_and_catch(void *userdata, const uint8_t *datagram, size_t n)
{
    assert_true(n <= sizeof(caught.data));
    memcpy(caught.data, datagram, n);
    caught.n = n;
    return 0;
}

static void on_answer(int r, const struct uplink_response *response, void *userdata)
{
    char *text = userdata;

    assert_int_equal(r, 0);
    if (!response->option) {
        strcpy(text, "none");
        return;
    }
    for (size_t i = 0; i < response->option_size; i++)
        snprintf(text + 2 * i, 3, "%02x", response->option[i]);
}

/* An option that is wanted goes out empty, and its value in the answer is handed over; an answer to somebody who did
 * not ask has none. */
static void test_wanted_option(void **state)
{
    static const struct coap_endpoint_ops ops = {.send = send_and_catch, .now = now};
    static const uint8_t told[] = {0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00};
    const struct coap_endpoint_options options = {.ops = &ops, .seed = 1};
    static const struct {
        uint16_t wanted, answered;
        const char *text;
    } table[] = {{65000, 65000, "018bcfe56800"}, {65000, 65002, "none"}, {0, 65000, "none"}};

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        const struct uplink_request request = {
            .method = COAP_POST, .target = "t", .content_format = -1, .accept = -1, .wants_option = table[i].wanted};
        _cleanup_(coap_endpoint_freep) struct coap_endpoint *ep = NULL;
        struct coap_message sent, answer = {.type = COAP_ACK, .code = COAP_CHANGED};
        const struct coap_option *o;
        uint8_t datagram[64];
        char text[32] = "";
        ssize_t n;

        assert_int_equal(coap_endpoint_new(&options, &ep), 0);
        assert_int_equal(coap_request(ep, 1, &request, on_answer, text, NULL), 0);
        assert_int_equal(coap_message_parse(caught.data, caught.n, &sent), 0);
        o = coap_message_find(&sent, 65000);
        assert_true(table[i].wanted ? o && o->length == 0 : !o);
        answer.mid = sent.mid;
        answer.token_size = sent.token_size;
        memcpy(answer.token, sent.token, sizeof(answer.token));
        assert_int_equal(coap_message_add(&answer, table[i].answered, told, sizeof(told)), 0);
        n = coap_message_write(&answer, datagram, sizeof(datagram));
        assert_true(n > 0);
        coap_endpoint_receive(ep, 2, datagram, (size_t)n);
        assert_string_equal(text, table[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wanted_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
