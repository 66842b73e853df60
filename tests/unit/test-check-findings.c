/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A list that loses the cause, or drowns it in its consequences, sends people the wrong way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include "check/findings.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_kinds_are_whole(void **state)
{
    for (int i = 0; i < FINDINGS_N; i++) {
        const struct finding_kind *k = &finding_kinds[i];

        assert_non_null(k->name);
        assert_non_null(k->meaning);
        assert_int_equal(k->meaning[strlen(k->meaning) - 1], '.');
        assert_int_equal(finding_by_name(k->name), i); /* and so no name stands twice */
        assert_int_equal(strspn(k->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(k->name));
        assert_true(k->severity != SEVERITY_ERROR || k->mend || i == FINDING_PORT_CLOSED ||
                    i == FINDING_SERVER_SILENT || i == FINDING_HANDSHAKE_FAILED || i == FINDING_MESSAGES_REFUSED ||
                    i == FINDING_SPOOL_FAILS);
    }
    assert_int_equal(finding_by_name("no-such-finding"), FINDINGS_N);
}

static void test_the_first_word_stays(void **state)
{
    struct findings f = {0};

    finding_mend(&f, findings_add(&f, FINDING_KEY_REFUSED, "b", "one"), "mend %s", "b");
    assert_null(findings_add(&f, FINDING_KEY_REFUSED, "b", "two"));
    assert_non_null(findings_add(&f, FINDING_KEY_MISSING, "b", "three"));
    assert_int_equal(f.n, 2);
    assert_string_equal(f.list[0].cause, "one");
    assert_string_equal(f.list[0].mend, "mend b");
    assert_string_equal(f.list[1].mend, "");
    assert_int_equal(findings_worst(&f), SEVERITY_ERROR);
    findings_done(&f);
    assert_int_equal(findings_worst(&f), -1);
}

static void test_many_are_counted(void **state)
{
    struct findings f = {0};
    char subject[32], words[64];

    for (int i = 1; i <= 100; i++) {
        snprintf(subject, sizeof(subject), "meter-%d", i);
        (void)findings_add(&f, FINDING_KEY_REFUSED, subject, "refused");
    }
    findings_close(&f);
    assert_int_equal(f.n, FINDINGS_PER_KIND);
    assert_int_equal(f.count[FINDING_KEY_REFUSED], 100);
    assert_string_equal(f.list[1].subject, "meter-2");
    assert_string_equal(f.list[1].cause, "refused");
    snprintf(words, sizeof(words), "refused (and %d more of this kind)", 100 - FINDINGS_PER_KIND);
    assert_string_equal(f.list[f.n - 1].cause, words);
    findings_done(&f);
}

static void test_what_another_explains_goes(void **state)
{
    struct findings f = {0};

    (void)findings_add(&f, FINDING_DRIVER_AWAY, "ble", "away");
    (void)findings_add(&f, FINDING_DRIVER_AWAY, "sim", "away");
    (void)findings_add(&f, FINDING_SERVER_SILENT, "cloud", "silent");
    (void)findings_add(&f, FINDING_ROUTE_MISSING, "cloud", "no route");
    (void)findings_add(&f, FINDING_DRIVER_MISSING, "ble", "not installed");
    findings_close(&f);
    assert_int_equal(f.n, 3);
    assert_int_equal(f.list[0].id, FINDING_ROUTE_MISSING);
    assert_int_equal(f.list[1].id, FINDING_DRIVER_MISSING);
    assert_int_equal(f.list[2].id, FINDING_DRIVER_AWAY);
    assert_string_equal(f.list[2].subject, "sim");
    assert_int_equal(f.count[FINDING_DRIVER_AWAY], 1);
    findings_done(&f);
}

static void test_json_there_and_back(void **state)
{
    struct findings f = {0}, again = {0};
    _cleanup_json_ json_object *o = NULL, *newer = json_object_new_object(), *number = json_object_new_int(1);

    finding_mend(&f, findings_add(&f, FINDING_SERIAL_DENIED, "/dev/ttyUSB0", "\"quoted\""), "chgrp");
    o = finding_json(&f.list[0]);
    assert_string_equal(json_get_string(o, "id"), "serial-denied");
    assert_string_equal(json_get_string(o, "severity"), "error");
    assert_true(findings_add_json(&again, o));
    assert_string_equal(again.list[0].subject, "/dev/ttyUSB0");
    assert_string_equal(again.list[0].cause, "\"quoted\"");
    assert_string_equal(again.list[0].mend, "chgrp");
    /* of a later version, or nothing of ours */
    json_object_object_add(newer, "id", json_object_new_string("not-known-yet"));
    json_object_object_add(newer, "cause", json_object_new_string("x"));
    assert_false(findings_add_json(&again, newer));
    assert_false(findings_add_json(&again, number));
    assert_false(findings_add_json(&again, NULL));
    assert_int_equal(again.n, 1);
    findings_done(&f);
    findings_done(&again);
}

/* A terminal obeys control characters, and root's is no place for those that another user chose. */
static void test_control_characters_do_not_pass(void **state)
{
    struct findings f = {0}, again = {0};
    _cleanup_json_ json_object *o = json_object_new_object();

    finding_mend(&f,
                 findings_add(&f, FINDING_KEY_REFUSED, "a\nb",
                              "c\x1b[2Jd \xc3\xa4 \xc2\x9b"
                              "e \xff"),
                 "x\r%s", "y\x7f");
    assert_null(findings_add(&f, FINDING_KEY_REFUSED, "a\nb", "again"));
    assert_string_equal(f.list[0].subject, "a?b");
    assert_string_equal(f.list[0].cause, "c?[2Jd \xc3\xa4 ??e ?");
    assert_string_equal(f.list[0].mend, "x?y?");
    json_object_object_add(o, "id", json_object_new_string("key-refused"));
    json_object_object_add(o, "cause", json_object_new_string("x\033]0;y\a"));
    assert_true(findings_add_json(&again, o));
    assert_string_equal(again.list[0].cause, "x?]0;y?");
    findings_done(&f);
    findings_done(&again);
}

static void test_mends_without_an_agent(void **state)
{
    static const char *const rows[][2] = {
        {"sudoedit /etc/x && sudo gatehousectl reload", "sudoedit /etc/x && sudo systemctl restart gatehouse"},
        {"gatehousectl connect boiler-1", "sudo systemctl start gatehouse && gatehousectl connect boiler-1"},
        {"gatehousectl vault init --keyfile /k", "gatehousectl vault init --keyfile /k"},
        {"sudo gatehousectl check", "sudo gatehousectl check"},
        {"chmod 0400 /k", "chmod 0400 /k"},
        {"", ""},
    };
    struct findings f = {0};
    char subject[8];

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        snprintf(subject, sizeof(subject), "%zu", i);
        finding_mend(&f, findings_add(&f, FINDING_BAD_SETTING, subject, "words"), "%s", rows[i][0]);
    }
    for (int twice = 0; twice < 2; twice++) {
        findings_mend_without_agent(&f);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
            assert_string_equal(f.list[i].mend, rows[i][1]);
    }
    findings_done(&f);
}

static void test_words_of_others_stay_words(void **state)
{
    static const char *const rows[][2] = {
        {"/etc/gatehouse/keys/current", "chmod 0400 /etc/gatehouse/keys/current"},
        {"/media/my stick/current", "chmod 0400 '/media/my stick/current'"},
        {"/x;reboot", "chmod 0400 '/x;reboot'"},
        {"$(reboot)`id`", "chmod 0400 '$(reboot)`id`'"},
        {"it's", "chmod 0400 'it'\\''s'"},
        {"'", "chmod 0400 ''\\'''"},
        {"~", "chmod 0400 '~'"},
        {"%s%n", "chmod 0400 %s%n"},
        {"a%b", "chmod 0400 a%b"},
        {"", "chmod 0400 ''"},
    };
    struct findings f = {0};
    char subject[8];

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        snprintf(subject, sizeof(subject), "%zu", i);
        finding_mend_words(&f, findings_add(&f, FINDING_KEYFILE_MODE, subject, "words"), "chmod 0400 %s", rows[i][0]);
        assert_string_equal(f.list[i].mend, rows[i][1]);
    }
    finding_mend_words(&f, &f.list[0], "cp %s %s && sync", "a b", "c");
    assert_string_equal(f.list[0].mend, "cp 'a b' c && sync");
    finding_mend_words(&f, &f.list[0], "sync");
    assert_string_equal(f.list[0].mend, "sync");
    assert_int_equal(f.failed, 0);
    findings_done(&f);
}

static void test_a_check_looks_again_where_the_caller_did(void **state)
{
    static const char *const options[] = {"--config-dir", "/home/me/my gateway", "--keyfile", "/k"};
    static const char *const rows[][2] = {
        {"sudo gatehousectl check", "sudo gatehousectl check --config-dir '/home/me/my gateway' --keyfile /k"},
        {"sudo TMPDIR=/run gatehousectl check",
         "sudo TMPDIR=/run gatehousectl check --config-dir '/home/me/my gateway' --keyfile /k"},
        {"gatehousectl connect boiler-1", "gatehousectl connect boiler-1"},
        {"sudo gatehoused --check-config", "sudo gatehoused --check-config"},
        {"", ""},
    };
    struct findings f = {0};
    char subject[8];

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        snprintf(subject, sizeof(subject), "%zu", i);
        finding_mend(&f, findings_add(&f, FINDING_NOT_LOOKED, subject, "words"), "%s", rows[i][0]);
    }
    findings_mend_places(&f, options, 0);
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        assert_string_equal(f.list[i].mend, rows[i][0]);
    for (int twice = 0; twice < 2; twice++) {
        findings_mend_places(&f, options, ELEMENTSOF(options));
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
            assert_string_equal(f.list[i].mend, rows[i][1]);
    }
    findings_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_are_whole),
        cmocka_unit_test(test_the_first_word_stays),
        cmocka_unit_test(test_many_are_counted),
        cmocka_unit_test(test_what_another_explains_goes),
        cmocka_unit_test(test_json_there_and_back),
        cmocka_unit_test(test_control_characters_do_not_pass),
        cmocka_unit_test(test_mends_without_an_agent),
        cmocka_unit_test(test_words_of_others_stay_words),
        cmocka_unit_test(test_a_check_looks_again_where_the_caller_did),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
