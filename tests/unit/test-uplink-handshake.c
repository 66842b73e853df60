/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/handshake.h"

#include "base/cleanup.h"

#include <gnutls/gnutls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define R HANDSHAKE_REFUSED
#define U HANDSHAKE_UNCLEAR
#define M HANDSHAKE_MISMATCH
#define O HANDSHAKE_UNWELL

static void test_alerts(void **state)
{
    static const struct {
        int description;
        enum handshake_verdict verdict[HANDSHAKE_STAGES];
    } cases[] = {
        {0, {O, O, O, R}},   {10, {M, M, M, M}},  {20, {M, R, M, R}},  {40, {M, U, M, R}},  {42, {M, M, M, M}},
        {47, {M, R, M, R}},  {51, {M, R, M, R}},  {70, {M, M, M, M}},  {71, {M, M, M, M}},  {80, {O, O, O, R}},
        {86, {M, M, M, M}},  {90, {O, O, O, O}},  {109, {M, M, M, M}}, {112, {M, M, M, M}}, {115, {M, R, M, R}},
        {116, {M, M, M, M}}, {120, {M, M, M, M}}, {49, {O, R, O, R}},  {255, {M, M, M, R}}, {200, {M, M, M, R}},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++)
        for (enum handshake_stage stage = HANDSHAKE_HELLO; stage <= HANDSHAKE_PROVED; stage++)
            assert_int_equal(handshake_alert(cases[i].description, stage).verdict, cases[i].verdict[stage]);
}

/* Before a server has seen a proof, nothing that it says is evidence. */
static void test_no_evidence_without_proof(void **state)
{
    for (int description = 0; description < 256; description++) {
        assert_int_not_equal(handshake_alert(description, HANDSHAKE_HELLO).verdict, HANDSHAKE_REFUSED);
        assert_int_not_equal(handshake_alert(description, HANDSHAKE_CHOSEN).verdict, HANDSHAKE_REFUSED);
        assert_int_not_equal(handshake_own_alert(description, HANDSHAKE_BINDER).verdict, HANDSHAKE_REFUSED);
    }
    for (int r = -500; r < 0; r++) {
        assert_int_not_equal(handshake_gnutls(r, HANDSHAKE_HELLO).verdict, HANDSHAKE_REFUSED);
        assert_int_not_equal(handshake_gnutls(r, HANDSHAKE_CHOSEN).verdict, HANDSHAKE_REFUSED);
    }
}

static void test_gnutls(void **state)
{
    static const struct {
        int r;
        enum handshake_verdict before, after;
        enum handshake_about about;
    } cases[] = {
        {GNUTLS_E_UNSUPPORTED_VERSION_PACKET, M, M, ABOUT_VERSION},
        {GNUTLS_E_UNKNOWN_CIPHER_SUITE, M, M, ABOUT_SUITES},
        {GNUTLS_E_ECC_UNSUPPORTED_CURVE, M, M, ABOUT_GROUPS},
        {GNUTLS_E_UNEXPECTED_PACKET_LENGTH, HANDSHAKE_LIMIT, HANDSHAKE_LIMIT, ABOUT_NOTHING},
        {GNUTLS_E_HANDSHAKE_TOO_LARGE, HANDSHAKE_LIMIT, HANDSHAKE_LIMIT, ABOUT_NOTHING},
        {GNUTLS_E_MEMORY_ERROR, HANDSHAKE_OURS, HANDSHAKE_OURS, ABOUT_NOTHING},
        {GNUTLS_E_UNEXPECTED_PACKET, O, R, ABOUT_NOTHING},
        {GNUTLS_E_DECRYPTION_FAILED, M, R, ABOUT_PROTOCOL},
        {GNUTLS_E_PK_SIGN_FAILED, M, R, ABOUT_PROTOCOL}, /* not in the table */
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct handshake_end end = handshake_gnutls(cases[i].r, HANDSHAKE_CHOSEN);

        assert_int_equal(end.verdict, cases[i].before);
        assert_int_equal(end.about, cases[i].about);
        assert_int_equal(handshake_gnutls(cases[i].r, HANDSHAKE_PROVED).verdict, cases[i].after);
    }
}

/* A mismatch names what was offered and what to change; a refusal neither, but the usual mistakes with keys. */
static void test_words(void **state)
{
    static const char offer[] = "THE-OFFER";

    for (int description = -1; description < 256; description++)
        for (enum handshake_stage stage = HANDSHAKE_HELLO; stage <= HANDSHAKE_PROVED; stage++) {
            struct handshake_end end = handshake_alert(description, stage);
            struct error e = {0};

            handshake_say(&e, &end, offer);
            assert_non_null(strstr(e.text, end.what));
            assert_true(strlen(e.text) < sizeof(e.text) - 1);
            if (end.verdict == HANDSHAKE_MISMATCH && end.about != ABOUT_NAME)
                assert_non_null(strstr(e.text, offer));
            if (end.verdict == HANDSHAKE_MISMATCH)
                assert_null(strstr(e.text, "did not accept key"));
            if (end.verdict == HANDSHAKE_REFUSED)
                assert_non_null(strstr(e.text, "ASCII, hex or base64"));
        }
}

static void test_words_name_the_setting(void **state)
{
    struct handshake_end end = handshake_alert(40, HANDSHAKE_CHOSEN);
    struct error e = {0};

    handshake_say(&e, &end, "x");
    assert_non_null(strstr(e.text, "\"suites\""));
    end = handshake_alert(112, HANDSHAKE_HELLO);
    handshake_say(&e, &end, "x");
    assert_non_null(strstr(e.text, "\"url\""));
    handshake_say_cookie(&e, 64);
    assert_non_null(strstr(e.text, "64"));
    assert_non_null(strstr(e.text, "32"));
    assert_int_equal(handshake_say_silent(&e, true, true, "x"), UPLINK_TROUBLE_KEY);
    assert_int_equal(handshake_say_silent(&e, false, false, "x"), UPLINK_TROUBLE_SILENT);
    assert_int_equal(handshake_say_silent(&e, false, true, "x"), UPLINK_TROUBLE_OTHER);
    assert_non_null(strstr(e.text, "suites"));
}

/* What a check says of it, of every alert: key or identity only where there is evidence, and each says which. */
static void test_troubles(void **state)
{
    for (int description = -1; description < 256; description++)
        for (enum handshake_stage stage = HANDSHAKE_HELLO; stage <= HANDSHAKE_PROVED; stage++) {
            struct handshake_end end = handshake_alert(description, stage);
            enum uplink_trouble trouble = handshake_trouble(&end);

            assert_true((end.verdict == HANDSHAKE_REFUSED) ==
                        (trouble == UPLINK_TROUBLE_KEY || trouble == UPLINK_TROUBLE_IDENTITY));
            assert_true((trouble == UPLINK_TROUBLE_IDENTITY) ==
                        (end.verdict == HANDSHAKE_REFUSED && description == 115));
            assert_true((end.verdict == HANDSHAKE_MISMATCH || end.verdict == HANDSHAKE_UNCLEAR) ==
                        (trouble == UPLINK_TROUBLE_SUITES));
        }
    assert_int_equal(uplink_trouble_of_errno(ECONNREFUSED), UPLINK_TROUBLE_CLOSED);
    assert_int_equal(uplink_trouble_of_errno(ENETUNREACH), UPLINK_TROUBLE_ROUTE);
    assert_int_equal(uplink_trouble_of_errno(ETIMEDOUT), UPLINK_TROUBLE_SILENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alerts), cmocka_unit_test(test_no_evidence_without_proof),
        cmocka_unit_test(test_gnutls), cmocka_unit_test(test_troubles),
        cmocka_unit_test(test_words),  cmocka_unit_test(test_words_name_the_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
