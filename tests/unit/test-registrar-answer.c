/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is concluded from a cloud's answer about a key: a wrong conclusion here forgets a key that the cloud still
 * wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "registrar/answer.h"
#include "registrar/offer.h"
#include "uplink/session.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define CODE(class, detail) ((class) << 5 | (detail))

static const struct {
    uint8_t code;
    const char *body;
    enum registrar_result result;
    bool maybe_sent;
    const char *cloud_id;
    uint64_t retry_after;
} offers[] = {
    {CODE(2, 1), "{\"id\":\"c-17\"}", REGISTRAR_OK, true, "c-17", 0},
    {CODE(2, 4), "{\"id\":\"c-17\",\"more\":1}", REGISTRAR_EXISTS_OURS, true, "c-17", 0},
    {CODE(2, 1), "", REGISTRAR_OK, true, "", 0},
    /* taken, but what as we cannot tell */
    {CODE(2, 1), "{\"id\":17}", REGISTRAR_RETRY, true, "", 0},
    {CODE(2, 1), "{\"id\":\"../x\"}", REGISTRAR_RETRY, true, "", 0},
    {CODE(2, 1), "{\"id\":\"a b\"}", REGISTRAR_RETRY, true, "", 0},
    {CODE(2, 1), "{\"id\":\"\"}", REGISTRAR_RETRY, true, "", 0},
    {CODE(2, 1), "{\"id\":\"..\"}", REGISTRAR_RETRY, true, "", 0},
    {CODE(2, 1), "{}", REGISTRAR_RETRY, true, "", 0},
    {CODE(2, 1), "{\"id\":\"c-17\"", REGISTRAR_RETRY, true, "", 0},
    {CODE(2, 5), "{\"id\":\"c-17\"}", REGISTRAR_RETRY, false, "", 0},
    {CODE(4, 9), "", REGISTRAR_CONFLICT, false, "", 0},
    {CODE(4, 0), "", REGISTRAR_INVALID, false, "", 0},
    {CODE(4, 1), "", REGISTRAR_RETRY, false, "", 0},
    {CODE(4, 4), "", REGISTRAR_RETRY, false, "", 0},
    {CODE(4, 29), "", REGISTRAR_RETRY, false, "", 7 * USEC_PER_SEC},
    {CODE(5, 0), "", REGISTRAR_RETRY, true, "", 0},
    {CODE(5, 3), "", REGISTRAR_RETRY, true, "", 7 * USEC_PER_SEC},
};

static void test_offer(void **state)
{
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        struct answer_texts texts;
        struct registrar_answer answer;

        answer_to_offer(offers[i].code, (const uint8_t *)offers[i].body, strlen(offers[i].body), 7, &texts, &answer);
        if (answer.result != offers[i].result)
            print_error("row %zu: %s\n", i, registrar_result_text(answer.result));
        assert_int_equal(answer.result, offers[i].result);
        assert_int_equal(answer.maybe_sent, offers[i].maybe_sent);
        assert_string_equal(answer.cloud_id, offers[i].cloud_id);
        assert_int_equal(answer.retry_after, offers[i].retry_after);
        /* whoever sees that it did not work sees why */
        if (answer.result != REGISTRAR_OK && answer.result != REGISTRAR_EXISTS_OURS)
            assert_true(strlen(answer.reason) > 10);
    }
}

static void test_delete(void **state)
{
    static const struct {
        uint8_t code;
        enum registrar_result result;
    } rows[] = {
        {CODE(2, 2), REGISTRAR_OK},    {CODE(4, 4), REGISTRAR_ABSENT}, {CODE(2, 1), REGISTRAR_RETRY},
        {CODE(2, 4), REGISTRAR_RETRY}, {CODE(4, 3), REGISTRAR_RETRY},  {CODE(4, 0), REGISTRAR_RETRY},
        {CODE(5, 0), REGISTRAR_RETRY}, {CODE(4, 29), REGISTRAR_RETRY},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer_texts texts;
        struct registrar_answer answer;

        answer_to_delete(rows[i].code, 60, &texts, &answer);
        assert_int_equal(answer.result, rows[i].result);
    }
}

static void test_id_length(void **state)
{
    char id[CLOUD_ID_MAX + 1];

    memset(id, 'a', sizeof(id));
    id[CLOUD_ID_MAX] = 0;
    assert_false(answer_id_valid(id));
    id[CLOUD_ID_MAX - 1] = 0;
    assert_true(answer_id_valid(id));
}

static void test_session(void **state)
{
    static const struct {
        bool established, forward_secrecy, without_pfs;
        uint64_t age;
        int r;
    } rows[] = {
        {true, true, false, 0, 0},
        {true, true, false, USEC_PER_DAY, 0},
        {true, true, false, USEC_PER_DAY + 1, -EAGAIN},
        {true, true, true, USEC_PER_DAY + 1, 0},
        {true, false, false, 0, -EPROTONOSUPPORT},
        {true, false, true, 0, 0},
        {false, true, true, 0, -EAGAIN},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct uplink_info info = {.established = rows[i].established,
                                         .forward_secrecy = rows[i].forward_secrecy,
                                         .full_at = 10 * USEC_PER_DAY};

        assert_int_equal(offer_session_check(&info, info.full_at + rows[i].age, rows[i].without_pfs, NULL), rows[i].r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offer),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_id_length),
        cmocka_unit_test(test_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
